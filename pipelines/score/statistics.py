"""The measures a judge is measured by: pure functions of tensors."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def auc(real: torch.Tensor, fake: torch.Tensor) -> float:
    """Area under the ROC curve [0..1]: how often a real one [N] scores above a fake one [M], ties counting half."""
    both = torch.cat([real, fake]).double()
    _, inverse, counts = both.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks = (last - (counts.double() - 1) / 2)[inverse]  # mean ranks from 1
    n, m = len(real), len(fake)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def platt(real: torch.Tensor, fake: torch.Tensor) -> tuple[float, float]:
    """Scale a > 0 and offset b so that sigmoid(a s + b) is the probability of "real" for equally many of both.

    Logistic regression with smoothed targets (Platt 1999, section 2.2), by Newton's method in float64. Scores that are
    higher for fakes say nothing here: a is next to 0, and the probability 0.5.
    """
    s = torch.cat([real, fake]).double()
    n, m = len(real), len(fake)
    target = torch.cat([torch.full((n,), (n + 1) / (n + 2)), torch.full((m,), 1 / (m + 2))]).double()
    weight = torch.cat([torch.full((n,), 0.5 / n), torch.full((m,), 0.5 / m)]).double()
    middle, spread = s.mean(), s.std().clamp_min(1e-9)
    design = torch.stack([(s - middle) / spread, torch.ones_like(s)], dim=1)
    beta = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        p = torch.sigmoid(design @ beta)
        gradient = design.T @ (weight * (p - target))
        curve = (design * (weight * p * (1 - p)).unsqueeze(1)).T @ design + 1e-9 * torch.eye(2, dtype=torch.float64)
        move = torch.linalg.solve(curve, gradient)
        beta = beta - move.clamp(-2, 2)
        if float(move.abs().max()) < 1e-10:
            break
    a = float(beta[0] / spread)
    if a <= 1e-6:
        return 1e-6, float(-1e-6 * middle)
    return a, float(beta[1] - beta[0] * middle / spread)


def log_loss(logit: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of logits [B] against `real` [B] in 0..1."""
    return F.binary_cross_entropy_with_logits(logit, real)
