"""The encode stage of a modular model: its encoder blocks one after the other, each with only its own weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...errors import AigcError
from ...payloads import Conditioning, Model, Recorded
from ...runtime import Runtime
from .. import arguments
from ..encode import call_arguments, check_encodable, encoding_strength, paired
from ..replay import map_tensors
from ..table import SEEDED_BLOCKS
from .dressed import SIZES, before_denoise, blocks_by_stage, quiet
from .folder import present
from .stage import real_parts, skeleton, stage

REQUIRED = {"text_encoder"}


def encode_prompt(
    model: Model,
    prompts: Sequence[str],
    negative_prompts: Sequence[str] = ("",),
    *,
    guided: bool = True,
    images: torch.Tensor | None = None,
    extra: Mapping[str, Any] | None = None,
    runtime: Runtime | None = None,
) -> Conditioning:
    """Run every block before `denoise` that these inputs ask for, and keep what they put into the state.

    Arguments and errors as for a classic model. The record is one call: a dict of tensors by the names under which
    the denoise block looks for them, rows along the first dimension.
    """
    runtime = runtime or Runtime()
    texts, negatives = paired(prompts, negative_prompts)
    check_encodable([*texts, *negatives])
    plain = skeleton(model, runtime)
    extra = call_arguments(plain, images, extra)
    rows = list(zip(texts, negatives, strict=True))
    together = [[row] for row in rows] if plain.ended is not None else [rows]
    calls = [_inputs(plain, part, guided, extra) for part in together]
    flow = blocks_by_stage(plain.blocks, calls[0])
    _check_written(plain, flow, calls[0])
    states = [plain.begin(flow, inputs) for inputs in calls]
    kept: list[dict[str, Any]] = [{} for _ in calls]
    for top in before_denoise(flow):
        if top in SEEDED_BLOCKS or _left_out(model, plain, top, calls[0]):
            continue
        for inputs, state, values in zip(calls, states, kept, strict=True):
            runtime.check_interrupt()
            with quiet(), stage(model, top, runtime, inputs=inputs) as pipe:
                pipe.guide(encoding_strength(pipe, guided))
                pipe.run(state, blocks_by_stage(pipe.blocks, inputs)[top])
            values.update(_made(flow[top], state, inputs))
    recorded = [
        Recorded("encode_prompt", inputs.get("prompt"), map_tensors(values, lambda t: t.detach().cpu()))
        for inputs, values in zip(calls, kept, strict=True)
    ]
    return Conditioning(model.pipeline_class, tuple(recorded), texts, negatives, guided, extra)


def _inputs(pipe: Any, rows: Sequence[tuple[str, str]], guided: bool, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a call is given to encode these prompts and negatives."""
    texts, negatives = zip(*rows, strict=True)
    generator = torch.Generator("cpu").manual_seed(0)
    return {**arguments.prompts(pipe, texts, negatives, guided), **extra, "generator": generator}


def _check_written(pipe: Any, flow: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Raise AigcError for what blocks that the sampler runs must be given, and are not."""
    blocks = [block for top in SEEDED_BLOCKS for _, block in flow.get(top, ())]
    made = {out.name for block in blocks for out in block.intermediate_outputs}
    wanted = {w.name for block in blocks for w in block.inputs if w.required and w.name not in made}
    missing = sorted(name for name in wanted if inputs.get(name) is None)
    if missing:
        raise AigcError(f"Expected {', '.join(missing)} for {type(pipe).__name__}, got none: give it as an argument.")


def _made(blocks: Sequence[tuple[str, Any]], state: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What these blocks put into the state. A size only where it was given, and made another: else the sampler knows it."""
    names = {out.name for _, block in blocks for out in block.intermediate_outputs} - {*SIZES}
    read = {wanted.name for _, block in blocks for wanted in block.inputs}
    sizes = {name for name in SIZES if name in read and inputs.get(name) is not None}
    return {name: state.get(name) for name in (*names, *sizes)}


def _left_out(model: Model, plain: Any, top: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a block is optional and not installed: it has parts with weights, none of which are in the folder.

    FLUX.3's prompt upsampler is one: a second language model, which rewrites the prompt if it is there.
    """
    specs = [plain._component_specs[name] for name in real_parts(plain, top, inputs)]
    return top not in REQUIRED and bool(specs) and not any(present(model, spec) for spec in specs)
