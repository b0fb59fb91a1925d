"""Best of N by successive halving: candidates are judged on the way, and the hopeless ones end there.

Jamieson and Talwalkar 2016, arXiv 1502.07943: judge all cheaply, keep the better half, spend more on those. What is cheap
here is the estimate of the clean sample that a diffusion sampler has at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Discriminator
from ..stages.frozen import Frozen, join, latent_rows
from ..stages.particles import Sampler, spread
from .judged import Found, by_prompt, check, estimated, found, rated, together
from .progress import Progress

SHARES = (0.3, 0.6)


def shares_of(text: str, auto: tuple[float, ...] = SHARES) -> tuple[float, ...]:
    """The shares of the steps after which to judge: "auto", "off", or numbers in 0..1. Raises AigcError for other text."""
    word = text.strip().lower()
    if word in ("auto", ""):
        return auto
    if word == "off":
        return ()
    try:
        shares = tuple(float(part) for part in word.replace(",", " ").split())
    except ValueError:
        shares = (-1.0,)
    if any(not 0 < share < 1 for share in shares) or list(shares) != sorted(set(shares)):
        raise AigcError(
            f"Expected auto, off, or rising shares of the steps between 0 and 1, got '{text}': 0.5, 0.75 judges "
            "after half and three quarters of them."
        )
    return shares


def survivors(candidates: int, keep: int, shares: Sequence[float]) -> list[int]:
    """How many of a prompt's candidates go on after each share: the better half, but never fewer than are kept."""
    left, out = candidates, []
    for _ in shares:
        left = max(keep, (left + 1) // 2)
        out.append(left)
    return out


def best_of(
    sampler: Sampler,
    latents: Mapping[str, Any],
    judge: Discriminator,
    *,
    candidates: int = 8,
    keep: int = 1,
    shares: Sequence[float] = SHARES,
    at_once: int = 0,
) -> Found:
    """The best `keep` of `candidates` for each prompt; candidate i has the noise of seed + i.

    latents: a LATENT of one row, or one a prompt. shares: where candidates are judged and the worse half is dropped; none
    for a plain best of N. at_once: how many rows are sampled at a time, 0 for all.
    Raises AigcError when an input does not fit, or the model or scheduler cannot be stopped part-way.
    """
    if not 1 <= keep <= candidates:
        raise AigcError(f"Expected to keep between 1 and all {candidates} candidates, got {keep}: change keep.")
    check(judge, latents, sampler.runtime)
    batch, rows = spread(sampler.model, sampler.conditioning, latents, candidates, sampler.runtime)
    prompts, left = len(sampler.conditioning.prompts), survivors(candidates, keep, shares)
    shares = [share for share, now, then in zip(shares, [candidates, *left], left) if then < now]
    left = [then for now, then in zip([candidates, *left], left) if then < now]
    ends = [*shares, 1.0]
    work = sum(n * (b - a) for n, a, b in zip([candidates, *left], [0.0, *shares], ends)) * prompts * sampler.steps
    progress = Progress(sampler.on_step, work, sampler.steps)
    run = _Pieces(replace(sampler, on_step=progress, estimates=True), progress, at_once or len(rows))
    lines = [f"Best {keep} of {candidates} a prompt by {judge.spec.id}, higher is better."]
    state: Frozen | None = None
    for share, survive in zip(shares, left):
        state = join(run.start(batch, rows, share) if state is None else run.go_on(state, share))
        values = estimated(run.sampler, judge, state)
        order = by_prompt(state.rows, values)
        stay = sorted(place for best in order.values() for place in best[:survive])
        lines += _told(sampler, state.places, order, values, survive, f"after {state.done} of {state.total} steps")
        state = state.take(stay)
    done = together(run.start(batch, rows, 1.0) if state is None else run.go_on(state, 1.0))
    finished = rows if state is None else list(state.rows)
    scores = rated(sampler, judge, done, finished)
    order = by_prompt(finished, scores.values)
    lines += _told(sampler, done["batch_index"], order, scores.values, keep, "finished")
    lines.append(f"{progress.done:.0f} steps of a row in place of {len(rows) * sampler.steps}.")
    return found(done, scores, finished, keep, "\n".join(lines))


def _told(
    sampler: Sampler,
    places: Sequence[int],
    order: Mapping[int, Sequence[int]],
    values: Sequence[float],
    stay: int,
    when: str,
) -> list[str]:
    """Who stays and who goes at one judging, a line a prompt."""

    def each(some: Sequence[int]) -> str:
        return ", ".join(f"{(sampler.seed + places[i]) % 2**64} ({values[i]:.3g})" for i in some)

    lines = []
    for prompt, best in order.items():
        dropped = f"; out: {each(best[stay:])}" if best[stay:] else ""
        lines.append(f"{sampler.conditioning.prompts[prompt]}, {when}: seeds {each(best[:stay])}{dropped}")
    return lines


class _Pieces:
    """Runs of at most `at_once` rows, one after another."""

    def __init__(self, sampler: Sampler, progress: Progress, at_once: int) -> None:
        self.sampler, self.progress, self.at_once = sampler, progress, at_once

    def _cut(self, count: int) -> list[list[int]]:
        return [part.tolist() for part in torch.arange(count).split(self.at_once)]

    def start(self, batch: Mapping[str, Any], rows: Sequence[int], until: float) -> list[Any]:
        out = []
        for places in self._cut(len(rows)):
            self.progress.rows = len(places)
            out.append(self.sampler.start(latent_rows(batch, places), [rows[i] for i in places], until))
        return out

    def go_on(self, state: Frozen, until: float) -> list[Any]:
        out = []
        for places in self._cut(len(state.rows)):
            self.progress.rows = len(places)
            out.append(self.sampler.go_on(state.take(places), until))
        return out
