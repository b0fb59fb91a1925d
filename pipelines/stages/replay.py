"""Record what a pipeline's own methods return, replay it later, and stop a call at a chosen point."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from ..payloads import Recorded
from .arguments import decode_chunk
from .table import SEEDED

# What a pipeline handed to `decode`: the latents, and the call's other arguments.
Captured = tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]
# What draws from the run's generator (`_encode_vae_image`, `encode_video`, an `encode_image` that takes one) is run anew
# by the sampler, on the recorded posterior of `vae.encode`: its noise is the seed's.
ENCODERS = ("encode_prompt", "encode_prompt_multiple_images", "encode_image", "rewire_prompt")
ENCODE = "vae.encode"  # the label of the autoencoder's own method


class StageDone(BaseException):
    """Ends a pipeline call once the stage has what it came for; no pipeline catches it."""


def map_tensors(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """`value` with every tensor in tuples, lists, dicts and diffusers' output objects replaced by `change(tensor)`."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(map_tensors(v, change) for v in value)
    if isinstance(value, list):
        return [map_tensors(v, change) for v in value]
    if type(value) is dict:
        return {k: map_tensors(v, change) for k, v in value.items()}
    if type(value).__module__.startswith("diffusers.") and isinstance(value, dict):  # an output class: keys are fields
        return type(value)(**{k: map_tensors(v, change) for k, v in value.items()})
    if type(value).__name__.endswith("Distribution"):
        changed = copy.copy(value)
        vars(changed).update({k: map_tensors(v, change) for k, v in vars(value).items()})
        return changed
    return value


@contextmanager
def shadowed(target: Any, name: str, replacement: Any) -> Iterator[None]:
    """Lay an instance attribute over a method, and take it away again whatever happens."""
    had = name in vars(target)
    before = vars(target).get(name)
    object.__setattr__(target, name, replacement)
    try:
        yield
    finally:
        if had:
            object.__setattr__(target, name, before)
        else:
            object.__delattr__(target, name)


def _question(method: Callable[..., Any], label: str, args: Any, kwargs: Any) -> Any:
    """What tells one call of an encoder from another: the prompt, or for the autoencoder the size of the pictures."""
    try:
        given = inspect.signature(method).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None
    if label != ENCODE:
        return given.get("prompt")
    return next((tuple(v.shape) for v in given.values() if isinstance(v, torch.Tensor)), None)


@contextmanager
def recording(pipe: Any, decoder: nn.Module | None) -> Iterator[list[Recorded]]:
    """Collect what the pipeline's encoders (and the autoencoder's `encode`) return while open, on the CPU."""
    calls: list[Recorded] = []

    def recorder(target: Any, name: str) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            label = name if target is pipe else ENCODE
            asked = _question(original, label, args, kwargs)
            calls.append(Recorded(label, asked, map_tensors(result, lambda t: t.cpu())))
            return result

        return shadowed(target, name, call)

    with ExitStack() as stack:
        for name in ENCODERS:
            if hasattr(pipe, name) and "generator" not in inspect.signature(getattr(pipe, name)).parameters:
                stack.enter_context(recorder(pipe, name))
        if decoder is not None and hasattr(decoder, "encode"):
            stack.enter_context(recorder(decoder, "encode"))
        yield calls


def seeded(encoded: Any, generators: Sequence[torch.Generator]) -> Any:
    """What `vae.encode` returned, drawing from these generators, one a row, where a pipeline names none (SD 3's controls)."""
    posterior = getattr(encoded, "latent_dist", None)
    if posterior is None or not generators or not hasattr(posterior, "std"):
        return encoded
    draw = posterior.sample

    def sample(generator: Any = None) -> torch.Tensor:
        if generator is not None or len(posterior.mean) % len(generators):
            return draw(generator)
        rows = (len(posterior.mean) // len(generators), *posterior.mean.shape[1:])
        noise = torch.stack([torch.randn(rows, generator=one) for one in generators], dim=1).flatten(0, 1)
        return posterior.mean + posterior.std * noise.to(posterior.mean)

    posterior.sample = sample
    return encoded


def _expand(result: Any, singles: int, rows: Sequence[int], halves: bool, guided: bool) -> Any:
    """Recorded results for `singles` prompts as results for the prompts `rows` picks (a row may come many times).

    A tensor grows along its first dimension when that is the number of prompts, or twice it (negative and positive half).
    """
    index = torch.tensor(list(rows))

    def grow(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim and tensor.shape[0] == 2 * singles and halves:
            parts = tensor.chunk(2)
            return torch.cat([part[index] for part in parts]) if guided else parts[1][index]
        return tensor[index] if tensor.ndim and tensor.shape[0] == singles else tensor

    def walk(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return grow(value)
        if isinstance(value, list) and len(value) == singles and all(isinstance(v, torch.Tensor | str) for v in value):
            return [value[i] for i in rows]
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(walk(v) for v in value)
        if isinstance(value, list):
            return [walk(v) for v in value]
        if type(value) is dict:
            return {k: walk(v) for k, v in value.items()}
        return value

    if list(rows) == list(range(singles)) and (guided or not halves):
        return result
    return walk(result)


@contextmanager
def replaying(
    pipe: Any,
    decoder: nn.Module | None,
    calls: Sequence[Recorded],
    *,
    prompts: int,
    rows: Sequence[int],
    device: torch.device,
    halves: bool = False,
    guided: bool = True,
    encode: Callable[..., Any] | None = None,
) -> Iterator[None]:
    """Answer the pipeline's encoder calls from the record, grown to the batch that `rows` describes.

    encode: the autoencoder's method for pictures that were not recorded at this size; None is the decoder's own.
    """
    waiting = list(calls)

    def answer(label: str, asked: Any) -> Any:
        """The recorded call that fits best, each once before any comes twice; None if there is none."""
        known = [c for c in calls if c.method == label and (label != ENCODE or c.prompt == asked)]
        mine = [c for c in waiting if any(c is k for k in known)] or known[-1:]
        wanted = _rows_of(asked, rows) if label != ENCODE else None
        chosen = next((c for c in mine if wanted is not None and _singles(c.prompt) == wanted), next(iter(mine), None))
        waiting[:] = [c for c in waiting if c is not chosen]  # by identity: tensors do not compare to one truth
        return chosen

    def player(target: Any, name: str, label: str) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            chosen = answer(label, _question(original, label, args, kwargs))
            if chosen is None:
                return (encode or original)(*args, **kwargs)
            grown = _expand(chosen.result, prompts, rows, halves, guided)
            return map_tensors(grown, lambda t: t.to(device))

        return shadowed(target, name, call)

    with ExitStack() as stack:
        for name in ENCODERS:
            if any(c.method == name for c in calls):
                stack.enter_context(player(pipe, name, name))
        if decoder is not None and hasattr(decoder, "encode"):
            stack.enter_context(player(decoder, "encode", ENCODE))
        yield


def _singles(prompt: Any) -> tuple[str, ...] | None:
    if prompt is None:
        return None
    return (prompt,) if isinstance(prompt, str) else tuple(prompt)


def _rows_of(asked: Any, rows: Sequence[int]) -> tuple[str, ...] | None:
    """The distinct prompts behind an expanded list, in recorded order."""
    asked = _singles(asked)
    if asked is None or len(asked) != len(rows):
        return asked
    first = {row: asked[i] for i, row in reversed(list(enumerate(rows)))}
    return tuple(first[row] for row in sorted(first))


def _done(*_: Any, **__: Any) -> None:
    raise StageDone


@contextmanager
def stopping_at(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Raise StageDone when any of these modules is called."""

    handles = [module.register_forward_pre_hook(_done, prepend=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _as_many_frames(pipe: Any, z: torch.Tensor) -> torch.Tensor:
    """Latents [B, C, T, H, W] with as many frames as they would decode to: pieces of a video are overlapped by frames."""
    step = pipe.vae_scale_factor_temporal
    return z.repeat_interleave(step, 2)[:, :, step - 1 :]


@contextmanager
def without_seeded(pipe: Any) -> Iterator[None]:
    """Go on without what is drawn from the run's seed, up to `prepare_latents`, before which nothing needs it."""
    names = [name for name in SEEDED if hasattr(pipe, name)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(shadowed(pipe, name, lambda *_, **__: (None, None, None)))
        if names:
            stack.enter_context(shadowed(pipe, "prepare_latents", _done))
        yield


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
    with ExitStack() as stack:
        if size:
            from diffusers.models.autoencoders.vae import DecoderOutput

            stack.enter_context(shadowed(pipe.video_processor, "postprocess_video", _done))
        stack.enter_context(shadowed(decoder, "decode", decode))
        yield captured
