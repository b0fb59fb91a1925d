"""Families that are sampled one row at a time, and as a whole: their calls take one prompt and one seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import AigcError
from ..payloads import Conditioning, Guide, Model
from ..runtime import Runtime
from .ended import ALONG, ENDED, padded, reason
from .latents import batch_rows, check, geometry
from .pipe import decoder_name, skeleton
from .walked import later

Sample = Callable[..., dict[str, Any]]


def one_by_one(sample: Sample) -> Sample:
    """`sample`, called once for each row of a family whose own blocks decode; for all others unchanged."""

    @functools.wraps(sample)
    def rows_of(
        model: Model, conditioning: Conditioning, latents: Mapping[str, Any], *, seed: int = 0, **given: Any
    ) -> dict[str, Any]:
        at_once = given.get("denoise", 1.0) == 0 or conditioning.pipeline_class != model.pipeline_class
        if at_once or decoder_name(model) != ENDED:
            return sample(model, conditioning, latents, seed=seed, **given)
        pipe = skeleton(model, given.get("runtime") or Runtime())
        shape = geometry(pipe, pipe.ended)
        check(shape, latents["samples"])
        _check_whole(pipe, latents, given.get("denoise", 1.0), given.get("guide"))
        rows = batch_rows(len(conditioning.prompts), latents["samples"], shape)
        places = list(latents.get("batch_index") or range(len(rows)))
        places = places if len(places) == len(rows) else list(range(len(rows)))
        plain = {k: v for k, v in latents.items() if k != "batch_index"}
        samples = latents["samples"].expand(len(rows), *latents["samples"].shape[1:])
        made = []
        for i, row in enumerate(rows):
            one, report = {**plain, "samples": samples[i : i + 1]}, later(given.get("on_step"), i, len(rows))
            options = {**given, "seed": seed + places[i], "on_step": report}
            made.append(sample(model, _narrowed(conditioning, row), one, **options))
        return _together(latents, made)

    return rows_of


def _check_whole(pipe: Any, latents: Mapping[str, Any], denoise: float, guide: Guide | None) -> None:
    """Raise AigcError for what needs the way from a LATENT back into the denoiser's space."""
    got = {
        f"denoise {denoise}": 0 < denoise < 1,
        "a noise mask": latents.get("noise_mask") is not None,
        "a judge": guide is not None and bool(guide.weight),
    }
    partly = next((word for word, given in got.items() if given), "")
    if partly:
        raise AigcError(
            f"Expected a run from pure noise for {type(pipe).__name__}, got {partly}: {reason(pipe)}, so there is no way "
            "back from its LATENT into the denoiser. Set denoise to 1, without mask and judge."
        )


def _narrowed(conditioning: Conditioning, row: int) -> Conditioning:
    """The conditioning of one of its prompts, each of which was recorded by itself."""
    texts, negatives = conditioning.prompts[row : row + 1], conditioning.negative_prompts[row : row + 1]
    return replace(conditioning, prompts=texts, negative_prompts=negatives, calls=conditioning.calls[row : row + 1])


def _together(given: Mapping[str, Any], made: list[dict[str, Any]]) -> dict[str, Any]:
    """One LATENT of the rows' own; shorter ones end in zeros, and `Beside` knows their lengths."""
    if len(made) == 1:
        return {**made[0], **{k: v for k, v in given.items() if k == "batch_index"}}
    traces = [one["aigc"] for one in made]
    samples = padded([one["samples"] for one in made], ALONG)
    trace = replace(
        traces[0],
        samples=samples,
        raw=padded([trace.raw for trace in traces], ALONG),
        decode_arguments=(tuple(beside for trace in traces for beside in trace.decode_arguments[0]), {}),
    )
    return {**given, "samples": samples, "aigc": trace}
