"""Record what a pipeline's own methods return, replay it later, and stop a call at a chosen point."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from ..payloads import Recorded

ENCODERS = ("encode_prompt", "encode_image", "_encode_vae_image")


class StageDone(BaseException):
    """Ends a pipeline call once the stage has what it came for; no pipeline catches it."""


def map_tensors(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """`value` with every tensor in tuples, lists, dicts and plain output objects replaced by `change(tensor)`."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(map_tensors(v, change) for v in value)
    if isinstance(value, list):
        return [map_tensors(v, change) for v in value]
    if type(value) is dict:
        return {k: map_tensors(v, change) for k, v in value.items()}
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


def _prompt_of(method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return inspect.signature(method).bind(*args, **kwargs).arguments.get("prompt")
    except (TypeError, ValueError):
        return None


@contextmanager
def recording(pipe: Any, decoder: nn.Module | None) -> Iterator[list[Recorded]]:
    """Collect what the pipeline's encoders (and the autoencoder's `encode`) return while open, on the CPU."""
    calls: list[Recorded] = []

    def recorder(target: Any, name: str) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            label = name if target is pipe else f"vae.{name}"
            calls.append(Recorded(label, _prompt_of(original, args, kwargs), map_tensors(result, lambda t: t.cpu())))
            return result

        return shadowed(target, name, call)

    with ExitStack() as stack:
        for name in ENCODERS:
            if hasattr(pipe, name):
                stack.enter_context(recorder(pipe, name))
        if decoder is not None and hasattr(decoder, "encode"):
            stack.enter_context(recorder(decoder, "encode"))
        yield calls


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
        if isinstance(value, list) and len(value) == singles and all(isinstance(v, torch.Tensor) for v in value):
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
) -> Iterator[None]:
    """Answer the pipeline's encoder calls from the record, grown to the batch that `rows` describes."""
    waiting = list(calls)

    def player(target: Any, name: str, label: str) -> Any:
        original = getattr(target, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            mine = [c for c in waiting if c.method == label]
            if not mine:
                if not any(c.method == label for c in calls):
                    return original(*args, **kwargs)
                mine = [[c for c in calls if c.method == label][-1]]
            asked = _prompt_of(original, args, kwargs)
            wanted = _rows_of(asked, rows)
            chosen = next((c for c in mine if wanted is not None and _singles(c.prompt) == wanted), mine[0])
            if chosen in waiting:
                waiting.remove(chosen)
            grown = _expand(chosen.result, prompts, rows, halves, guided)
            return map_tensors(grown, lambda t: t.to(device))

        return shadowed(target, name, call)

    with ExitStack() as stack:
        for name in ENCODERS:
            if any(c.method == name for c in calls):
                stack.enter_context(player(pipe, name, name))
        if decoder is not None and any(c.method == "vae.encode" for c in calls):
            stack.enter_context(player(decoder, "encode", "vae.encode"))
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


@contextmanager
def stopping_at(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Raise StageDone when any of these modules is called."""

    def stop(*_: Any, **__: Any) -> None:
        raise StageDone

    handles = [module.register_forward_pre_hook(stop, prepend=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def capturing_decode(decoder: nn.Module) -> Iterator[list[tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]]]:
    """Collect what the pipeline hands to `decode` and end the call there."""
    captured: list[tuple[torch.Tensor, tuple[Any, ...], dict[str, Any]]] = []

    def decode(z: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("return_dict", None)
        captured.append((z.detach().clone(), args, kwargs))
        raise StageDone

    with shadowed(decoder, "decode", decode):
        yield captured
