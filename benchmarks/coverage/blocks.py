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
from pipelines.stages.ended import PICTURES, SOUNDS
from pipelines.stages.selftest import compare
from pipelines.stages.selftest.calls import CFG, FRAMES, NEGATIVE, PROMPT, SIDE, STEPS, picture

from . import classes, miniature

INDEX = "modular_model_index.json"
# A call, and what repeats it whole.
Prepared = tuple[dict[str, Any], Callable[[], torch.Tensor]]
# What a family is called with beyond its prompt and size.
ROWS: dict[str, dict[str, Any]] = {
    "Echo": {"num_frames": 9},
    "MiniMaxH3": {"num_frames": 124, "height": 32, "width": 32},  # it makes five seconds at the least
    "MiniMaxMusic3": {"lyrics": "[verse]\nla la"},
    # two segments
    "WanAnimate2": {"driving_video": [picture(i) for i in range(FRAMES)], "segment_frame_length": 5},
}
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
    from diffusers.pipelines.pipeline_loading_utils import _fetch_class_library_tuple

    index: dict[str, Any] = {"_class_name": name, "_blocks_class_name": type(blocks_of(name)).__name__}
    for part, value in parts.items():
        hint = list(_fetch_class_library_tuple(value))
        where = {"pretrained_model_name_or_path": HUB, "subfolder": part, "variant": None, "revision": None}
        index[part] = [*hint, {**where, "type_hint": hint}]
    (folder / INDEX).write_text(json.dumps(index, indent=2), "utf-8")


def prepared(name: str, folder: Path, dtype: str) -> list[Prepared]:
    """A class's miniature saved in `folder`: its calls without and with a picture, and what the whole makes of each."""
    save(name, folder)
    blocks = blocks_of(name)
    required = {wanted.name: wanted.required for wanted in blocks.inputs}
    own = next((row for start, row in ROWS.items() if name.startswith(start)), {})
    size = {k: SIDE for k in ("height", "width") if k in required} | own
    calls = [size, {**size, "image": picture(3)}] if "image" in required else [size]
    outputs = [out.name for out in blocks.outputs if out.name in (*PICTURES, *SOUNDS)]
    return [
        (call, functools.partial(_whole, folder, call, set(required), dtype, output))
        for call in (calls[1:] if required.get("image") else calls)
        for output in outputs
    ]


def _whole(folder: Path, call: Mapping[str, Any], names: set[str], dtype: str, output: str) -> torch.Tensor:
    given = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS, **compare.SECONDS, **call}
    return compare.plain((run(folder, CFG, {k: v for k, v in given.items() if k in names}, dtype, output),))


def run(
    folder: Path, cfg: float, call: Mapping[str, Any], dtype: str = "float32", output: str = "images", seed: int = 42
) -> torch.Tensor:
    """A call of the whole pipeline, as its own `pt` output; cfg is the guider's strength."""
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
    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.no_grad():
        return pipe(**call, generator=generator, output_type="pt", output=output)


def _has_files(spec: Any) -> bool:
    return spec.default_creation_method == "from_pretrained"
