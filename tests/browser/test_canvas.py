"""The canvas in Chromium: both frontends, the classic canvas and Nodes 2.0, English and Chinese."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from headless.convert import convert

from ..nodes.canvas import fetch

pytestmark = pytest.mark.browser
NEWER = "1.58.1"
WORKFLOWS = ("text_to_image", "prompt_sweep", "image_to_image", "lora", "text_to_video", "host_ksampler_to_decode")


def smoke(repo_root: Path, url: str, locale: str, mode: str) -> dict:
    files = [str(repo_root / "workflows" / f"{name}.json") for name in WORKFLOWS]
    command = ["node", str(repo_root / "tests/browser/smoke.mjs"), url, locale, mode, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=repo_root, env=os.environ)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def check(repo_root: Path, url: str, facts: dict) -> None:
    info = fetch(url, "/object_info")
    assert set(facts["registered"]) == {name for name in info if name.startswith("AIGC_")}
    for name, browser in facts["prompts"].items():
        ours = convert(json.loads((repo_root / "workflows" / f"{name}.json").read_text("utf-8")), info)
        assert declared(browser, info) == declared(ours, info), name
    assert facts["run"] == "execution_success"
    assert any("parameters" in text for text in facts["text"])
    assert facts["pictures"] >= 1
    assert not [error for error in facts["errors"] if "aigc" in error.lower()]


def declared(prompt: dict, info: dict) -> dict:
    """Node classes and the inputs that they declare; the browser also sends what only its widgets know."""
    known = {
        name: {key for group in ("required", "optional") for key in shown["input"].get(group, {})}
        for name, shown in info.items()
    }
    return {
        id: (node["class_type"], {k: v for k, v in node["inputs"].items() if k in known[node["class_type"]]})
        for id, node in prompt.items()
    }


@pytest.fixture(scope="module")
def newer_url(host_dir, repo_root, tmp_path_factory):
    """A second host that serves the newest frontend we know."""
    from headless.host import Host
    from headless.install import ensure_frontend

    frontend = ["--front-end-root", str(ensure_frontend(NEWER)), "--preview-method", "auto"]
    base = tmp_path_factory.mktemp("newer")
    with Host(host_dir, base_dir=base, packs=[repo_root], arguments=frontend) as running:
        yield running.url


@pytest.mark.parametrize("mode", ["canvas", "vue"])
def test_the_hosts_own_frontend(host, repo_root, mode):
    check(repo_root, host.url, smoke(repo_root, host.url, "en", mode))


@pytest.mark.parametrize("mode", ["canvas", "vue"])
def test_the_newest_frontend_in_chinese(newer_url, repo_root, mode):
    facts = smoke(repo_root, newer_url, "zh", mode)
    check(repo_root, newer_url, facts)
    assert facts["titles"]["AIGC_Sample"] == "采样"
    assert facts["labels"]["steps"] == "步数"
