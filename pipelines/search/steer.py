"""Feynman-Kac steering: particles that a judge takes for better are copied on the way, the others end.

Singhal et al. 2025, arXiv 2501.06848. The sampler is the proposal, and a potential G_t of the judge's reward on the estimate
of the clean sample reweights its paths, so that their ends come from p(x) exp(strength r(x)). It needs a sampler that draws
noise: under an ordinary differential equation copies of a particle are one and the same to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..errors import AigcError
from ..menus import POTENTIALS
from ..payloads import Discriminator
from ..stages.frozen import Frozen
from ..stages.particles import Sampler, spread
from ..stages.pipe import skeleton
from . import stochastic
from .judged import Found, check, estimated, found, rated
from .progress import Progress

_CHILDREN = 2**40  # seeds of copies lie far from those of rows


@dataclass
class History:
    """The rewards of each particle's own path so far, and its weight since it was last chosen. All [B], float64."""

    potential: str
    strength: float
    seen: torch.Tensor  # largest, sum or last of the rewards
    log_weight: torch.Tensor
    spent: torch.Tensor  # log of the product of the potentials along the path

    @classmethod
    def new(cls, potential: str, strength: float, count: int) -> History:
        zero = torch.zeros(count, dtype=torch.float64)
        start = torch.full_like(zero, float("-inf")) if potential == "max" else zero
        return cls(potential, strength, start, zero.clone(), zero.clone())

    def meet(self, reward: torch.Tensor) -> None:
        """One judging more: log G_t is strength times the largest so far, the sum so far, or the rise (section 3)."""
        if self.potential == "max":
            self.seen = torch.maximum(self.seen, reward)
            gain = self.seen
        elif self.potential == "sum":
            self.seen = self.seen + reward
            gain = self.seen
        else:
            gain, self.seen = reward - self.seen, reward
        self._weigh(self.strength * gain)

    def end(self, reward: torch.Tensor) -> None:
        """The finished ones: what makes the product of a path's potentials exp(strength r)."""
        self._weigh(self.strength * reward - self.spent)

    def _weigh(self, log_potential: torch.Tensor) -> None:
        self.log_weight = self.log_weight + log_potential
        self.spent = self.spent + log_potential

    def take(self, places: Sequence[int], fresh: Sequence[bool]) -> None:
        """The histories of the chosen; `fresh` ones were drawn by their weight and begin at weight one."""
        index = torch.tensor(list(places))
        self.seen, self.spent, weight = self.seen[index], self.spent[index], self.log_weight[index]
        self.log_weight = torch.where(torch.tensor(list(fresh)), torch.zeros_like(weight), weight)


def effective(log_weight: torch.Tensor) -> float:
    """The effective number of particles behind these log weights [k]: 1 / sum of squared weights, 1..k."""
    return float(1 / torch.softmax(log_weight.double(), 0).square().sum())


def systematic(log_weight: torch.Tensor, generator: torch.Generator) -> list[int]:
    """Places drawn by weight with one random number (Douc and Cappe 2005, arXiv cs/0507025), in rising order."""
    count = len(log_weight)
    points = (torch.arange(count, dtype=torch.float64) + torch.rand(1, generator=generator).double()) / count
    edges = torch.softmax(log_weight.double(), 0).cumsum(0)
    return torch.searchsorted(edges, points).clamp(max=count - 1).tolist()


def steer_particles(
    sampler: Sampler,
    latents: Mapping[str, Any],
    judge: Discriminator,
    *,
    particles: int = 4,
    strength: float = 2.0,
    potential: str = "difference",
    shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
    threshold: float = 0.5,
) -> Found:
    """`particles` for each prompt, resampled after these shares of the steps where fewer than threshold * k are effective.

    latents: a LATENT of one row, or one a prompt. The best finished one of every prompt is kept.
    Raises AigcError when an input does not fit, or the scheduler draws no noise.
    """
    _check(particles, potential, threshold)
    stochastic.check(skeleton(sampler.model, sampler.runtime), sampler.scheduler)
    check(judge, latents, sampler.runtime)
    batch, rows = spread(sampler.model, sampler.conditioning, latents, particles, sampler.runtime)
    progress = Progress(sampler.on_step, len(rows) * sampler.steps, sampler.steps)
    progress.rows = len(rows)
    run = replace(sampler, on_step=progress, estimates=True, own_noise=True)
    history = History.new(potential, strength, len(rows))
    chains = [[i for i, row in enumerate(rows) if row == prompt] for prompt in dict.fromkeys(rows)]
    ancestors, lines = (
        list(range(len(rows))),
        [f"{particles} particles a prompt by {judge.spec.id}, potential {potential}."],
    )
    dice = torch.Generator("cpu").manual_seed(sampler.seed % 2**64)
    state = run.start(batch, rows, shares[0]) if shares else run.start(batch, rows)
    for event, share in enumerate([*shares[1:], 1.0]):
        if not isinstance(state, Frozen):
            break
        if not state.fresh:
            raise AigcError(
                f"Expected noise at every step, got {state.family}, whose call gives this scheduler none to draw from: choose "
                "another scheduler, or use Best of N."
            )
        history.meet(torch.tensor(estimated(run, judge, state), dtype=torch.float64))
        places, chosen = _resampled(history, chains, threshold, dice)
        lines.append(_told(sampler, state, history, chains, places, ancestors))
        history.take(places, chosen)
        ancestors = [ancestors[i] for i in places]
        state = run.go_on(_parted(state, places, sampler.seed, event), share)
    assert isinstance(state, dict)
    scores = rated(run, judge, state, rows)
    history.end(torch.tensor(scores.values, dtype=torch.float64))
    for prompt, chain in enumerate(chains):
        lines.append(
            f"{sampler.conditioning.prompts[prompt]}, finished: {effective(history.log_weight[chain]):.1f} of {particles} "
            f"effective, {len({ancestors[i] for i in chain})} different ancestors, scores "
            + ", ".join(f"{scores.values[i]:.3g}" for i in chain)
        )
    return found(state, scores, rows, 1, "\n".join(lines))


def _check(particles: int, potential: str, threshold: float) -> None:
    if particles < 1:
        raise AigcError(f"Expected at least 1 particle, got {particles}: 4 is usual.")
    if potential not in POTENTIALS:
        raise AigcError(f"Expected a potential, got '{potential}': choose one of {', '.join(POTENTIALS)}.")
    if not 0 <= threshold <= 1:
        raise AigcError(f"Expected a threshold between 0 and 1, got {threshold}: 0.5 is usual, 0 never resamples.")


def _resampled(
    history: History, chains: Sequence[Sequence[int]], threshold: float, dice: torch.Generator
) -> tuple[list[int], list[bool]]:
    """For each particle, the place of the one that takes its place, and whether it was drawn."""
    places = [i for chain in chains for i in chain]
    chosen = [False] * len(places)
    for chain in chains:
        weights = history.log_weight[list(chain)]
        if effective(weights) < threshold * len(chain):
            for slot, pick in zip(chain, systematic(weights, dice)):
                places[slot], chosen[slot] = chain[pick], True
    return places, chosen


def _parted(state: Frozen, places: Sequence[int], seed: int, event: int) -> Frozen:
    """The chosen rows; the second and further copies of one go on with noise of their own."""
    taken, used, drawn = state.take(places), set(), []
    for slot, place in enumerate(places):
        fresh = torch.Generator("cpu").manual_seed((seed + _CHILDREN + event * len(places) + slot) % 2**64)
        drawn.append(fresh.get_state() if place in used else state.drawn[place])
        used.add(place)
    return replace(taken, drawn=tuple(drawn))


def _told(
    sampler: Sampler,
    state: Frozen,
    history: History,
    chains: Sequence[Sequence[int]],
    places: Sequence[int],
    ancestors: Sequence[int],
) -> str:
    parts = []
    for prompt, chain in enumerate(chains):
        left = len({ancestors[places[i]] for i in chain})
        parts.append(
            f"{sampler.conditioning.prompts[prompt]}: {effective(history.log_weight[list(chain)]):.1f} effective, "
            f"{left} different ancestors left"
        )
    return f"after {state.done} of {state.total} steps: " + "; ".join(parts)
