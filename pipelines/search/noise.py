"""Search over the noise that sampling begins with: Ma et al. 2025, arXiv 2501.09732."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import AigcError
from ..menus import METHODS
from ..payloads import Discriminator, Scores
from ..score import choosing
from ..stages.frozen import latent_rows, latents_together
from ..stages.particles import Sampler, spread
from ..stages.picture_start import wants_start
from ..stages.pipe import skeleton
from .judged import Found, by_prompt, check, found, rated
from .progress import Progress


class Neighbours:
    """Changes drawn noise into neighbours of pivots on the sphere, and remembers what sampling began with.

    pivots: [P, ...], one a prompt, or None for noise as it is drawn; z = sqrt(1 - radius^2) pivot + radius noise has the
    length and the distribution of noise. own: rows that keep their own.
    """

    def __init__(self, pivots: torch.Tensor | None, rows: Sequence[int], radius: float) -> None:
        self.pivots, self.rows, self.radius = pivots, rows, radius
        self.began: torch.Tensor | None = None

    def __call__(self, latents: torch.Tensor) -> None:
        if self.pivots is not None:
            if len(latents) != len(self.rows):
                raise AigcError(
                    f"Expected noise of {len(self.rows)} rows, got {len(latents)}: this family's noise cannot be searched. "
                    "Use Best of N."
                )
            pivots = self.pivots[list(self.rows)].to(latents)
            latents.copy_(math.sqrt(1 - self.radius**2) * pivots + self.radius * latents)
        self.began = latents.detach().cpu().clone()


def search_noise(
    sampler: Sampler,
    latents: Mapping[str, Any],
    judge: Discriminator,
    *,
    method: str = "zero-order",
    budget: int = 16,
    each: int = 4,
    radius: float = 0.3,
) -> Found:
    """The best of about `budget` whole runs for each prompt, `each` at a time.

    method: "random" draws new noise each time; "zero-order" draws neighbours of the best so far, at `radius` 0..1: 1 is new
    noise. latents: a LATENT of one row, or one a prompt. Raises AigcError when an input does not fit.
    """
    _check(sampler, method, budget, each, radius)
    check(judge, latents, sampler.runtime)
    rounds = -(-budget // each)
    batch, rows = spread(sampler.model, sampler.conditioning, latents, budget, sampler.runtime)
    prompts = len(sampler.conditioning.prompts)
    progress = Progress(sampler.on_step, len(rows) * sampler.steps, sampler.steps)
    run = replace(sampler, on_step=progress)
    pivots: torch.Tensor | None = None
    best: list[float] = [float("-inf")] * prompts
    made: list[dict[str, Any]] = []
    judged: list[Scores] = []
    every: list[int] = []
    lines = [f"{method} search of {budget} runs a prompt by {judge.spec.id}, higher is better."]
    for number in range(rounds):
        runtime_rows = [
            p * budget + i for p in range(prompts) for i in range(number * each, min((number + 1) * each, budget))
        ]
        mine = [rows[i] for i in runtime_rows]
        progress.rows = len(mine)
        around = Neighbours(pivots if method == "zero-order" else None, mine, radius)
        done = run.start(latent_rows(batch, runtime_rows), mine, change_noise=around)
        assert isinstance(done, dict) and around.began is not None
        scores = rated(run, judge, done, mine)
        made, judged, every = [*made, done], [*judged, scores], [*every, *mine]
        best, pivots = _better(best, pivots, around.began, mine, scores.values)
        lines.append(f"round {number + 1} of {rounds}: best so far " + ", ".join(f"{value:.4g}" for value in best))
    order = [i for p in range(prompts) for i, row in enumerate(every) if row == p]
    whole = choosing.taken(latents_together(made), order, len(every))
    scores = choosing.taken(_joined(judged), order, len(every))
    return found(whole, scores, [every[i] for i in order], 1, "\n".join(lines))


def _check(sampler: Sampler, method: str, budget: int, each: int, radius: float) -> None:
    if method not in METHODS:
        raise AigcError(f"Expected a method of search, got '{method}': choose one of {', '.join(METHODS)}.")
    if budget < 1 or each < 1:
        raise AigcError(
            f"Expected a budget and runs a round of 1 or more, got {budget} and {each}: 16 and 4 are usual."
        )
    if not 0 < radius <= 1:
        raise AigcError(f"Expected a radius above 0 and up to 1, got {radius}: 0.3 stays close, 1 is new noise.")
    given = sampler.conditioning.arguments
    if given.get("image") is not None or wants_start(skeleton(sampler.model, sampler.runtime), given):
        raise AigcError(
            f"Expected a model that begins with noise alone, got {sampler.model.pipeline_class} with a picture: use Best of N."
        )


def _better(
    best: list[float], pivots: torch.Tensor | None, began: torch.Tensor, rows: Sequence[int], values: Sequence[float]
) -> tuple[list[float], torch.Tensor]:
    """The best score of every prompt so far, and the noise that it began with [P, ...]."""
    first = by_prompt(rows, values)
    kept = began[[places[0] for places in first.values()]] if pivots is None else pivots.clone()
    best = list(best)
    for prompt, places in first.items():
        if values[places[0]] > best[prompt]:
            best[prompt], kept[prompt] = values[places[0]], began[places[0]]
    return best, kept


def _joined(parts: Sequence[Scores]) -> Scores:
    """Scores of several batches by one judge, one after another."""

    def all_of(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if any(value is None for value in values) else sum(values, ())

    return replace(parts[0], **{name: all_of(name) for name in choosing.AXIS_FIELDS})
