"""Families that exist only as blocks: their miniature in a folder, and what the whole ModularPipeline makes of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pipelines.errors import AigcError
from pipelines.stages import modular
from pipelines.stages.selftest import compare
from pipelines.stages.selftest.calls import CFG, NEGATIVE, PROMPT, SIDE, STEPS, picture

from . import classes, miniature

INDEX = "modular_model_index.json"
# A call, and what repeats it whole.
Prepared = tuple[dict[str, Any], Callable[[], torch.Tensor]]
HUB = "somebody/tiny"  # what an index downloaded from the hub names; its files lie beside the index


def blocks_of(name: str) -> Any:
    """The default blocks of a modular class."""
    import diffusers

    return getattr(diffusers, getattr(diffusers, name).default_blocks_name)()


def refusal(name: str, folder: Path) -> str:
    """Why a modular model is refused when it is opened, in its own words, or "". Needs no part of it."""
    if not classes.is_modular(name):
        return ""
    write_index(name, {}, folder)
    try:
        modular.open_folder(folder)
    except AigcError as error:
        return str(error)
    return ""


def save(name: str, folder: Path) -> None:
    """A model of that class with random weights, always the same, as a folder from the hub. Raises miniature.NotBuilt."""
    import diffusers

    cls = getattr(diffusers, name)
    torch.manual_seed(0)
    parts: dict[str, Any] = {}
    for spec in blocks_of(name).expected_components:
        if _has_files(spec):
            parts[spec.name] = miniature.part_of(cls, spec.name, (spec.type_hint,))
    for module in parts.values():
        if isinstance(module, torch.nn.Module):
            miniature.settle(module)
    save_parts(name, {k: v for k, v in parts.items() if v is not None}, folder)


def save_parts(name: str, parts: Mapping[str, Any], folder: Path) -> None:
    """Save parts with the index that names them."""
    for part, value in parts.items():
        value.save_pretrained(folder / part)
    write_index(name, parts, folder)


def write_index(name: str, parts: Mapping[str, Any], folder: Path) -> None:
    """The index of a modular class, its parts beside it."""
    index: dict[str, Any] = {"_class_name": name, "_blocks_class_name": type(blocks_of(name)).__name__}
    for part, value in parts.items():
        hint = [type(value).__module__.split(".")[0], type(value).__name__]
        where = {"pretrained_model_name_or_path": HUB, "subfolder": part, "variant": None, "revision": None}
        index[part] = [*hint, {**where, "type_hint": hint}]
    (folder / INDEX).write_text(json.dumps(index, indent=2), "utf-8")


def prepared(name: str, folder: Path, dtype: str) -> list[Prepared]:
    """A class's miniature saved in `folder`: its calls without and with a picture, and what the whole makes of each."""
    save(name, folder)
    names = {wanted.name for wanted in blocks_of(name).inputs}
    size = {k: SIDE for k in ("height", "width") if k in names}
    calls = [size, {**size, "image": picture(3)}] if "image" in names else [size]
    return [(call, functools.partial(_whole, folder, call, names, dtype)) for call in calls]


def _whole(folder: Path, call: Mapping[str, Any], names: set[str], dtype: str) -> torch.Tensor:
    given = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, **call}
    return compare.plain((run(folder, CFG, {k: v for k, v in given.items() if k in names}, dtype),))


def run(folder: Path, cfg: float, call: Mapping[str, Any], dtype: str = "float32") -> torch.Tensor:
    """A call of the whole pipeline with seed 42, as its own `pt` output; cfg is the guider's strength."""
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    index = json.loads((folder / INDEX).read_text("utf-8"))
    blocks = getattr(diffusers, index["_blocks_class_name"])()
    for top, block in list(blocks.sub_blocks.items()):
        parts = {spec.name for spec in block.expected_components if _has_files(spec)}
        if parts and not parts & set(index):  # a second language model that rewrites the prompt: optional, and left out
            blocks.sub_blocks.pop(top)
    pipe = blocks.init_pipeline(str(folder))
    pipe.load_components(dtype=getattr(torch, dtype))
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):  # as the stages load it
            part.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    if "guider" in pipe.component_names:
        pipe.update_components(guider=pipe.get_component_spec("guider").create(guidance_scale=cfg, enabled=True))
    generator = torch.Generator("cpu").manual_seed(42)
    with torch.no_grad():
        return pipe(**call, generator=generator, output_type="pt", output="images")


def _has_files(spec: Any) -> bool:
    return spec.default_creation_method == "from_pretrained"
