"""Weights from files into transformers' classes: every tensor has its place, or it is said which has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from ...errors import AigcError
from ...sources.layout import choose_weights, weight_files

Tensors = dict[str, torch.Tensor]


def read(path: Path) -> Tensors:
    """The tensors of one file, on the CPU. A released pickle is read with weights_only, so that it can run no code."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
        found = found.get("state_dict", found)
        return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    except (OSError, EOFError, SafetensorError, UnpicklingError, RuntimeError, AttributeError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise AigcError(
            f"Expected weights in {path.name}, got a file that cannot be read safely ({said}): copy it again."
        ) from error


def read_folder(folder: Path) -> Tensors:
    """All tensors of a folder as transformers saves it; its pytorch_model.bin when there are no safetensors."""
    chosen = choose_weights(entry.name for entry in folder.iterdir())
    paths = weight_files(folder, chosen) if chosen else [folder / "pytorch_model.bin"]
    return {name: value for path in paths for name, value in read(path).items()}


def renamed(tensors: Mapping[str, torch.Tensor], patterns: Iterable[tuple[str, str]]) -> Tensors:
    """The same tensors under other names: in each, every pattern is replaced in turn (`re.sub`)."""
    patterns = list(patterns)
    found: Tensors = {}
    for name, value in tensors.items():
        for pattern, replacement in patterns:
            name = re.sub(pattern, replacement, name)
        found[name] = value
    return found


def below(tensors: Mapping[str, torch.Tensor], prefix: str) -> Tensors:
    """Of the tensors those whose name begins so, without that beginning."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def filled(made: Any, config: Any, tensors: Tensors, dtype: torch.dtype, what: str, *, spare: str = r"(?!)") -> Any:
    """The transformers class `made` of this config with these tensors, ready to judge.

    spare: names that may be left over. Raises AigcError when a tensor has no place, or a place no tensor.
    """
    model, info = made.from_pretrained(
        None, config=config, state_dict=dict(tensors), dtype=dtype, output_loading_info=True
    )
    wrong = [str(name[0] if isinstance(name, tuple) else name) for name in info["mismatched_keys"]]
    missing = sorted([*info["missing_keys"], *wrong])
    over = sorted(name for name in info["unexpected_keys"] if not re.match(spare, name))
    if missing or over:
        raise _other_layout(what, missing, over)
    return frozen(model)


def fit(module: nn.Module, tensors: Mapping[str, torch.Tensor], what: str) -> Any:
    """A module of our own with these tensors in float32. Raises AigcError like `filled`."""
    own = module.state_dict()
    missing = sorted(name for name in own if name not in tensors or tensors[name].shape != own[name].shape)
    over = sorted(name for name in tensors if name not in own)
    if missing or over:
        raise _other_layout(what, missing, over)
    module.load_state_dict({name: tensors[name].float() for name in own})
    return frozen(module)


def _other_layout(what: str, missing: list[str], over: list[str]) -> AigcError:
    lacks = f"without {', '.join(missing[:3])}" if missing else f"with {', '.join(over[:3])} besides"
    return AigcError(f"Expected the published layout of {what}, got a file {lacks}: use the original file.")


def frozen(module: Any) -> Any:
    return module.eval().requires_grad_(False)


def layers(tensors: Mapping[str, torch.Tensor], pattern: str) -> int:
    """How many layers there are: one more than the highest number that `pattern` finds in a name."""
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return 1 + max(found, default=-1)
