"""What a run trains: an objective knows its networks and one step of itself, and nothing of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

Terms = dict[str, float]


class Shown(Protocol):
    """What a step is shown: pixels [B, 3, H, W] in -1..1, and what is known of each."""

    pixels: torch.Tensor
    captions: tuple[str, ...]
    labels: torch.Tensor


Check = Callable[[], None]  # raises what stops a run; called now and then inside an examination


def unchecked() -> None:
    """Nothing stops it."""


Feed = Callable[[int], Any]  # batch k as a `Shown`: a function of k alone, so that a resumed run is shown the same


class Objective(Protocol):
    """networks: all that a checkpoint holds, averages among them. optimizers and their rates: by name. memory: numbers that
    steps carry on."""

    memory: dict[str, Any]

    @property
    def networks(self) -> Mapping[str, nn.Module]: ...

    @property
    def optimizers(self) -> Mapping[str, Optimizer]: ...

    @property
    def rates(self) -> Mapping[str, float]: ...

    def step(self, shown: Any, rng: torch.Generator) -> Terms:
        """One update on one batch of the feed: a `Shown`, or what its own feed makes of one. Everything that it draws comes from
        `rng` (on the CPU). Returns its terms."""
        ...

    def examine(self) -> dict[str, Any]:
        """On held-out data, from fixed seeds; "score" is there, and lower is better. What is no number is not drawn."""
        ...

    def pictures(self, count: int) -> torch.Tensor:
        """[count, H, W, 3] in 0..1, from fixed seeds."""
        ...


@dataclass(frozen=True)
class Course:
    """How a run goes. steps: in all, over every sitting. minutes: of this sitting; it can be resumed after that.

    batch: pictures a step. seed: of every draw. warm_up: steps in which the rate rises. anneal: the share of the steps, at
    the end, in which it falls to nothing along a cosine. examine_every: steps between examinations, 0: only at the end.
    save_minutes: between checkpoints.
    """

    steps: int = 10_000
    minutes: float = float("inf")
    batch: int = 32
    seed: int = 0
    warm_up: int = 100
    anneal: float = 0.0
    examine_every: int = 500
    save_minutes: float = 5.0

    def fixed(self) -> dict[str, Any]:
        """What a resumed run must share with the run before, its length only where the rate depends on it."""
        names = ("batch", "seed", "warm_up", "anneal", "examine_every", *(("steps",) if self.anneal else ()))
        return {name: getattr(self, name) for name in names}
