"""Walks sampled: a few frames at a time, with the noise that lies between the keys."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Conditioning, Model
from ..runtime import Runtime
from ..walks import Walk, slerp
from .ended import ENDED
from .frozen import latent_rows, latents_together
from .latents import Geometry, batch_rows, check, geometry
from .pipe import decoder_name, skeleton
from .replay import ENCODE, shadowed
from .table import PREPARES
from .tail import first_tensor

Sample = Callable[..., dict[str, Any]]


def check_still(shape: Geometry) -> None:
    if shape.video:
        raise AigcError(
            f"Expected a model of pictures or sound for a walk, got {shape.family}, which makes a whole video of each frame: "
            "leave the walk out."
        )


def check_recorded(conditioning: Conditioning, label: str) -> None:
    """Raise AigcError where a walk's prompts would be encoded anew: there are no such prompts."""
    if conditioning.walk is not None and label != ENCODE:
        raise AigcError(
            f"Expected a model whose prompt is encoded for every size alike, got {conditioning.pipeline_class}, which encodes it "
            "again for this one: its prompts cannot be walked between."
        )


def in_pieces(sample: Sample) -> Sample:
    """`sample`, for a walk a few rows at a time and with the walk's noise; for all else unchanged."""

    @functools.wraps(sample)
    def walked(
        model: Model, conditioning: Conditioning, latents: Mapping[str, Any], *, seed: int = 0, **given: Any
    ) -> dict[str, Any]:
        walk = latents.get("aigc_walk")
        path = conditioning.walk
        if (path is None and not isinstance(walk, Walk)) or given.get("denoise", 1.0) == 0:
            return sample(model, conditioning, latents, seed=seed, **given)
        if conditioning.pipeline_class != model.pipeline_class:
            return sample(model, conditioning, latents, seed=seed, **given)  # which says so
        pipe = skeleton(model, given.get("runtime") or Runtime())
        shape = geometry(pipe, getattr(pipe, decoder_name(model)))
        check(shape, latents["samples"])
        check_still(shape)
        whole, rows = _laid_out(conditioning, latents, shape)
        walk = whole["aigc_walk"]
        if decoder_name(model) == ENDED:
            if walk.starts != walk.ends:
                raise AigcError(
                    f"Expected one key for {shape.family}, whose noise cannot be walked between, got several: set the keys to 0."
                )
            return sample(model, conditioning, whole, seed=seed, **given)
        pieces = [range(i, min(i + walk.at_once, len(rows))) for i in range(0, len(rows), walk.at_once)]
        made = []
        for number, piece in enumerate(pieces):
            report = later(given.get("on_step"), number, len(pieces))
            options = {**given, "seed": seed, "on_step": report, "rows": [rows[i] for i in piece]}
            made.append(sample(model, conditioning, latent_rows(whole, piece), **options))
        return latents_together(made)

    return walked


def _laid_out(
    conditioning: Conditioning, latents: Mapping[str, Any], shape: Geometry
) -> tuple[dict[str, Any], list[int]]:
    """The LATENT with a row a frame, its walk and its places; and the prompt of each frame."""
    prompts, samples, walk = len(conditioning.prompts), latents["samples"], latents.get("aigc_walk")
    frames = len(samples)
    if isinstance(walk, Walk) and len(walk) != frames:
        raise AigcError(
            f"Expected latents of {len(walk)} frames for their walk, got {frames}: connect Walk Latents itself."
        )
    if conditioning.walk is not None and frames not in (1, prompts):
        raise AigcError(
            f"Expected latents of one row, or of the {prompts} frames of the walk between prompts, got {frames}: give both walks "
            "the same number of frames."
        )
    rows = batch_rows(prompts, samples, shape)
    if frames == 1:
        samples = samples.expand(len(rows), *samples.shape[1:])
    if not isinstance(walk, Walk):  # all frames of a walk between prompts begin with the same noise
        assert conditioning.walk is not None
        still = (0,) * len(rows)
        walk = Walk(still, still, (0.0,) * len(rows), conditioning.walk.at_once)
    out = {**latents, "samples": samples, "batch_index": list(walk.starts), "aigc_walk": walk}
    if isinstance(mask := latents.get("noise_mask"), torch.Tensor):
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
        out["noise_mask"] = mask.expand(len(rows), *mask.shape[1:]) if len(mask) == 1 else mask
    return out, rows


def later(on_step: Callable[..., None] | None, before: int, pieces: int) -> Callable[..., None] | None:
    """Steps of one piece as those of all: `before` pieces are done."""
    if on_step is None:
        return None
    return lambda done, total, preview: on_step(before * total + done, pieces * total, preview)


@contextmanager
def noise_between(
    pipe: Any, walk: Any, seed: int, generators: Sequence[torch.Generator]
) -> Iterator[Callable[[], None]]:
    """While open, `prepare_latents` returns noise between that of two keys' seeds, row by row.

    Gives what to call after each step: it raises AigcError where steps draw noise too, which has no middle. Without a walk
    between different keys nothing changes.
    """
    if not isinstance(walk, Walk) or walk.starts == walk.ends:
        yield lambda: None
        return
    name = next((n for n in PREPARES if hasattr(pipe, n)), None)
    if name is None:
        raise AigcError(
            f"Expected a model that prepares noise, got {type(pipe).__name__}: set the keys of the walk to 0."
        )
    original, drawn = getattr(pipe, name), []

    def prepare(*args: Any, **kwargs: Any) -> Any:
        sides: list[torch.Tensor] = []
        result: Any = None
        for places in (walk.starts, walk.ends):
            for generator, place in zip(generators, places):
                generator.manual_seed((seed + place) % 2**64)
            result = original(*args, **kwargs)
            sides.append(first_tensor(result).clone())
        last = first_tensor(result)
        if len(last) != len(walk):
            raise AigcError(
                f"Expected noise of {len(walk)} rows, got {len(last)}: this family's noise cannot be walked between. Set the keys "
                "to 0."
            )
        pairs = zip(sides[0].flatten(1).float(), sides[1].flatten(1).float(), walk.shares)
        last.copy_(torch.stack([slerp(a, b, share) for a, b, share in pairs]).reshape(last.shape))
        drawn[:] = [generator.get_state() for generator in generators]
        return result

    def check_drawn() -> None:
        if drawn and any(not torch.equal(was, g.get_state()) for was, g in zip(drawn, generators)):
            raise AigcError(
                "Expected a scheduler that draws no noise of its own for a walk between noises, got one that does: choose another, "
                "such as euler or ddim, or set the keys to 0."
            )

    with shadowed(pipe, name, prepare):
        yield check_drawn
