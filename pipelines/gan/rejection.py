"""Discriminator rejection sampling: keep a picture with the probability that makes the kept ones follow the real ones.

Azadi et al. 2018, arXiv 1810.06758. The logit of an optimal discriminator is log p_real / p_generated. A relativistic one's is
that up to a constant, and only differences from the largest count here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import AigcError
from ..payloads import Discriminator, Gan, Style
from ..runtime import Runtime
from . import judge, opening, styles
from .generate import drawn, images
from .network import Discriminator as Network

EPS = 1e-8
BURN_IN = 256  # pictures from which the largest logit and gamma are taken
BATCH = 32


@dataclass(frozen=True)
class Kept:
    """rate: of the tried ones, that were accepted. filled: how many had to be taken for their logit alone."""

    style: Style
    image: torch.Tensor
    logits: tuple[float, ...]
    rate: float
    tried: int
    filled: int


def acceptance(logit: torch.Tensor, largest: torch.Tensor, gamma: float | torch.Tensor) -> torch.Tensor:
    """sigmoid(F), equation 8: F = D - D_M - log(1 - exp(D - D_M - eps)) - gamma; a larger gamma accepts less."""
    return torch.sigmoid(raw(logit, largest) - gamma)


def raw(logit: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
    """F without gamma; logit at most `largest`."""
    away = (logit - largest).clamp(max=0).double()
    return away - torch.log(-torch.expm1(away - EPS))


def reject(
    gan: Gan,
    *,
    seed: int,
    keep: int,
    percentile: float = 80.0,
    most: int = 0,
    label: int = -1,
    truncation: float = 1.0,
    discriminator: Discriminator | None = None,
    runtime: Runtime,
    on_picture: Callable[[int, int], None] = lambda done, total: None,
) -> Kept:
    """`keep` pictures. percentile: of F in the burn-in, that becomes gamma: such a picture is accepted every second time;
    0 for a gamma of 0, which is exact and seldom accepts.

    most: candidates at most, 0 for 50 a picture; then the ones with the largest logits fill up. discriminator: another judge
    than the GAN's own. Candidate j is drawn from seed + j, and so is its acceptance: chunks change nothing.
    Raises AigcError for a GAN without a discriminator when no judge is given.
    """
    score = _scorer(gan, discriminator, runtime)
    burn = _logits(gan, score, (seed + 2**31) % 2**64, BURN_IN, label, truncation, runtime)
    largest = burn.max()
    gamma = torch.quantile(raw(burn, largest), percentile / 100) if percentile else 0.0
    limit, tried = most or 50 * keep, 0
    kept: list[tuple[int, float]] = []
    others: list[tuple[int, float]] = []
    while len(kept) < keep and tried < limit:
        count = min(BATCH, limit - tried)
        first = seed + tried
        logits = _logits(gan, score, first, count, label, truncation, runtime)
        for i, logit in enumerate(logits):
            if len(kept) == keep:
                break
            tried += 1
            largest = torch.maximum(largest, logit)  # updated on the way, section 3.2
            chance = _chance((first + i) % 2**64)
            (kept if chance < acceptance(logit, largest, gamma) else others).append(((first + i) % 2**64, float(logit)))
        on_picture(len(kept), keep)
    accepted = len(kept)
    kept += sorted(others, key=lambda one: -one[1])[: keep - accepted]
    style = styles.joined(*(styles.sample(gan, seed=one, count=1, label=label) for one, _ in kept))
    style = styles.mapped(gan, style, truncation=truncation, runtime=runtime)
    image = images(gan, style, runtime=runtime)
    return Kept(style, image, tuple(logit for _, logit in kept), accepted / tried, tried, len(kept) - accepted)


def _chance(seed: int) -> float:
    """Uniform in 0..1, from another stream than the seed's own, which the picture came from."""
    draw = torch.Generator().manual_seed(seed ^ 0x5DEECE66D)
    return float(torch.rand((), generator=draw, dtype=torch.float64))


Score = Callable[[torch.Tensor, "torch.Tensor | None"], torch.Tensor]


def _scorer(gan: Gan, discriminator: Discriminator | None, runtime: Runtime) -> Score:
    """Logits [b] of IMAGE [b, R, R, 3] and their classes."""
    if discriminator is not None:
        from ..score import scoring

        given = discriminator
        return lambda image, labels: torch.tensor(scoring.score(given, image, runtime=runtime).values)
    if "discriminator" not in gan.parts:
        raise AigcError(
            f"Expected a GAN with its discriminator, got {gan.path.name} with {', '.join(gan.parts)} only: connect a judge, such "
            "as one of Train Discriminator."
        )

    def own(image: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        with opening.opened(gan, "discriminator", runtime) as d, torch.no_grad():
            assert isinstance(d, Network)
            return judge.logits(d, 2 * image.movedim(-1, 1).to(runtime.device) - 1, labels).cpu()

    return own


def _logits(
    gan: Gan, score: Score, seed: int, count: int, label: int, truncation: float, runtime: Runtime
) -> torch.Tensor:
    """[count], of candidates from `seed` on."""
    out = []
    for start in range(0, count, BATCH):
        runtime.check_interrupt()
        style = styles.sample(gan, seed=seed + start, count=min(BATCH, count - start), label=label)
        style = styles.mapped(gan, style, truncation=truncation, runtime=runtime)
        with opening.generating(gan, runtime) as g, torch.no_grad():
            image = drawn(g, gan, style, slice(None), "const", runtime)
        out.append(score(image, styles.labels_of(gan, style)).double())
    return torch.cat(out)


def told(found: Kept) -> str:
    """What came of it, a line."""
    line = f"{len(found.logits)} kept of {found.tried} tried, {found.rate:.0%} accepted"
    return line + (f"; {found.filled} of them for their logit alone, since the tries ran out" if found.filled else "")
