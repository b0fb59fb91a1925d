"""Calibration: from a judge's scores to the probability of "real", and how good it is on what it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Discriminator
from ..runtime import Runtime
from . import scoring
from .learned import quantiles
from .statistics import auc, log_loss, platt

LEAST = 8  # of each kind: half of them is held out


@dataclass(frozen=True)
class Examples:
    """Of one kind, real or generated: an IMAGE, a LATENT or an AUDIO, whichever the judge takes, and a line of prompt for all
    or one each."""

    image: Any = None
    latents: Any = None
    audio: Any = None
    prompt: str = ""


@dataclass(frozen=True)
class Calibration:
    """judge: with its calibration, fitted on all. auc, before, after: on the half that was held out from a fit of its own;
    before and after are log losses in nats, log 2 = 0.69 knows nothing. whole: the AUC of all. real, generated: how many.
    """

    judge: Discriminator
    auc: float
    before: float
    after: float
    whole: float
    real: int
    generated: int


def calibrated(
    discriminator: Discriminator, real: Examples, generated: Examples, *, reference: Any = None, runtime: Runtime
) -> Calibration:
    """`calibrate` by the judge's own scores of these. Raises AigcError as `scoring.score` and `calibrate`."""
    values = []
    for kind in (real, generated):
        given = scoring.wanted(discriminator.spec, image=kind.image, latent=kind.latents, audio=kind.audio)
        prompts = scoring.lines(kind.prompt)
        values.append(scoring.score(discriminator, given, prompts=prompts, reference=reference, runtime=runtime).values)
    return calibrate(discriminator, *values)


def calibrate(
    discriminator: Discriminator, real: Sequence[float], generated: Sequence[float], *, seed: int = 0
) -> Calibration:
    """The judge with (a, b) by Platt's method and the percentiles of its real ones, and how good that is.

    Raises AigcError for too few scores, or scores that are no numbers.
    """
    both = [torch.tensor(list(scores), dtype=torch.float64) for scores in (real, generated)]
    for scores, what in zip(both, ("real", "generated")):
        if len(scores) < LEAST:
            raise AigcError(f"Expected at least {LEAST} {what} ones to calibrate with, got {len(scores)}: add more.")
        if not torch.isfinite(scores).all():
            raise AigcError(
                f"Expected scores that are numbers, got NaN or infinity for {what} ones: {discriminator.spec.id} cannot "
                "judge them; leave them out."
            )
    halves = [_halves(scores, seed + i) for i, scores in enumerate(both)]
    held = halves[0][1], halves[1][1]
    calibrated = replace(discriminator, calibration=platt(*both), real=quantiles(both[0].tolist()))
    return Calibration(
        judge=calibrated,
        auc=auc(*held),
        before=_loss(held, discriminator.calibration or (1.0, 0.0)),
        after=_loss(held, platt(halves[0][0], halves[1][0])),
        whole=auc(*both),
        real=len(both[0]),
        generated=len(both[1]),
    )


def _halves(scores: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """To fit on, and to measure on."""
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(seed))
    return scores[order[: len(scores) // 2]], scores[order[len(scores) // 2 :]]


def _loss(held: tuple[torch.Tensor, torch.Tensor], calibration: tuple[float, float]) -> float:
    """Log loss with both kinds weighing the same."""
    a, b = calibration
    kinds = zip(held, (torch.ones, torch.zeros))
    return float(sum(log_loss(a * s + b, target(len(s), dtype=s.dtype)) for s, target in kinds) / 2)


def report(found: Calibration) -> str:
    """What the calibration found, a line each; a judge that ranks the wrong way round is said first."""
    assert found.judge.calibration is not None
    a, b = found.judge.calibration
    lines = [f"{found.judge.spec.id}, calibrated on {found.real} real and {found.generated} generated ones"]
    if found.whole < 0.5:
        lines.append(
            f"RANKS THE WRONG WAY ROUND: AUC {found.whole:.2f} of all. It scores generated ones above real ones, so its "
            "probability is 0.5 for everything: do not choose by it."
        )
    return "\n".join(
        [
            *lines,
            f"held-out half: AUC {found.auc:.3f}; log loss {found.after:.3f} nats, before {found.before:.3f}; 0.693 knows nothing",
            f"probability of real = sigmoid({a:.4g} score {b:+.4g}), fitted on all of them",
            f"real ones: lowest {found.judge.real[0]:.4g}, median {found.judge.real[len(found.judge.real) // 2]:.4g}, "
            f"highest {found.judge.real[-1]:.4g}",
        ]
    )
