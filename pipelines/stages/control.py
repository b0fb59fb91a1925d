"""Control nets and T2I-Adapters: the model's parts in the sibling pipeline that takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import AigcError
from ..loading import is_stub, networks
from ..payloads import Conditioning, Control, Model
from ..runtime import Runtime
from . import arguments, nets
from .encode import to_pil
from .pipe import assemble

# What stands before a pipeline's task in the name of its sibling, by the class of the control net.
WORDS = {"ControlNetUnionModel": "ControlNetUnion", "T2IAdapter": "Adapter"}
# Tasks that end a pipeline's name.
TASKS = ("VideoToVideo", "Img2Img", "Inpaint", "")
MODULAR = "ModularPipeline"
# How the siblings name the picture, its strength and its number of a kind.
PICTURES = ("control_image", "conditioning_frames", "image")
STRENGTHS = ("controlnet_conditioning_scale", "adapter_conditioning_scale")
# They take several pictures through one control net.
ONE_NET = ("QwenImageMultiControlNetModel",)
# How many kinds of pictures a union has, in its config.
KINDS = ("num_mode", "num_control_type")
# Sizes that a control net and the denoiser that it serves have alike.
SHARED = ("cross_attention_dim", "joint_attention_dim", "pooled_projection_dim")


def add_control(conditioning: Conditioning, control: Control) -> Conditioning:
    """The conditioning with one control more: the sampler will follow its picture too.

    Raises AigcError for numbers out of range, files that are no control net, and control nets of another family.
    """
    if not 0 <= control.strength < float("inf"):
        raise AigcError(f"Expected a strength of 0 or more, got {control.strength}: 0 is off, 1 as trained.")
    if not 0 <= control.start < control.end <= 1:
        raise AigcError(
            f"Expected start before end, both between 0 and 1, got {control.start} and {control.end}: 0 and 1 are all steps."
        )
    sibling(conditioning.pipeline_class, networks.class_of(control.path), control.path)
    _check_mode(control)
    return conditioning.with_control(control)


def _check_mode(control: Control) -> None:
    """Raise AigcError unless a control net of many kinds is told one of them; others read no mode."""
    config = networks.config_of(control.path)
    kinds = next((config[name] for name in KINDS if config.get(name)), 0)
    if kinds and not 0 <= control.mode < kinds:
        raise AigcError(
            f"Expected a mode from 0 to {kinds - 1} for {control.path.name}, a control net of {kinds} kinds of pictures, got "
            f"{control.mode}: the number of your picture's kind is on the control net's page."
        )


def sibling(pipeline_class: str, net: type, path: Path) -> type:
    """The pipeline that runs a model of `pipeline_class` with this kind of control net."""
    import diffusers

    if pipeline_class.endswith(MODULAR):
        raise AigcError(
            f"Expected a model of a classic pipeline for {path.name}, got the blocks of a {pipeline_class}, which are run "
            "without control nets here: open the same model's folder with a model_index.json, or remove Add Control."
        )
    word = WORDS.get(net.__name__, "ControlNet")
    task = next(task for task in TASKS if pipeline_class.endswith(f"{task}Pipeline"))
    name = f"{pipeline_class.removesuffix(f'{task}Pipeline')}{word}{task}Pipeline"
    found = getattr(diffusers, name, None)
    if found is None:
        raise AigcError(
            f"Expected a model that takes a {net.__name__}, got {pipeline_class}, for which diffusers has no such "
            f"pipeline: use another model, or remove {path.name}."
        )
    takes = [kind for kind in found._get_signature_types()[_part(found)] if isinstance(kind, type)]
    if not any(issubclass(net, kind) for kind in takes):
        raise AigcError(
            f"Expected a {takes[0].__name__} for {pipeline_class}, got {path.name}, which is a {net.__name__}: "
            "use one made for this model's family."
        )
    return found


def _part(pipeline: Any) -> str:
    """The sibling's name for its control net."""
    expected, _ = pipeline._get_signature_keys(pipeline)
    return "adapter" if "adapter" in expected else "controlnet"


def active(controls: Sequence[Control]) -> list[Control]:
    return [control for control in controls if control.strength]


@contextmanager
def controlled(pipe: Any, model: Model, controls: Sequence[Control], runtime: Runtime) -> Iterator[Any]:
    """The sibling of an open denoiser stage, with the control nets placed beside its parts; `pipe` when there are none."""
    if not controls:
        yield pipe
        return
    kinds = [sibling(model.pipeline_class, networks.class_of(c.path), c.path) for c in controls]
    if len(set(kinds)) > 1:
        raise AigcError(
            f"Expected controls of one kind, got {' and '.join(sorted({k.__name__ for k in kinds}))}: a T2I-Adapter or a "
            "control net of many kinds works only with its like."
        )
    parts = dict(pipe.components)
    for control in controls:
        _check_sizes(control.path, [part for part in parts.values() if isinstance(part, nn.Module)])
    dtype = runtime.dtype_for("denoiser", model.dtype)
    found = nets.opened([control.path for control in controls], runtime, dtype)
    options = {name: value for name, value in pipe.config.items() if name not in parts and not name.startswith("_")}
    try:
        own = _joined(kinds[0], found)
        whole = assemble(kinds[0], {**_known(kinds[0], parts), _part(kinds[0]): own}, options)
        real = [part for part in parts.values() if isinstance(part, nn.Module) and not is_stub(part) and _holds(part)]
        with runtime.placed([*real, *found]):
            yield whole
    finally:
        if model.offload == "stage":
            nets.release()


def _known(cls: Any, parts: Mapping[str, Any]) -> dict[str, Any]:
    expected, _ = cls._get_signature_keys(cls)
    return {name: part for name, part in parts.items() if name in expected}


def _holds(part: nn.Module) -> bool:
    return next(part.parameters(), None) is not None


def _joined(cls: Any, found: list[nn.Module]) -> Any:
    """One control net, or several in what the pipeline takes for several."""
    if len(found) == 1:
        return found[0]
    types = cls._get_signature_types()[_part(cls)]
    multi = next((t for t in types if isinstance(t, type) and "Multi" in t.__name__), None)
    if multi is None:
        raise AigcError(f"Expected one control for {cls.__name__}, got {len(found)}: this family takes one at a time.")
    if multi.__name__ in ONE_NET:
        if len({id(net) for net in found}) > 1:
            raise AigcError(
                f"Expected one control net for {cls.__name__}, got {len(found)}: it takes several pictures of one."
            )
        return multi(found[:1])
    return multi(found)


def _check_sizes(path: Path, parts: list[nn.Module]) -> None:
    """Raise AigcError when the control net was made for another model of the same family."""
    config = networks.config_of(path)
    denoisers = [c for part in parts if (c := getattr(part, "config", None)) is not None]
    for name in SHARED:
        mine = config.get(name)
        theirs = {c[name] for c in denoisers if hasattr(c, "get") and isinstance(c.get(name), int)}
        if isinstance(mine, int) and theirs and mine not in theirs:
            raise AigcError(
                f"Expected a control net for this model ({name} {theirs.pop()}), got {path.name} ({name} {mine}): it was "
                "made for another model, as those of SD 1.5, SD 2 and SDXL are."
            )


def control_arguments(pipe: Any, controls: Sequence[Control], size: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The pictures, strengths and steps as the sibling's call takes them: a list each for several controls."""
    if not controls:
        return {}
    names = arguments.accepted(pipe)
    # Several lists of pictures mean something else to some pipelines; T2I-Adapters read nothing but lists.
    stacked = len(controls) > 1 and _part(type(pipe)) == "controlnet"
    columns: dict[str, list[Any]] = {
        next(n for n in PICTURES if n in names): [_picture(c.image, size, rows, stacked=stacked) for c in controls],
        next(n for n in STRENGTHS if n in names): [float(c.strength) for c in controls],
    }
    if any((c.start, c.end) != (0.0, 1.0) for c in controls):
        columns.update(_steps(pipe, names, controls))
    if any(c.mode >= 0 for c in controls) and "control_mode" in names:
        columns["control_mode"] = [c.mode if c.mode >= 0 else None for c in controls]
    return {name: values if len(values) > 1 else values[0] for name, values in columns.items()}


def _steps(pipe: Any, names: Mapping[str, Any], controls: Sequence[Control]) -> dict[str, list[Any]]:
    wanted = {
        "control_guidance_start": [float(c.start) for c in controls],
        "control_guidance_end": [float(c.end) for c in controls],
    }
    if not set(wanted) <= set(names):
        raise AigcError(
            f"Expected start 0 and end 1 for {type(pipe).__name__}, which controls every step: set them so."
        )
    return wanted


def _picture(image: torch.Tensor, size: Mapping[str, Any], rows: int, *, stacked: bool) -> Any:
    """One PIL picture for every row, or one a row: a list of them, or stacked [rows, H, W, 3] at the call's size."""
    if image.shape[0] == 1:
        return to_pil(image[0])
    if image.shape[0] != rows:
        raise AigcError(
            f"Expected 1 or {rows} control images, got {image.shape[0]}: one for all or one a row of the batch."
        )
    from PIL.Image import Resampling

    pictures = [to_pil(picture) for picture in image]
    if not stacked:
        return pictures
    width, height = size.get("width", image.shape[2]), size.get("height", image.shape[1])
    return (
        np.stack([np.array(p.resize((width, height), Resampling.LANCZOS)) for p in pictures]).astype(np.float32) / 255
    )
