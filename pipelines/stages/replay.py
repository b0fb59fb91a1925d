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
from .table import SEEDED, SIZES_ENCODED

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


def _question(method: Callable[..., Any], label: str, args: Any, kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
    """What tells one call of an encoder from another: its prompt, and the sizes that it is told or that its picture has."""
    try:
        given = inspect.signature(method).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None, ()
    if label != ENCODE:
        return given.get("prompt"), tuple(given[name] for name in SIZES_ENCODED if name in given)
    return None, next((tuple(v.shape) for v in given.values() if isinstance(v, torch.Tensor)), ())


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
            prompt, size = _question(original, label, args, kwargs)
            calls.append(Recorded(label, prompt, map_tensors(result, lambda t: t.cpu()), size))
            return result

        return shadowed(target, name, call)

    with ExitStack() as stack:
        for name in ENCODERS:
            if hasattr(pipe, name) and "generator" not in inspect.signature(getattr(pipe, name)).parameters:
                stack.enter_context(recorder(pipe, name))
        if decoder is not None and hasattr(decoder, "encode"):
            stack.enter_context(recorder(decoder, "encode"))
        yield calls


@contextmanager
def drawing(seed: int, device: torch.device) -> Iterator[None]:
    """torch's own generators of the CPU and of `device`, for what draws from none that it is given; put back afterwards."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def seeded(encoded: Any, generators: Sequence[torch.Generator]) -> Any:
    """What `vae.encode` returned, drawing from these generators, one a row, where a pipeline names none (SD 3's controls)."""
    posterior = getattr(encoded, "latent_dist", None)
    if posterior is None or not generators or not hasattr(posterior, "std"):
        return encoded
    draw = posterior.sample

    def sample(generator: Any = None) -> torch.Tensor:
        mean, std = posterior.mean, posterior.std
        if mean.ndim == 3 and len(mean) == 1:  # one sound that every row is made of (ACE-Step)
            mean, std = (value.expand(len(generators), -1, -1) for value in (mean, std))
        if generator is not None or len(mean) % len(generators):
            return draw(generator)
        rows = (len(mean) // len(generators), *mean.shape[1:])
        noise = torch.stack([torch.randn(rows, generator=one) for one in generators], dim=1).flatten(0, 1)
        return mean + std * noise.to(mean)

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
    generators: Sequence[torch.Generator] = (),
) -> Iterator[None]:
    """Answer the pipeline's encoder calls from the record, grown to the batch that `rows` describes.

    encode(label, *args, **kwargs): encodes what was not recorded at this size; None where no denoiser reads the answer:
    the decoder then encodes itself, and prompts are answered at whatever size they were recorded.
    generators: one a row, for pipelines that draw from a picture's posterior without one.
    """
    waiting = list(calls)

    def answer(label: str, asked: Any, size: tuple[Any, ...]) -> Any:
        """The recorded call that fits best, each once before any comes twice; None if there is none."""
        strict = label == ENCODE or encode is not None
        known = [c for c in calls if c.method == label and (not strict or c.size == size)]
        mine = [c for c in waiting if any(c is k for k in known)] or known[-1:]
        wanted = _by_row(asked, rows) if label != ENCODE else None
        same = (c for c in mine if wanted is not None and _is_for(c.prompt, wanted))
        chosen = next(same, next(iter(mine), None))
        waiting[:] = [c for c in waiting if c is not chosen]  # by identity: tensors do not compare to one truth
        return chosen

    def player(target: Any, name: str, label: str) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            chosen = answer(label, *_question(original, label, args, kwargs))
            if chosen is None:
                made = encode(label, *args, **kwargs) if encode is not None else original(*args, **kwargs)
                return seeded(made, generators)
            grown = _expand(chosen.result, prompts, rows, halves, guided)
            return seeded(map_tensors(grown, lambda t: t.to(device)), generators)

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


def _by_row(asked: Any, rows: Sequence[int]) -> dict[int, str] | None:
    """The prompt that an expanded list asks for, by its place in the record; a batch may leave some of them out."""
    asked = _singles(asked)
    if asked is None or len(asked) != len(rows):
        return None if asked is None else dict(enumerate(asked))
    return dict(zip(rows, asked))


def _is_for(prompt: Any, wanted: dict[int, str]) -> bool:
    """Whether a recorded call was for these prompts."""
    known = _singles(prompt)
    return known is not None and max(wanted, default=0) < len(known) and all(known[i] == t for i, t in wanted.items())


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


@contextmanager
def calling(modules: Sequence[nn.Module], check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before each forward of these modules."""
    handles = [module.register_forward_pre_hook(lambda *_: check()) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
