"""aigc models: list, pull, verify and licences, against a hub on loopback and folders of a ComfyUI."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless import cli, models
from pipelines.sources import AigcError

from ..pipelines.mock_hub import BIG, REPO, SHA, Hub, serving, some_files, undisturbed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    undisturbed(tmp_path, monkeypatch)
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(Hub(some_files())) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def aigc(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["models", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_pull_list_verify_and_licences(hub, tmp_path: Path, capsys):
    folder = tmp_path / "cache/aigc-nodes/base/models/diffusers/maker--tiny"
    code, out, err = aigc(capsys, "pull", REPO)
    assert (code, out) == (0, f"{folder}\n") and "100 %  3 MB of 3 MB" in err and f"{REPO}@{SHA}, licence: mit" in err
    code, out, _ = aigc(capsys, "list")
    lines = out.splitlines()
    assert code == 0 and lines[0].split() == ["pictogram", "apache-2.0", "embedded:pictogram"]
    assert lines[1].split() == ["maker--tiny", "3", "MB", "mit", f"hf:{REPO}@{SHA[:12]}"]
    code, out, _ = aigc(capsys, "list", "--json")
    assert json.loads(out)[1]["path"] == str(folder) and json.loads(out)[1]["revision"] == SHA
    assert aigc(capsys, "verify")[:2] == (0, "maker--tiny: as it came\n")
    assert aigc(capsys, "licences")[1] == "apache-2.0: pictogram\nmit: maker--tiny\n"


def test_verify_fails_for_what_changed_and_for_what_cannot_be_compared(hub, tmp_path: Path, capsys):
    folder = Path(aigc(capsys, "pull", REPO)[1].strip())
    (folder / BIG).write_bytes(bytes(len(hub.files[BIG])))
    code, out, _ = aigc(capsys, "verify")
    assert code == 1 and f"maker--tiny: {BIG} has the SHA-256" in out and "as it came" not in out
    code, out, _ = aigc(capsys, "verify", "pictogram")
    assert code == 1 and "no checksums" in out
    code, _, err = aigc(capsys, "verify", "nothing")
    assert code == 1 and "aigc models list" in err


def test_a_refusal_is_one_line_and_an_exit_code(hub, capsys):
    code, out, err = aigc(capsys, "pull", "maker/other")
    assert (code, out) == (1, "") and "404" in err and len(err.splitlines()) == 1


def test_ctrl_c_keeps_what_is_here_for_the_next_time(hub, tmp_path: Path):
    hub.slow = 0.02
    command = [sys.executable, "-m", "headless", "models", "pull", REPO, "--models-dir", str(tmp_path / "models")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 30
        while not list(tmp_path.rglob("*.part")):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "") and "goes on" in err and "Traceback" not in err
    assert list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.lock"))


def options(**given: Path) -> argparse.Namespace:
    return argparse.Namespace(**{"host_dir": None, "base_dir": None, "models_dir": None, **given})


def test_the_folders_are_those_of_the_comfyui_that_is_meant(hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    comfy, base = tmp_path / "ComfyUI", tmp_path / "base"
    comfy.mkdir()
    own = tmp_path / "cache/aigc-nodes/base/models/diffusers"
    assert models.roots(options()).diffusers == (own,)
    assert models.roots(options(host_dir=comfy)).diffusers == (comfy / "models/diffusers", own)
    both = models.roots(options(host_dir=comfy, base_dir=base)).diffusers
    assert both == (base / "models/diffusers", comfy / "models/diffusers")
    monkeypatch.setenv("COMFYUI_DIR", str(comfy))
    assert models.roots(options()).checkpoints[0] == comfy / "models/checkpoints"
    assert models.roots(options(models_dir=tmp_path)).loras == (tmp_path / "loras",)


def test_extra_model_paths_are_looked_in_and_a_default_comes_first(hub, tmp_path: Path):
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(
        "a:\n  base_path: more\n  diffusers: |\n    one\n    two\nb:\n  is_default: true\n  diffusers: /first\nc:\n"
    )
    own = [tmp_path / "models/diffusers", tmp_path / "cache/aigc-nodes/base/models/diffusers"]
    expected = (Path("/first"), *own, tmp_path / "more/one", tmp_path / "more/two")
    assert models.roots(options(host_dir=tmp_path)).diffusers == expected
    file.write_text("- no sections")
    with pytest.raises(AigcError, match="Mend it"):
        models.roots(options(host_dir=tmp_path))
