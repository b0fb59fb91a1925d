"""Walks made: what the encoders would return between several prompts, and latents whose noise lies between seeds.

That is interpolation, frame by frame; nothing in it knows of motion.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import AigcError
from ..menus import WAYS
from ..payloads import Conditioning, Model, Recorded, Trace
from ..runtime import Runtime
from ..walks import Walk, lerp, slerp, way
from .latents import check, geometry
from .pipe import decoder_name, skeleton
from .table import CFG_CONCATENATED, TEXT_IN_SAMPLER
from .walked import check_still

BETWEEN = {"straight": lerp, "sphere": slerp}


def walk_prompts(
    conditioning: Conditioning,
    *,
    frames: int,
    loop: bool,
    method: str = WAYS[0],
    middle: float = 1.0,
    at_once: int = 8,
) -> Conditioning:
    """What the encoders would have to return for `frames` frames on the way along the prompts of a conditioning.

    method: "straight", or along the "sphere" for each token. middle, at_once: as in `walks`. On a prompt's own frame its
    encoding is untouched.
    Raises AigcError for fewer than two prompts, and for encodings that have no middle.
    """
    prompts = conditioning.prompts
    if method not in WAYS:
        raise AigcError(f"Expected a way of {' or '.join(WAYS)}, got '{method}': choose one of them.")
    if conditioning.walk is not None:
        raise AigcError(
            "Expected a conditioning from Encode Prompt, got one that walks already: leave one of the walks out."
        )
    if len(prompts) < 2:
        raise AigcError(
            "Expected two prompts or more to walk between, got one: write one a line in Encode Prompt and turn on one_per_line."
        )
    if not conditioning.calls or conditioning.pipeline_class in TEXT_IN_SAMPLER:
        raise AigcError(
            f"Expected a model whose prompt is encoded before sampling, got {conditioning.pipeline_class}: there is nothing to "
            "walk between. Walk Latents walks between noises."
        )
    walk = way(len(prompts), frames=frames, loop=loop, middle=middle, at_once=at_once)
    between = functools.partial(_between, way=BETWEEN[method])
    calls = conditioning.calls
    if len(calls) == len(prompts) and all(c.prompt == p for c, p in zip(calls, prompts)):  # recorded one by one
        made = [
            replace(calls[a], prompt=label, result=between(calls[a].result, calls[b].result, share=share))
            for a, b, share, label in zip(walk.starts, walk.ends, walk.shares, _labels(prompts, walk))
        ]
    else:
        made = [
            _grown_call(call, walk, len(prompts), conditioning.pipeline_class in CFG_CONCATENATED, between)
            for call in calls
        ]
    return replace(
        conditioning,
        calls=tuple(made),
        prompts=_labels(prompts, walk),
        negative_prompts=_labels(conditioning.negative_prompts, walk),
        walk=walk,
    )


def _labels(texts: Sequence[str], walk: Walk) -> tuple[str, ...]:
    """What the frames are called, such as "a heart > a ball 25%"; a text between two that are the same is that text."""
    return tuple(
        texts[a] if not share or texts[a] == texts[b] else f"{texts[a]} > {texts[b]} {100 * share:.0f}%"
        for a, b, share in zip(walk.starts, walk.ends, walk.shares)
    )


def _grown_call(call: Recorded, walk: Walk, singles: int, halves: bool, between: Callable[..., Any]) -> Recorded:
    """A call that was recorded for all prompts, for all frames: as `replay` grows it, by the first dimension."""
    ways = list(zip(walk.starts, walk.ends, walk.shares))
    grew = False

    def rows(values: Any) -> list[Any]:
        nonlocal grew
        grew = True
        return [between(values[a], values[b], share=share) for a, b, share in ways]

    def grown(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.ndim and halves and value.shape[0] == 2 * singles:
                return torch.cat([torch.stack(rows(part)) for part in value.chunk(2)])
            return torch.stack(rows(value)) if value.ndim and value.shape[0] == singles else value
        if isinstance(value, list) and len(value) == singles and all(isinstance(v, torch.Tensor | str) for v in value):
            return rows(value)
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(grown(v) for v in value)
        if isinstance(value, list):
            return [grown(v) for v in value]
        return {k: grown(v) for k, v in value.items()} if type(value) is dict else value

    result = grown(call.result)
    if call.method == "encode_prompt" and not grew:
        raise AigcError(
            "Expected encodings of one row a prompt, got others: this model's prompts cannot be walked between."
        )
    several = isinstance(call.prompt, list | tuple) and len(call.prompt) == singles
    return replace(call, result=result, prompt=list(_labels(call.prompt, walk)) if several else call.prompt)


def _between(a: Any, b: Any, *, share: float, way: Callable[..., torch.Tensor]) -> Any:
    """The value that is `share` of the way from a to b. Raises AigcError where there is none."""
    if share in (0, 1):
        return b if share else a
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return _tensors_between(a, b, share, way)
    if isinstance(a, str) and isinstance(b, str):
        return a if share < 0.5 else b
    if type(a) is type(b) and isinstance(a, list | tuple) and len(a) == len(b):
        return type(a)([_between(x, y, share=share, way=way) for x, y in zip(a, b)])
    if isinstance(a, dict) and type(a) is type(b) is dict and a.keys() == b.keys():
        return {k: _between(a[k], b[k], share=share, way=way) for k in a}
    if type(a) is type(b) and a == b:
        return a
    raise AigcError(
        f"Expected equal values beside the encodings, got {a!r:.60} and {b!r:.60}: there is nothing between them."
    )


def _tensors_between(a: torch.Tensor, b: torch.Tensor, share: float, way: Callable[..., torch.Tensor]) -> torch.Tensor:
    if a.shape != b.shape:
        raise AigcError(
            f"Expected encodings of one length, got {list(a.shape)} and {list(b.shape)}: this model keeps as many tokens as a "
            "prompt has. Write prompts of the same number of words, or fill the shorter one up."
        )
    if torch.equal(a, b):
        return a
    if a.is_floating_point():
        return way(a.float(), b.float(), share).to(a.dtype)
    if a.dtype == torch.bool or bool(((a == 0) | (a == 1)).all() and ((b == 0) | (b == 1)).all()):
        return torch.maximum(a, b)  # masks: what either prompt looks at
    raise AigcError(
        "Expected masks or equal numbers beside the encodings, got whole numbers that differ: none lies between."
    )


def walk_latents(
    model: Model,
    latents: Mapping[str, Any],
    keys: Sequence[int],
    *,
    frames: int,
    loop: bool,
    at_once: int = 8,
    runtime: Runtime | None = None,
) -> dict[str, Any]:
    """A LATENT of `frames` rows whose noise, in the sampler, walks along the sphere between those of seed + key.

    keys: numbers of 0 or more, as places in a batch; one key gives every frame the same noise. latents: a LATENT of one row,
    which every frame starts from, or of one a key, which are walked between as well.
    Raises AigcError for a model of video, and for other numbers of rows.
    """
    pipe = skeleton(model, runtime or Runtime())
    shape = geometry(pipe, getattr(pipe, decoder_name(model)))
    samples = latents["samples"]
    check(shape, samples)
    check_still(shape)
    if not keys or min(keys) < 0:
        raise AigcError(
            f"Expected numbers of 0 or more as keys, got {list(keys)}: 0, 1 walks from the first noise to the second."
        )
    if len(samples) not in (1, len(keys)):
        raise AigcError(
            f"Expected latents of one row, or one for each of the {len(keys)} keys, got {len(samples)}: set batch_size to 1."
        )
    places = way(len(keys), frames=frames, loop=loop, at_once=at_once)

    def rows(x: torch.Tensor) -> torch.Tensor:
        if len(x) == 1:
            return x.expand(frames, *x.shape[1:]).clone()
        flat = x.float().flatten(1)
        made = [slerp(flat[a], flat[b], share) for a, b, share in zip(places.starts, places.ends, places.shares)]
        return torch.stack(made).reshape(-1, *x.shape[1:]).to(x.dtype)

    walked = rows(samples)
    out = {**latents, "samples": walked, "batch_index": [keys[a] for a in places.starts]}
    trace = latents.get("aigc")
    if isinstance(trace, Trace):
        out["aigc"] = Trace(trace.pipeline_class, walked, arguments=trace.arguments)
    if isinstance(mask := latents.get("noise_mask"), torch.Tensor):
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
        out["noise_mask"] = rows(mask) if len(mask) == len(samples) else rows(mask[:1])
    ends = tuple(keys[b] for b in places.ends)
    return {**out, "aigc_walk": replace(places, starts=tuple(out["batch_index"]), ends=ends)}
