"""The encode stage of a modular model: its encoder blocks one after the other, each with only its own weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...payloads import Conditioning, Model, Recorded
from ...runtime import Runtime
from .. import arguments
from ..encode import call_arguments, check_encodable, encoding_strength, paired
from ..replay import map_tensors
from .dressed import before_denoise, blocks_by_stage, quiet
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
    inputs = {**arguments.prompts(plain, texts, negatives, guided), **extra}
    inputs["generator"] = torch.Generator("cpu").manual_seed(0)
    flow = blocks_by_stage(plain.blocks, inputs)
    state = plain.begin(flow, inputs)
    kept: dict[str, Any] = {}
    for top in before_denoise(flow):
        if _left_out(model, plain, top, inputs):
            continue
        runtime.check_interrupt()
        with quiet(), stage(model, top, runtime, inputs=inputs) as pipe:
            pipe.guide(encoding_strength(pipe, guided))
            pipe.run(state, blocks_by_stage(pipe.blocks, inputs)[top])
        kept.update({out.name: state.get(out.name) for _, block in flow[top] for out in block.intermediate_outputs})
    result = map_tensors(kept, lambda t: t.detach().cpu())
    call = Recorded("encode_prompt", inputs.get("prompt"), result)
    return Conditioning(model.pipeline_class, (call,), texts, negatives, guided, extra)


def _left_out(model: Model, plain: Any, top: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a block is optional and not installed: it has parts with weights, none of which are in the folder.

    FLUX.3's prompt upsampler is one: a second language model, which rewrites the prompt if it is there.
    """
    specs = [plain._component_specs[name] for name in real_parts(plain, top, inputs)]
    return top not in REQUIRED and bool(specs) and not any(present(model, spec) for spec in specs)
