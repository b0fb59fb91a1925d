"""What a judge says of latents, finished or estimated part-way; and what travels back to a caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .. import stages
from ..errors import AigcError
from ..payloads import Discriminator, Scores, Trace
from ..runtime import Runtime
from ..score import choosing, scoring
from ..score.judges import judging
from ..stages.frozen import Frozen
from ..stages.particles import Sampler


@dataclass(frozen=True)
class Found:
    """What a search found. latents: a LATENT, best first, prompt by prompt; scores: theirs, with their seeds.

    all_latents, all_scores: of every candidate that was finished, in the order of their places.
    """

    latents: dict[str, Any]
    scores: Scores
    report: str
    all_latents: dict[str, Any]
    all_scores: Scores


def check(judge: Discriminator, latents: Mapping[str, Any], runtime: Runtime) -> None:
    """Refuse before the first step what this judge cannot do. Raises AigcError."""
    if judge.spec.needs_reference:
        raise AigcError(
            f"Expected a judge that needs no reference for a search, got {judge.spec.id}, which compares with one: choose "
            "another judge, or use Score and Rank."
        )
    if judge.spec.modality == "latent":  # of another model's latents it says so when it sees some
        scoring.score(judge, {"samples": latents["samples"][:1]}, prompts=["-"], runtime=runtime)


def rated(sampler: Sampler, judge: Discriminator, latents: Mapping[str, Any], rows: Sequence[int]) -> Scores:
    """The judge's scores of a LATENT, one a row; a judge of pictures or sound sees it decoded, of a video the frames' mean.

    rows: the prompt of each.
    """
    texts = [sampler.conditioning.prompts[row] for row in rows]
    runtime, count = sampler.runtime, len(rows)
    seeds = [(sampler.seed + place) % 2**64 for place in latents["batch_index"]]
    if judge.spec.modality == "latent":
        scores = scoring.score(judge, latents, prompts=texts, runtime=runtime)
    elif judge.spec.modality == "audio":
        scores = scoring.score(
            judge, stages.decode_audio(sampler.model, latents, runtime=runtime), prompts=texts, runtime=runtime
        )
    else:
        frames = stages.decode_image(sampler.model, latents, runtime=runtime)
        if len(frames) == count and judge.spec.modality == "image":
            scores = scoring.score(judge, frames, prompts=texts, runtime=runtime)
        else:
            scores = _of_videos(judge, frames.unflatten(0, (count, -1)), texts, runtime)
    return replace(scores, seeds=tuple(seeds))


def _of_videos(judge: Discriminator, videos: torch.Tensor, texts: Sequence[str], runtime: Runtime) -> Scores:
    """videos: [B, F, H, W, C]; each has the mean of what the judge says of it."""
    values, raw = [], []
    for frames, text in zip(videos, texts):
        found = scoring.score(judge, frames, prompts=[text], runtime=runtime)
        values.append(sum(found.values) / max(1, len(found.values)))
        raw.append(sum(found.raw) / max(1, len(found.raw)))
    return scoring.summed_up(judge, torch.tensor(values), torch.tensor(raw), texts, [-1] * len(texts))


def estimated(sampler: Sampler, judge: Discriminator, frozen: Frozen) -> list[float]:
    """What the judge expects of the rows of a stopped run, one score a row.

    A noise-aware judge of latents is asked about the noisy sample itself: of the embedded model's that says more of the end
    than the estimate of the clean one, which is too smooth early on. All other judges see that estimate.
    """
    assert frozen.estimate is not None
    known = judge.spec.sigma_range
    if known is not None and judge.spec.modality == "latent" and frozen.noisy is not None:
        if known[0] <= frozen.sigma <= known[1]:
            return _noisy(sampler, judge, frozen)
    kept = {k: v for k, v in frozen.latents.items() if k != "noise_mask"}
    trace = kept.get("aigc")
    if isinstance(trace, Trace):  # its size still counts, what it knows of other latents does not
        kept["aigc"] = replace(trace, samples=frozen.estimate, raw=None)
    return list(rated(sampler, judge, {**kept, "samples": frozen.estimate}, frozen.rows).values)


def _noisy(sampler: Sampler, judge: Discriminator, frozen: Frozen) -> list[float]:
    assert frozen.noisy is not None
    texts = [sampler.conditioning.prompts[row] for row in frozen.rows]
    out: list[float] = []
    with judging(judge, sampler.runtime) as opened, torch.no_grad():
        for start in range(0, len(texts), opened.chunk):
            rows = slice(start, start + opened.chunk)
            x = frozen.noisy[rows].to(sampler.runtime.device)
            level = torch.full((len(x),), frozen.sigma, device=x.device)
            out += opened.logit(x, sigma=level, prompts=texts[rows]).double().tolist()
    return out


def by_prompt(rows: Sequence[int], values: Sequence[float]) -> dict[int, list[int]]:
    """For each prompt, the places of its rows, best first; what is not a number comes last."""
    order = sorted(range(len(rows)), key=lambda i: (values[i] != values[i], -values[i], i))
    return {prompt: [i for i in order if rows[i] == prompt] for prompt in dict.fromkeys(sorted(rows))}


def found(latents: dict[str, Any], scores: Scores, rows: Sequence[int], keep: int, report: str) -> Found:
    """The best `keep` of every prompt."""
    places = [i for best in by_prompt(rows, scores.values).values() for i in best[:keep]]
    return Found(
        choosing.taken(latents, places, len(rows)),
        choosing.taken(scores, places, len(rows)),
        report,
        latents,
        scores,
    )
