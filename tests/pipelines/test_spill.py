"""Long clips: their frames are the pages of a file that goes with them, and the same as in memory."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import psutil
import pytest
import torch

from pipelines import media, spill, stages
from pipelines.loading import Roots, open_model
from pipelines.runtime import Runtime


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "LIMIT", 10_000)


def mapped(folder: Path) -> list[str]:
    return [place.path for place in psutil.Process().memory_maps() if str(folder) in place.path]


def test_above_the_limit_the_pages_are_a_files_which_goes_with_the_tensor(small, tmp_path: Path) -> None:
    assert spill.empty((10, 10, 25), tmp_path).shape == (10, 10, 25) and not mapped(tmp_path)
    frames = spill.empty((10, 10, 26), tmp_path)
    assert len(mapped(tmp_path)) == 1 and not list(tmp_path.iterdir())  # no name is left that could be forgotten
    frames.copy_(torch.arange(2600.0).reshape(frames.shape))
    assert torch.equal(frames[9], torch.arange(2340.0, 2600.0).reshape(10, 26))
    del frames
    gc.collect()
    assert not mapped(tmp_path)


@pytest.mark.parametrize("failing", ["posix_fallocate", "folder"])
def test_without_room_on_the_disk_it_is_memory(small, failing: str, tmp_path: Path, monkeypatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "posix_fallocate":
        monkeypatch.setattr(os, failing, full)
    frames = spill.empty((4, 32, 32, 3), tmp_path if failing == "posix_fallocate" else tmp_path / "none")
    assert frames.shape == (4, 32, 32, 3) and not mapped(tmp_path) and not list(tmp_path.iterdir())


def test_decoded_frames_in_a_file_are_those_in_memory(repo_root: Path, tmp_path: Path, monkeypatch) -> None:
    model = open_model("pictogram", roots=Roots(embedded=(repo_root / "models",)))
    latents = {"samples": torch.randn(3, 40, 8, 8, generator=torch.Generator().manual_seed(0))}
    runtime = Runtime("cpu")
    runtime.scratch = tmp_path
    whole = stages.decode_image(model, latents, runtime=runtime)
    monkeypatch.setattr(spill, "LIMIT", 10_000)
    kept = stages.decode_image(model, latents, runtime=runtime)
    assert torch.equal(whole, kept) and len(mapped(tmp_path)) == 1
    clip = media.clip(kept, 8)
    assert clip.frames.data_ptr() == kept.data_ptr()  # nor is it copied on the way to a video
