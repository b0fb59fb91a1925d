"""A modular pipeline for one stage: the parts that its blocks need are real, every other part is a stub or absent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ...payloads import Model
from ...runtime import Runtime
from .. import pipe as held
from ..ended import ENDED, Ended, reason
from ..table import DECODERS, SEEDED_BLOCKS
from . import folder
from .dressed import blocks_by_stage, dress, quiet

# The names that the other stages use, as top-level blocks.
TOP = {"denoiser": "denoise", "vae": "decode"}


def _role(spec: Any) -> str:
    """The role of a part with weights, which decides its dtype: "vae", "text" or "denoiser"."""
    if spec.name in DECODERS or spec.type_hint.__name__.startswith("Autoencoder"):
        return "vae"
    return "text" if spec.type_hint.__module__.startswith("transformers") else "denoiser"


def real_parts(pipe: Any, name: str, inputs: Mapping[str, Any]) -> set[str]:
    """The parts with weights that a stage needs: those its blocks expect, for a call with these inputs."""
    flow, tops = blocks_by_stage(pipe.blocks, inputs), [TOP.get(name, name)]
    blocks = [pair for top in (*tops, *(SEEDED_BLOCKS if name == "denoiser" else ())) for pair in flow.get(top, [])]
    wanted = {spec.name for _, block in blocks for spec in block.expected_components}
    return {n for n in wanted if n in pipe._component_specs and folder.is_module(pipe._component_specs[n])}


def build(model: Model, real: set[str], runtime: Runtime) -> held.Stage:
    """The dressed pipeline with `real` parts loaded. Text encoders of other stages are absent, other parts stubs."""
    with quiet():
        bare = folder.bare(model)
        pipe = dress(type(bare), bare.blocks)(blocks=bare.blocks, pretrained_model_name_or_path=str(model.path))
    pipe.stage_device = runtime.device
    ended = bool(reason(pipe))
    if ended:
        pipe.ended = Ended(pipe, blocks_by_stage(pipe.blocks, {})["decode"])
    for name, spec in pipe._component_specs.items():
        if spec.default_creation_method == "from_config":
            continue
        if not folder.is_module(spec):
            setattr(pipe, name, folder.load(model, spec))
            continue
        dtype = runtime.dtype_for(_role(spec), model.dtype)
        if name in real:
            setattr(pipe, name, folder.load(model, spec, dtype))
        elif _role(spec) != "text" and (folder.present(model, spec) or not ended):
            setattr(pipe, name, folder.stub(model, spec, runtime.device, dtype))
    return held.Stage(pipe, [p for n in sorted(real) if isinstance(p := getattr(pipe, n), nn.Module)], runtime)


def _identity(model: Model, runtime: Runtime) -> tuple[Any, ...]:
    return (*held.identity(model, runtime), model.pipeline_class)


def _keeps(model: Model, pipe: Any, runtime: Runtime) -> bool:
    """Whether stages stay loaded: as asked, or for "auto" if the whole fits in a quarter of free memory."""
    if model.offload != "auto":
        return model.offload == "keep"
    mine = sum(p.numel() * p.element_size() for s in held._stages() for m in s.parts for p in m.parameters())
    specs = [spec for spec in pipe._component_specs.values() if folder.is_module(spec)]
    total = sum(folder.part_bytes(model, spec, runtime.dtype_for(_role(spec), model.dtype)) for spec in specs)
    return total * 4 <= runtime.free_bytes() + mine


@contextmanager
def stage(
    model: Model, name: str, runtime: Runtime, *, alongside: str = "", inputs: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """The dressed pipeline for one stage, its weights on the device while open.

    name: "denoiser", "vae" or the name of a top-level block. inputs: what the call is given, where blocks depend on it.
    Stages that need the same parts share one object.
    """
    with held._lock, torch.no_grad():
        key, plain = _identity(model, runtime), skeleton(model, runtime)
        real = real_parts(plain, name, inputs or {})
        label = "+".join(sorted(real))
        beside = "+".join(sorted(real_parts(plain, alongside, {})))
        held._make_room(key, {label, beside}, _keeps(model, plain, runtime))
        if label not in held._held.get(key, {}):
            built = build(model, real, runtime)
            held._held.setdefault(key, {})[label] = built
        held._held.move_to_end(key)
        current = held._held[key][label]
        held._lay_loras(current, model)
        with runtime.placed(current.parts):
            yield current.pipe


def skeleton(model: Model, runtime: Runtime) -> Any:
    """The dressed pipeline without any weight: its blocks, shapes and defaults."""
    with held._lock:
        key = _identity(model, runtime)
        if key not in held._skeletons:
            while len(held._skeletons) >= held._KEPT_MODELS * 2:
                held._skeletons.popitem(last=False)
            held._skeletons[key] = build(model, set(), runtime).pipe
        held._skeletons.move_to_end(key)
        return held._skeletons[key]


def decoder_name(model: Model) -> str:
    """The part that turns latents into pictures, or ENDED where the pipeline's own blocks do."""
    with quiet():
        bare = folder.bare(model)
    if reason(bare):
        return ENDED
    specs = bare._component_specs
    codecs = [name for name, spec in specs.items() if folder.is_module(spec) and _role(spec) == "vae"]
    names = [name for name in codecs if name not in ("vocoder", "audio_vae")]
    return "vae" if "vae" in names else names[0]
