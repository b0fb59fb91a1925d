"""Best of N by successive halving: candidates are judged before they are finished, and the hopeless ones end there.

Jamieson and Talwalkar 2016, arXiv 1502.07943: judge all cheaply, keep the better ones, spend more on those. Two things are
cheap here: a draft, which is the same noise sampled in fewer steps, and the estimate of the clean sample that a sampler has
at every step. A draft costs steps that are not used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..errors import AigcError
from ..menus import JUDGE_ON as ON
from ..payloads import Discriminator
from ..stages.frozen import Frozen, join, latent_rows, latents_together
from ..stages.particles import Sampler, spread
from .judged import Found, by_prompt, check, estimated, found, rated
from .progress import Progress


@dataclass(frozen=True)
class Plan:
    """When candidates are judged: after `shares` of the steps, one of `factor` going on each time.

    drafts: the judge sees the same noise sampled in that share of the steps, `least` at least; else the estimate at that
    step, where the rest goes on.
    """

    shares: tuple[float, ...] = ()
    factor: int = 2
    drafts: bool = True
    least: int = 2  # a solver of second order needs two

    def draft_steps(self, steps: int, share: float) -> int:
        return min(steps, max(self.least, round(share * steps)))


OFF = Plan()
AUTO = {
    "drafts": Plan((0.27,), 4, least=6),
    "estimates": Plan((0.5, 0.75), 2, False),
}  # benchmarks/measures/best_of_halving.py


def shares_of(text: str) -> tuple[float, ...]:
    """Rising shares of the steps, 0..1, none for "off". Raises AigcError for other text."""
    word = text.strip().lower()
    try:
        shares = () if word == "off" else tuple(float(part) for part in word.replace(",", " ").split())
    except ValueError:
        shares = (-1.0,)
    if any(not 0 < share < 1 for share in shares) or list(shares) != sorted(set(shares)):
        raise AigcError(
            f"Expected auto, off, or rising shares of the steps between 0 and 1, got '{text}': 0.5, 0.75 judges after half and "
            "three quarters of them."
        )
    return shares


def plan_of(text: str, on: str = "estimates") -> Plan:
    """ "auto", "off", or the shares at which the worse half is dropped. Raises AigcError for other text."""
    if on not in ON:
        raise AigcError(f"Expected to judge on drafts or estimates, got '{on}'.")
    if text.strip().lower() in ("", "auto"):
        return AUTO[on]
    return Plan(shares_of(text), 2, on == "drafts")


def survivors(candidates: int, keep: int, plan: Plan, steps: int = 30) -> list[tuple[float, int]]:
    """After which share how many of a prompt's candidates go on: never fewer than are kept, and no share for nothing."""
    left, out = candidates, []
    for share in plan.shares:
        then = max(keep, -(-left // plan.factor))
        if then < left and not (plan.drafts and plan.draft_steps(steps, share) == steps):
            out.append((share, then))
            left = then
    return out


def best_of(
    sampler: Sampler,
    latents: Mapping[str, Any],
    judge: Discriminator,
    *,
    candidates: int = 8,
    keep: int = 1,
    plan: Plan = AUTO["estimates"],
    at_once: int = 0,
) -> Found:
    """The best `keep` of `candidates` for each prompt; candidate i has the noise of seed + i.

    latents: a LATENT of one row, or one a prompt. plan: OFF for a plain best of N. at_once: how many rows are sampled at a
    time, 0 for all. Raises AigcError when an input does not fit, or the model or scheduler cannot be stopped part-way.
    """
    if not 1 <= keep <= candidates:
        raise AigcError(f"Expected to keep between 1 and all {candidates} candidates, got {keep}: change keep.")
    check(judge, latents, sampler.runtime)
    batch, rows = spread(sampler.model, sampler.conditioning, latents, candidates, sampler.runtime)
    rounds = survivors(candidates, keep, plan, sampler.steps)
    progress = Progress(sampler.on_step, _work(sampler, candidates, rounds, plan), sampler.steps)
    run = _Pieces(replace(sampler, on_step=progress), progress, at_once or len(rows))
    lines = [f"Best {keep} of {candidates} a prompt by {judge.spec.id}, higher is better."]
    judging = _on_drafts if plan.drafts else _on_estimates
    state: Any = (batch, rows)
    for share, survive in rounds:
        places, rows, values, when, state = judging(run, judge, state, plan, share)
        order = by_prompt(rows, values)
        lines += _told(sampler, places, order, values, survive, when)
        stay = sorted(place for best in order.values() for place in best[:survive])
        rows = [rows[i] for i in stay]
        state = (latent_rows(state[0], stay), rows) if plan.drafts else state.take(stay)
    done = latents_together(run.go_on(state, 1.0) if isinstance(state, Frozen) else run.begin(state, 1.0))
    scores = rated(sampler, judge, done, rows)
    lines += _told(sampler, done["batch_index"], by_prompt(rows, scores.values), scores.values, keep, "finished")
    whole = candidates * len(sampler.conditioning.prompts) * sampler.steps
    lines.append(f"{progress.done:.0f} steps of a row in place of {whole}.")
    return found(done, scores, rows, keep, "\n".join(lines))


def _work(sampler: Sampler, candidates: int, rounds: Sequence[tuple[float, int]], plan: Plan) -> float:
    """How many steps of a row all of it will be."""
    left, last, work = candidates, 0.0, 0.0
    for share, then in rounds:
        work += left * (plan.draft_steps(sampler.steps, share) if plan.drafts else (share - last) * sampler.steps)
        left, last = then, share
    rest = 1.0 if plan.drafts else 1 - last
    return (work + left * rest * sampler.steps) * len(sampler.conditioning.prompts)


def _on_drafts(run: _Pieces, judge: Discriminator, state: Any, plan: Plan, share: float) -> Any:
    """Places, rows, scores, and when: of the same noise in fewer steps."""
    batch, rows = state
    steps = plan.draft_steps(run.sampler.steps, share)
    drafts = latents_together(run.start(batch, rows, 1.0, steps=steps))
    values = rated(run.sampler, judge, drafts, rows).values
    return list(batch["batch_index"]), rows, values, f"drafts of {steps} steps", state


def _on_estimates(run: _Pieces, judge: Discriminator, state: Any, plan: Plan, share: float) -> Any:
    """The same of a run stopped after this share of the steps."""
    stopped = join(run.go_on(state, share) if isinstance(state, Frozen) else run.begin(state, share))
    values = estimated(run.sampler, judge, stopped)
    when = f"after {stopped.done} of {stopped.total} steps"
    return stopped.places, list(stopped.rows), values, when, stopped


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

    def start(self, batch: Mapping[str, Any], rows: Sequence[int], until: float, steps: int = 0) -> list[Any]:
        sampler = replace(self.sampler, steps=steps or self.sampler.steps, estimates=until < 1)
        self.progress.steps = sampler.steps
        out = []
        for places in self._cut(len(rows)):
            self.progress.rows = len(places)
            out.append(sampler.start(latent_rows(batch, places), [rows[i] for i in places], until))
        return out

    def begin(self, state: tuple[Mapping[str, Any], Sequence[int]], until: float) -> list[Any]:
        return self.start(state[0], state[1], until)

    def go_on(self, state: Frozen, until: float) -> list[Any]:
        sampler = replace(self.sampler, estimates=until < 1)
        out = []
        for places in self._cut(len(state.rows)):
            self.progress.rows = len(places)
            out.append(sampler.go_on(state.take(places), until))
        return out
