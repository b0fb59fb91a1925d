"""Small models of the shipped families, to be written in their original layout and read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from pipelines.loading import component_classes
from pipelines.loading.families import CONFIGS
from pipelines.loading.folder import part_class
from pipelines.loading.single_file import CheckpointModel
from pipelines.loading.stubs import empty_module


def fill(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random values in place, quick also for a billion of them."""
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        # Buffers too: memory that nobody wrote may hold NaN, which equals nothing.
        for number, value in enumerate(v for v in module.state_dict().values() if v.is_floating_point()):
            flat, start = value.view(-1), number * 7919 % 500_000
            for begin in range(0, len(flat), 500_000):
                piece = flat[begin : begin + 500_000]
                piece.copy_(noise[start : start + len(piece)])
    return module


def random_parts(family: str, config: Path, dtype: torch.dtype) -> dict[str, Any]:
    classes = component_classes(CheckpointModel(config, config, ""))
    parts = {}
    for name in [name for name in classes if (config / name / "config.json").is_file()]:
        module = empty_module(part_class(*classes[name]), config / name)
        parts[name] = fill(module.to(dtype).to_empty(device="cpu"))
    return parts


def smaller_config(family: str, folder: Path, smaller: dict[str, dict[str, Any]]) -> Path:
    """The shipped config folder at small widths: the same layers and names."""
    config = shutil.copytree(CONFIGS / family, folder / family)
    for name, changes in smaller.items():
        file = config / name / "config.json"
        file.write_text(json.dumps(_changed(json.loads(file.read_text()), changes)))
    return config


def _changed(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return settings | {
        key: _changed(settings[key], value) if isinstance(value, dict) else value for key, value in changes.items()
    }


def assert_same(part: torch.nn.Module, source: torch.nn.Module) -> None:
    ours, theirs = part.state_dict(), source.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.dtype == theirs[key].dtype and torch.equal(value, theirs[key]), key
