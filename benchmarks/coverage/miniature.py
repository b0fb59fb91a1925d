"""`build(name)`: the smallest working model of a pipeline class, made from the tables."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from pipelines.stages.selftest import shrink

from . import words
from .parts import CLASSES, PIPELINES, STAND_INS, STANDS_FOR

# Parts that judge or decorate what comes out, and are optional everywhere.
LEFT_OUT = {"safety_checker", "watermarker", "watermark", "guardrail"}


class NotBuilt(RuntimeError):
    """A miniature that could not be made: the part, and why."""


def build(name: str) -> Any:
    """A pipeline of that class with random weights, always the same. Raises NotBuilt."""
    import diffusers

    cls = getattr(diffusers, name)
    _stand_in(cls)
    expected, _ = cls._get_signature_keys(cls)
    types = cls._get_signature_types()
    torch.manual_seed(0)
    made: dict[str, Any] = {}
    for part in sorted(expected):
        made[part] = part_of(cls, part, types.get(part, ()))
    try:
        pipe = cls(**made, **_options(name))
    except Exception as error:
        raise NotBuilt(f"{name}: {type(error).__name__}: {error}") from error
    if isinstance(getattr(pipe, "safety_checker", None), _PassesAll):
        pipe.register_modules(safety_checker=None)
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            settle(module)
    return pipe


class _PassesAll(torch.nn.Module):
    """A safety checker that has nothing against anything."""

    device, dtype = torch.device("cpu"), torch.float32

    def check_text_safety(self, text: str) -> bool:
        return True

    def check_video_safety(self, video: Any) -> Any:
        return video


def _stand_in(cls: Any) -> None:
    where = importlib.import_module(cls.__module__)
    for start, names in STAND_INS.items():
        if cls.__name__.startswith(start):
            for name in names:
                setattr(where, name, _PassesAll)


def _options(name: str) -> dict[str, Any]:
    """Arguments of the constructor that are no parts."""
    merged: dict[str, Any] = {}
    for start, part, _, config in PIPELINES:
        if part == "." and name.startswith(start):
            merged.update(config)
    return merged


def rows(name: str, part: str) -> tuple[str | None, dict[str, Any]]:
    """The class that the pipeline's rows name ("" for none) and their configs, later rows over earlier ones."""
    chosen, merged = "", {}
    for start, which, cls, config in PIPELINES:
        if which == part and name.startswith(start):
            chosen = cls if cls != "" else chosen
            merged.update(config)
    return chosen, merged


def part_of(cls: Any, part: str, types: Any) -> Any:
    """A part of a pipeline class, of the first of these types unless a row names another; None for one that is left out.

    Raises NotBuilt.
    """
    chosen, row = rows(cls.__name__, part)
    optional = part in LEFT_OUT or part in getattr(cls, "_optional_components", ())
    if chosen is None or (optional and not chosen and not row and part not in REQUIRED):
        return None
    kind = found(chosen, cls) if chosen else _annotated(cls, types)
    if kind is None:
        return None
    try:
        return made(kind, row)
    except Exception as error:
        raise NotBuilt(f"{part} ({kind.__name__}): {type(error).__name__}: {error}") from error


# Optional parts that every released model has.
REQUIRED = {
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "tokenizer",
    "tokenizer_2",
    "tokenizer_3",
    "transformer",
}


def _annotated(cls: Any, types: Any) -> Any:
    """The first annotated class that can be made."""
    names = [STANDS_FOR.get(t.__name__, t.__name__) for t in types if isinstance(t, type)]
    names = [n for n in names if n not in ("NoneType", "list", "tuple", "bool", "str", "int", "float")]
    return found(names[0], cls) if names else None


def found(name: str, cls: Any) -> Any:
    """A class by its name: of diffusers, of transformers, of the pipeline's own module, or of the module in the name."""
    import diffusers
    import transformers

    if "." in name:
        module, _, name = name.rpartition(".")
        return getattr(importlib.import_module(module), name)
    for where in (diffusers, transformers, importlib.import_module(cls.__module__)):
        if getattr(where, name, None) is not None:
            return getattr(where, name)
    raise NotBuilt(f"{name} is neither in diffusers nor in transformers")


def made(kind: Any, row: dict[str, Any]) -> Any:
    """One small part of a class.

    "_extra" in the row is what a pipeline reads in the part's config, although the class has no such parameter.
    """
    import diffusers
    from transformers import PretrainedConfig

    if kind.__name__ in words.MAKE:
        return words.MAKE[kind.__name__](kind)
    merged = {**CLASSES.get(kind.__name__, {}), **row}
    if isinstance(getattr(kind, "config_class", None), type) and issubclass(kind.config_class, PretrainedConfig):
        return _within(kind(shrink.transformers_config(kind, merged)), *merged.get("_within", ()))
    if issubclass(kind, diffusers.ModelMixin):
        part = kind(**shrink.diffusers_config(kind, merged))
        part.register_to_config(**merged.get("_extra", {}))
        return part
    return kind(**merged)


def _within(model: Any, config: str = "", field: str = "") -> Any:
    """The model, to be saved with the config of a larger one (`config`), of which its own is one field."""
    import transformers

    if config:
        model.config = getattr(transformers, config)(**{field: model.config})
    return model


def settle(module: torch.nn.Module) -> None:
    """Eval mode, and weights for what a class leaves uninitialised or zero."""
    module.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            if not torch.isfinite(weight).all() or weight.abs().max() > 1e4 or not weight.any():
                torch.nn.init.normal_(weight, std=0.02)
