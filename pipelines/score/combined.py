"""Several judges as one, by Bayes: their calibrated log odds add up, weighted, to a prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .judge import Beside, Judge


def log_odds(probability: float) -> float:
    """The logit of a prior probability; 0 for one half. Raises AigcError for 0 and 1, which no evidence could change."""
    if not 0 < probability < 1:
        raise AigcError(
            f"Expected a prior between 0 and 1, got {probability:g}: what is certain beforehand needs no judge."
        )
    return math.log(probability / (1 - probability))


def combine(parts: Sequence[tuple[Discriminator, float]], prior: float = 0.0) -> Discriminator:
    """One judge of the given ones and their weights: logit = prior + sum w_i (a_i s_i + b_i).

    With y = "real" and judges that see independent evidence this is log p(y|x) / p(not y|x) of p(x|y) p(y) / p(x), a product
    of experts; weights below 1 allow for evidence that overlaps. Raises AigcError for judges that are not calibrated, or
    of different spaces.
    """
    if not parts:
        raise AigcError("Expected at least one judge to combine, got none: connect one.")
    for judge, _ in parts:
        if not judge.calibrated:
            raise AigcError(
                f"Expected calibrated judges to combine, got {judge.spec.id}, whose scores are no log odds: put it through "
                "Calibrate Discriminator first."
            )
    spaces = sorted({judge.spec.space for judge, _ in parts})
    if len(spaces) > 1:
        raise AigcError(
            f"Expected judges of one space, got {' and '.join(spaces)}: combine judges that take the same input."
        )
    specs = [judge.spec for judge, _ in parts]
    ranges = [spec.sigma_range for spec in specs]
    spec = replace(
        specs[0],
        id=" + ".join(s.id for s in specs),
        licence=", ".join(sorted({s.licence for s in specs if s.licence})),
        unit="logit",
        needs_prompt=any(s.needs_prompt for s in specs),
        needs_reference=any(s.needs_reference for s in specs),
        differentiable=all(s.differentiable for s in specs),
        sigma_range=None if None in ranges else (max(r[0] for r in ranges if r), min(r[1] for r in ranges if r)),
        auc=specs[0].auc if len(specs) == 1 else (),
        note="; ".join(s.note for s in specs if s.note),
    )
    return Discriminator(spec, "combined", None, calibration=(1.0, 0.0), parts=tuple(parts), prior=prior)


class Combined(Judge):
    def __init__(self, discriminator: Discriminator, judges: Sequence[Judge]) -> None:
        self.spec: JudgeSpec = discriminator.spec
        self.discriminator, self.judges = discriminator, judges
        self.chunk = min(judge.chunk for judge in judges)

    def parts(self) -> list[nn.Module]:
        return [part for judge in self.judges for part in judge.parts()]

    def _sum(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        total = torch.full_like(values[0], self.discriminator.prior)
        for (part, weight), value in zip(self.discriminator.parts, values):
            a, b = part.calibration or (1.0, 0.0)
            total = total + weight * (a * value + b)
        return total

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        return self._sum([j.judged(x, beside) for j in self.judges])

    def heatmap(self, x: torch.Tensor, *, prompts: Sequence[str] = ()) -> torch.Tensor:
        maps = [judge.heatmap(x, prompts=prompts)[:, None] for judge in self.judges]
        size = max((m.shape[-2:] for m in maps), key=lambda s: s[0] * s[1])
        return self._sum([torch.nn.functional.interpolate(m, size, mode="bilinear")[:, 0] for m in maps])


def open_judge(discriminator: Discriminator, judges: Sequence[Judge]) -> Combined:
    return Combined(discriminator, judges)
