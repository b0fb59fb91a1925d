"""A model's own configs made small: the same classes and tokenizers, few layers and channels, random weights."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...loading import component_classes, holds_weights, load_part, pipeline_class, pipeline_settings
from ...loading.folder import component_entry, part_class, part_folder, read_json
from ...payloads import Model
from . import shrink

MOST = 40_000_000  # numbers in one part: vocabularies stay whole
__all__ = ["NotMade", "pipeline_class", "save"]


class NotMade(RuntimeError):
    """A part that the rules do not make small enough."""


def save(model: Model, folder: Path) -> Path:
    """Save the miniature as a diffusers folder and return it. Raises whatever stands in the way."""
    from ..pipe import assemble

    widths = text_widths(model)
    parts: dict[str, Any] = {}
    torch.manual_seed(0)
    for name in component_classes(model):
        if name == "safety_checker":
            parts[name] = None
        elif holds_weights(model, name):
            parts[name] = _part(model, name, widths)
        else:
            parts[name] = load_part(model, name, dtype=None)
    assemble(pipeline_class(model), parts, pipeline_settings(model)).save_pretrained(folder)
    return folder


def text_widths(model: Model) -> dict[str, tuple[int, ...]]:
    """The widths of each text encoder by its part's name: what it returns for a word, and for the whole text."""
    found: dict[str, tuple[int, ...]] = {}
    for name, (library, _) in component_classes(model).items():
        if library == "transformers" and holds_weights(model, name):
            config = _config(model, name)
            inner = config.get("text_config")
            words = {**(inner if isinstance(inner, dict) else {}), **config}
            found[name] = tuple({v for k in shrink.TEXT_WIDTHS if isinstance(v := words.get(k), int)})
    return found


def _config(model: Model, name: str) -> dict[str, Any]:
    return read_json(part_folder(model, name) / "config.json")


def _part(model: Model, name: str, widths: Mapping[str, tuple[int, ...]]) -> Any:
    kind: Any = part_class(*component_entry(model, name))
    config = _config(model, name)
    if component_entry(model, name)[0] == "transformers":
        small = shrink.own_transformers_config(kind, config)
        with torch.device("meta"):
            _check(name, kind(small))
        made = kind(small)
    else:
        values = shrink.own_diffusers_config(kind, config, totals(widths))
        with torch.device("meta"):
            _check(name, kind.from_config(values))
        made = kind.from_config(values)
    return _settled(made)


def totals(widths: Mapping[str, tuple[int, ...]]) -> dict[int, int]:
    """What a width that takes texts becomes: one of an encoder, or the sum of one width of several, each made small."""
    found: dict[int, int] = {}
    for count in range(1, len(widths) + 1):
        for encoders in itertools.combinations(widths.values(), count):
            for chosen in itertools.product(*encoders):
                found.setdefault(sum(chosen), count * shrink.TEXT)
    return found


def _check(name: str, module: torch.nn.Module) -> None:
    numbers = sum(p.numel() for p in module.parameters())
    if numbers > MOST:
        raise NotMade(f"{name} still has {numbers} numbers")


def _settled(module: torch.nn.Module) -> torch.nn.Module:
    """Eval mode, and weights for what a class leaves uninitialised or zero."""
    module.eval()
    with torch.no_grad():
        for weight in module.parameters():
            if not torch.isfinite(weight).all() or weight.abs().max() > 1e4 or not weight.any():
                torch.nn.init.normal_(weight, std=0.02)
    return module
