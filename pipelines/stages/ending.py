"""Where a pipeline's call ends: what it hands to its decoder, or its own answer where it has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from .arguments import accepted, decode_chunk, takes_number
from .pixels import Pixels
from .replay import StageDone, shadowed
from .table import ANSWER_LAST, OWN_DECODE

# What a pipeline handed to `decode`: the latents, and the call's other arguments.
Captured = tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]


def _done(*_: Any, **__: Any) -> None:
    raise StageDone


def _as_many_frames(pipe: Any, z: torch.Tensor) -> torch.Tensor:
    """Latents [B, C, T, H, W] with as many frames as they would decode to: pieces of a video are overlapped by frames."""
    step = pipe.vae_scale_factor_temporal
    return z.repeat_interleave(step, 2)[:, :, step - 1 :]


@contextmanager
def capturing_decode(pipe: Any, decoder: nn.Module) -> Iterator[list[Captured]]:
    """Collect what the pipeline hands to `decode` and end the call there; chunks of a long video become one."""
    captured: list[Captured] = []
    chunks: list[torch.Tensor] = []

    def decode(z: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("return_dict", None)
        chunks.append(z.detach().clone())
        captured[:] = [(torch.cat(chunks, dim) if len(chunks) > 1 else chunks[0], args, kwargs)]
        if not size:
            raise StageDone
        return DecoderOutput(sample=z if dim == 0 else _as_many_frames(pipe, z))

    size, dim = decode_chunk(pipe)
    own = OWN_DECODE.get(type(pipe).__name__)
    with ExitStack() as stack:
        if size:
            from diffusers.models.autoencoders.vae import DecoderOutput

            stack.enter_context(shadowed(pipe.video_processor, "postprocess_video", _done))
        stack.enter_context(shadowed(pipe, own, decode) if own else shadowed(decoder, "decode", decode))
        yield captured


def latents_of(pipe: Any, decoder: nn.Module, call: Mapping[str, Any], *, rows: int) -> Captured | None:
    """What a whole call of `rows` rows would decode; None for a pipeline that decodes nothing."""
    tensors = {"output_type": "pt"} if "output_type" in accepted(pipe) else {}
    out: Any = None
    with capturing_decode(pipe, decoder) as captured:
        try:
            out = pipe(**{**call, **tensors})
        except StageDone:
            pass
    if not captured:
        return (out[0], (), {}) if isinstance(decoder, Pixels) else None
    z, args, kwargs = captured[0]
    if type(pipe).__name__ in ANSWER_LAST:
        z = z.unflatten(0, (rows, -1))[:, -1]
    return z, args, kwargs


def decoded(pipe: Any, decoder: Any, z: torch.Tensor, args: Any, kwargs: Mapping[str, Any]) -> torch.Tensor:
    """What the pipeline makes of what it captured, before its processor: the decoder's output."""
    own = OWN_DECODE.get(type(pipe).__name__)
    if takes_number(decoder):
        kwargs = {**kwargs, "num_frames": len(z)}
    if own:
        return getattr(pipe, own)(z, *args, **kwargs)
    return decoder.decode(z, *args, **kwargs, return_dict=False)[0]


def remembered(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a LATENT keeps of a decoder's arguments. Of a generator its state: noise that decoding adds is the run's."""
    one = kwargs.get("generator")
    state = {"generator": one.get_state()} if isinstance(one, torch.Generator) else {}
    return {**{k: v for k, v in kwargs.items() if k != "generator"}, **state}


def recalled(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `remembered`; the generator is one of the CPU."""
    if "generator" not in kwargs:
        return dict(kwargs)
    generator = torch.Generator("cpu")
    generator.set_state(kwargs["generator"])
    return {**kwargs, "generator": generator}
