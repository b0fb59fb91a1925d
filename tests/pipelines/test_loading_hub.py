"""A hub id opens as a model: from the caches, from an earlier download, or downloaded into ComfyUI's own folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.loading import Roots, describe, load_part, open_model

from .mock_hub import BIG, REPO, SHA, Hub, serving, undisturbed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and a hub at a port where nothing listens."""
    undisturbed(tmp_path, monkeypatch)
    return tmp_path / "hf"


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(diffusers=(tmp_path / "diffusers",))


@pytest.fixture
def hub(tiny_model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a tiny model, and beside it files that must not be downloaded."""
    folder = tiny_model("sd15")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    files["README.md"] = b"---\nlicense: mit\n---\n"
    for extra in ("pipeline.py", "unet/evil.py", "unet/diffusion_pytorch_model.bin", "all.safetensors"):
        files[extra] = b"not wanted"
    with serving(Hub(files)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def into_the_cache(source: Path, cache: Path) -> Path:
    """A model as huggingface_hub keeps it."""
    repo = cache / f"models--{REPO.replace('/', '--')}"
    folder = shutil.copytree(source, repo / "snapshots" / SHA)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(SHA)
    return folder


def test_a_hub_id_downloads_only_what_is_needed_and_then_opens_offline(hub, roots, monkeypatch: pytest.MonkeyPatch):
    model = open_model(REPO, roots=roots)
    assert model.path == roots.diffusers[0] / "maker--tiny"
    assert (model.source, model.revision, model.licence) == (REPO, SHA, "mit")
    assert load_part(model, "unet", dtype=torch.float32).dtype == torch.float32
    unwanted = (".py", ".bin", "all.safetensors")
    assert not [path for path, _ in hub.asked if path.endswith(unwanted)]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for revision in ("", SHA, SHA[:8]):
        again = open_model(REPO, roots=roots, revision=revision)
        assert again.path == model.path and f"revision: {SHA}" in describe(again)
    listed = open_model("maker--tiny", roots=roots)
    assert (listed.source, listed.revision) == (f"hf:{REPO}", SHA)


def test_a_model_in_the_shared_cache_is_used_where_it_is(tiny_model, cache: Path, roots):
    folder = into_the_cache(tiny_model("sd15"), cache)
    for revision in ("", "main", SHA):
        model = open_model(REPO, roots=roots, revision=revision)
        assert (model.path, model.revision) == (folder, SHA)
    assert not roots.diffusers[0].exists()


def test_a_cached_model_that_lacks_a_file_is_downloaded(hub, tiny_model, cache: Path, roots):
    (into_the_cache(tiny_model("sd15"), cache) / BIG).unlink()
    model = open_model(REPO, roots=roots)
    assert model.path.parent == roots.diffusers[0] and (model.path / BIG).is_file()


def test_a_download_that_lacks_a_file_is_completed(hub, roots):
    path = open_model(REPO, roots=roots).path
    (path / BIG).unlink()
    before = len(hub.asked)
    assert open_model(REPO, roots=roots, revision=SHA).path == path
    assert [asked for asked, _ in hub.asked[before:] if "/resolve/" in asked] == [f"/{REPO}/resolve/{SHA}/{BIG}"]


def test_an_unknown_model_is_refused_in_words(hub, roots):
    with pytest.raises(AigcError, match=r"maker/other.*the hub answered 404"):
        open_model("maker/other", roots=roots)


def test_an_unreachable_hub_is_answered_within_five_seconds(roots):
    start = time.perf_counter()
    with pytest.raises(AigcError, match=r"does not answer.*models/diffusers"):
        open_model("aigc-nodes-test/no-such-model", roots=roots, revision="main")
    assert time.perf_counter() - start < 5
