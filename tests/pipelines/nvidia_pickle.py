"""Writes network pickles of the StyleGAN2-ADA kind, as their persistence layer does, for modules named as theirs are.

A persistent object pickles as a call of `torch_utils.persistence._reconstruct_persistent_obj` with one table: type, version,
module_src, class_name, state (the instance's __dict__).
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

SOURCE = "raise RuntimeError('the source in the file was run')"


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> Any:
    raise RuntimeError("only written by name")


class EasyDict(dict):
    pass


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
EasyDict.__module__ = "dnnlib.util"


class Persistent(nn.Module):
    """init_kwargs: kept beside the state as theirs are."""

    def __init__(self, class_name: str, **init_kwargs: Any) -> None:
        super().__init__()
        self._class_name = class_name
        self._init_args = ()
        self._init_kwargs = EasyDict(init_kwargs)

    def __reduce__(self) -> Any:
        state = {k: v for k, v in self.__dict__.items() if k != "_class_name"}
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": self._class_name,
            "state": EasyDict(state),
        }
        return _reconstruct_persistent_obj, (meta,), None


def tree(class_name: str, tensors: dict[str, torch.Tensor], buffers: set[str], **init_kwargs: Any) -> Persistent:
    """Persistent modules inside one another, that hold `tensors` by their names in a state dict."""
    made = Persistent(class_name, **init_kwargs)
    made.weight_gain = 1 / np.sqrt(3)  # theirs keep such numbers as numpy's
    inside: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        first, _, rest = name.partition(".")
        if rest:
            inside.setdefault(first, {})[rest] = value
        elif first in buffers:
            made.register_buffer(first, value)
        else:
            made.register_parameter(first, nn.Parameter(value))
    for name, part in inside.items():
        made.add_module(name, tree("SynthesisLayer", part, buffers))
    return made


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Their modules importable by name while pickle looks the names up."""
    modules = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
    }
    modules |= {"dnnlib": {}, "dnnlib.util": {"EasyDict": EasyDict}}
    for name, values in modules.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(values)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


def write(path: Path, networks: dict[str, Any], protocol: int = 4) -> None:
    with _named():
        path.write_bytes(pickle.dumps({**networks, "training_set_kwargs": EasyDict(path="x.zip")}, protocol=protocol))


# Our names of StyleGAN2's weights -> NVIDIA's; written apart from the engine's own table, which it proves.
def nvidia_generator(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = {"synthesis.b4.const": state["start"], "mapping.w_avg": state["w_average"]}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "mapping":
            out[f"mapping.embed.{parts[2]}" if parts[1] == "embed" else f"mapping.fc{parts[2]}.{parts[3]}"] = value
        elif parts[0] == "blocks":
            layer = {"grow": "conv0", "conv": "conv1", "rgb": "torgb"}[parts[2]]
            end = {"strength": "noise_strength", "const": "noise_const"}.get(parts[-1], ".".join(parts[3:]))
            out[f"synthesis.b{4 * 2 ** int(parts[1])}.{layer}.{end}"] = value
    out["synthesis.b8.conv0.resample_filter"] = torch.ones(4, 4) / 16
    return out


def nvidia_discriminator(state: dict[str, torch.Tensor], resolution: int) -> dict[str, torch.Tensor]:
    out = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "blocks":
            layer = {"conv": "conv0", "shrink": "conv1", "skip": "skip"}[parts[2]]
            out[f"b{resolution // 2 ** int(parts[1])}.{layer}.{parts[3]}"] = value
        elif parts[0] == "mapping":
            out[f"mapping.embed.{parts[2]}" if parts[1] == "embed" else f"mapping.fc{parts[2]}.{parts[3]}"] = value
        else:
            end = {"rgb": f"b{resolution}.fromrgb", "conv": "b4.conv", "dense": "b4.fc", "out": "b4.out"}[parts[0]]
            out[f"{end}.{parts[1]}"] = value
    return out


BUFFERS = {"noise_const", "w_avg", "resample_filter"}
