"""How much two sets of features cover each other: precision, recall, density, coverage, and how far apart things are.

Each function takes features [N, D] and works on some rows at a time: memory does not grow with N times N.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

CELLS = 1 << 22  # distances held at once


class Covered(NamedTuple):
    """precision, recall, coverage: 0..1. density: 0 and up, 1 expected of equal distributions."""

    precision: float
    recall: float
    density: float
    coverage: float


def _distances(x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows of the Euclidean distances of x [N, D] to y [M, D], as many at a time as CELLS allows."""
    step = max(1, CELLS // max(len(y), 1))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        # Differences, not products: equal rows are at distance 0 exactly.
        yield rows, torch.cdist(x[rows], y, compute_mode="donot_use_mm_for_euclid_dist")


def radii(x: torch.Tensor, k: int) -> torch.Tensor:
    """The distance [N] of each row of x [N, D] to its k-th nearest other row; k < N."""
    found = torch.empty(len(x), dtype=x.dtype)
    for rows, distance in _distances(x, x):
        # The nearest of all is the row itself, at distance 0; a twin of it counts as another row.
        found[rows] = distance.topk(k + 1, dim=1, largest=False).values[:, -1]
    return found


def prdc(real: torch.Tensor, fake: torch.Tensor, k: int) -> Covered:
    """Of features [N, D] and [M, D]; k: neighbours that a ball around each one reaches to, below N and M.

    Precision and recall: Kynkaanniemi et al. 2019, arXiv 1904.06991, equations 1 and 2. Density and coverage: Naeem et al.
    2020, arXiv 2002.09797, equations 4 and 5. What lies on a ball's edge is inside.
    """
    real_radii, fake_radii = radii(real, k), radii(fake, k)
    inside_real = torch.zeros(len(fake), dtype=torch.long)  # of how many real balls each fake is inside
    inside_fake, covered = 0, 0
    for rows, distance in _distances(real, fake):
        ball = distance <= real_radii[rows, None]
        inside_real += ball.sum(0)
        covered += int(ball.any(1).sum())
        inside_fake += int((distance <= fake_radii).any(1).sum())
    return Covered(
        precision=float((inside_real > 0).double().mean()),
        recall=inside_fake / len(real),
        density=float(inside_real.double().mean()) / k,
        coverage=covered / len(real),
    )


def spread(x: torch.Tensor) -> float:
    """The mean distance between two different rows of x [N, D]: how varied a set is. 0 for fewer than two."""
    if len(x) < 2:
        return 0.0
    total = sum(float(distance.double().sum()) for _, distance in _distances(x, x))
    return total / (len(x) * (len(x) - 1))
