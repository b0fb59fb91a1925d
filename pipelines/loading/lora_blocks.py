"""Weights of a LoRA by block: "down: 0.5, mid: 0, up.1: 1.2, text_encoder: 0"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import torch

from ..errors import AigcError

SYNTAX = 'Write pairs such as "down: 0.5, mid: 0, up.1: 1.2, text_encoder: 0".'
# Short names, as people say them, for what the layers' paths begin with.
SHORT = {
    "down": "down_blocks", "mid": "mid_block", "up": "up_blocks",
    "double": "transformer_blocks", "single": "single_transformer_blocks",
}  # fmt: skip
Blocks = tuple[tuple[str, float], ...]


def parse_blocks(text: str) -> Blocks:
    """Pairs of a block and its factor, apart by commas or lines. Raises AigcError for anything else, or NaN."""
    pairs: dict[str, float] = {}
    for piece in filter(None, (piece.strip() for piece in re.split(r"[,;\n]", text))):
        name, _, number = (side.strip() for side in piece.replace("=", ":").partition(":"))
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not math.isfinite(weight):
            raise AigcError(f"Expected a block and a number, got {piece!r}. {SYNTAX}")
        if name in pairs:
            raise AigcError(f"Expected each block once, got {name} twice. Keep one of them.")
        pairs[name] = weight
    return tuple(pairs.items())


def weigh(state: dict[str, torch.Tensor], blocks: Blocks, file: str) -> dict[str, torch.Tensor]:
    """The LoRA with each layer's product times the factor of the most exact block that it lies in; others keep 1.

    state: peft's layout, "<part>.<layer>.lora_B.weight". A factor of 0 leaves the layer out.
    Raises AigcError for a block in which the file has no layer.
    """
    paths = {name: _path(name) for name, _ in blocks}
    unknown = [name for name, path in paths.items() if not any(_inside(key, path) for key in state)]
    if unknown:
        raise AigcError(
            f"Expected blocks in which {file} has layers, got {', '.join(unknown)}. It has {', '.join(_known(state))}."
        )
    weighed = {}
    for key, value in state.items():
        inside = [(len(paths[name]), weight) for name, weight in blocks if _inside(key, paths[name])]
        weight = max(inside)[1] if inside else 1.0
        if weight != 0:
            weighed[key] = value * weight if ".lora_B." in key and weight != 1 else value
    return weighed


def _path(name: str) -> str:
    return ".".join(SHORT.get(word, word) for word in name.split("."))


def _inside(key: str, path: str) -> bool:
    """Whether a layer lies in a block that is named with or without its part."""
    return f"{key}.".startswith(f"{path}.") or key.partition(".")[2].startswith(f"{path}.")


def _known(state: Iterable[str]) -> list[str]:
    """The parts and the blocks of a LoRA, as far as their numbers."""
    found = {key.split(".")[0] for key in state}
    for key in state:
        if block := re.match(r"[^.]+\.((?:[a-z_]+\.\d+)|mid_block)\.", key):
            found.add(block[1])
    return sorted(found)
