"""Download Model on a real host of its own, whose hub is on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headless.host import Host

from ..pipelines import tiny
from ..pipelines.mock_hub import BIG, REPO, SHA, Hub, serving
from .canvas import Prompt, fetch, node, run

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tiny.build("sd15", tmp_path_factory.mktemp("served") / "sd15")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    with serving(Hub(files)) as running:
        yield running


@pytest.fixture(scope="module")
def own_host(hub: Hub, host_dir: Path, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("PIP_INDEX_URL", f"{hub.url}/simple")
        patch.setenv("NO_PROXY", "127.0.0.1")
        for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
            patch.delenv(variable, raising=False)
        with Host(host_dir, base_dir=tmp_path_factory.mktemp("base"), packs=[repo_root]) as running:
            yield running


@pytest.fixture
def downloads(own_host: Host, hub: Hub) -> Path:
    """The host's models/diffusers, empty; a hub that behaves."""
    import shutil

    folder = own_host.base_dir / "models" / "diffusers"
    shutil.rmtree(folder, ignore_errors=True)
    hub.slow, hub.refuse, hub.asked, hub.served = 0.0, None, [], {}
    return folder


def info_of(source: str, revision: str = "") -> Prompt:
    return {
        "model": node("DownloadModel", source=source, revision=revision),
        "info": node("ModelInfo", model=["model", 0]),
    }


def test_a_model_is_downloaded_once_with_progress_and_then_is_in_the_list(own_host: Host, hub: Hub, downloads: Path):
    result = run(own_host.url, info_of(REPO))
    assert result.error == "" and f"revision: {SHA}" in result.outputs["info"]["text"][0]
    assert [path.name for path in downloads.iterdir()] == ["maker--tiny"]
    size = sum(map(len, hub.files.values()))
    assert [(data["value"], data["max"]) for data in result.of("progress")][-1] == (size, size)
    asked = len(hub.asked)
    again = run(own_host.url, info_of(f"hf:{REPO}", SHA))
    assert again.error == "" and len(hub.asked) == asked
    listed = fetch(own_host.url, "/object_info/AIGC_LoadModel")["AIGC_LoadModel"]["input"]["required"]["model"]
    assert "maker--tiny" in json.dumps(listed)


def test_an_encoded_prompt_comes_straight_from_the_download(own_host: Host, downloads: Path):
    graph = info_of(f"hf:{REPO}@{SHA}")
    inputs = {"prompt": "a cat", "negative_prompt": "", "guided": True, "one_per_line": False}
    graph["prompt"] = node("EncodePrompt", model=["model", 0], **inputs)
    graph["size"] = node("EmptyLatents", model=["model", 0], width=64, height=64, frames=0, seconds=0.0, batch_size=1)
    settings = {"seed": 1, "steps": 1, "cfg": 5.0, "scheduler": "model default", "denoise": 1.0}
    links = {"model": ["model", 0], "conditioning": ["prompt", 0], "latents": ["size", 0]}
    graph["sample"] = node("Sample", **links, **settings)
    graph["decode"] = node("DecodeImage", model=["model", 0], latents=["sample", 0])
    graph["save"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    result = run(own_host.url, graph)
    assert result.error == "" and len(result.outputs["save"]["images"]) == 1


def test_the_interrupt_button_stops_a_download_and_the_next_run_goes_on(own_host: Host, hub: Hub, downloads: Path):
    hub.slow, pressed = 0.05, False

    async def stop(session: Any, message: dict) -> None:
        nonlocal pressed
        begun = any(part.stat().st_size for part in downloads.rglob(f"{Path(BIG).name}.*.part"))
        if message["type"] == "progress" and not pressed and begun:
            pressed = True
            await session.post(f"{own_host.url}/interrupt")

    result = run(own_host.url, info_of(f"hf:{REPO}@main"), stop)
    assert pressed and result.interrupted and result.error == ""
    (part,) = downloads.rglob("*.part")
    name, have, hub.slow = f"{part.parent.name}/{Path(BIG).name}", part.stat().st_size, 0.0
    assert run(own_host.url, info_of(f"hf:{REPO}@main")).error == ""
    assert hub.downloads(name) == ["", f"bytes={have}-"]


@pytest.mark.parametrize(
    ("source", "refuse", "says"),
    [
        ("hf:maker/other", None, "404"),
        ("hf:maker/tiny@v2", (403, "GatedRepo"), "accept their terms"),
        ("hf:no id", None, "hf:owner/name"),
        ("pypi:no-such-wheel", None, "no such package"),
        ("../secret", None, "secret"),
    ],
)
def test_an_error_names_the_node_and_what_to_do(own_host: Host, hub: Hub, downloads: Path, source, refuse, says):
    hub.refuse = refuse
    error = run(own_host.url, info_of(source)).error
    assert error.startswith("Download Model: ") and says in error and "Traceback" not in error
