"""Networks that stand beside a model's own parts while it samples, kept between runs as the stages are."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import torch
from torch import nn

from ..loading import networks
from ..runtime import Runtime

_Key = tuple[Path, int, torch.dtype]
_held: dict[_Key, tuple[nn.Module, Runtime]] = {}


def stamp(path: Path) -> int:
    """When the newest file of a network changed."""
    files = [path] if path.is_file() else [*path.glob("*.json"), *path.glob("*.safetensors")]
    return max((file.stat().st_mtime_ns for file in files), default=0)


def opened(paths: list[Path], runtime: Runtime, dtype: torch.dtype) -> list[nn.Module]:
    """The networks of these paths on the CPU or wherever they were left; those of other runs are forgotten."""
    keys = [(path, stamp(path), dtype) for path in paths]
    release(keep=set(keys))
    for key in keys:
        if key not in _held:
            _held[key] = (networks.load_network(key[0], dtype), runtime)
    return [_held[key][0] for key in keys]


def release(keep: set[_Key] | None = None) -> None:
    """Forget every network but those to `keep`. The memory of the others is free when this returns."""
    dropped = []
    for key in set(_held) - (keep or set()):
        net, runtime = _held.pop(key)
        runtime.release([net])
        dropped.append(weakref.ref(net))
        del net
    if any(net() is not None for net in dropped):
        gc.collect()  # a sibling pipeline and its watched scheduler lead to each other, and to the network
