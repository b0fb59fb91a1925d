"""A generator small enough to train in seconds, for measures of guidance: handwritten digits of 8 by 8, EDM, Heun.

Digits: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (CC BY 4.0), in `data/digits.npz`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SIGMA_DATA = 0.75  # standard deviation of the pixels in -1..1
SIGMA_MIN, SIGMA_MAX, RHO = 0.005, 20.0, 7.0
TRAINED = 1000  # pictures that everything learns from; the other 797 only measure
Steer = Callable[[torch.Tensor, float, float], torch.Tensor]


@dataclass(frozen=True)
class Digits:
    """Pictures [N, 1, 8, 8] in -1..1 and their digits [N]."""

    train: torch.Tensor
    labels: torch.Tensor
    held_out: torch.Tensor


def digits(seed: int) -> Digits:
    """The pictures, split anew for each seed."""
    held = np.load(Path(__file__).parent / "data" / "digits.npz")
    x, y = torch.from_numpy(held["x"]).float()[:, None] / 8 - 1, torch.from_numpy(held["y"]).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    first, rest = order[:TRAINED], order[TRAINED:]
    return Digits(x[first], y[first], x[rest])


class Denoiser(nn.Module):
    """D(x; sigma) with EDM's preconditioning (Karras et al. 2022, arXiv 2206.00364, table 1); x: [B, 1, 8, 8]."""

    def __init__(self, width: int = 512, depth: int = 4) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(66, width), nn.Linear(width, 64)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        s = sigma.view(-1, 1, 1, 1)
        total = (s**2 + SIGMA_DATA**2).sqrt()
        angle = torch.atan(sigma)[:, None]
        h = self.first(torch.cat([(x / total).flatten(1), angle, (2 * angle).cos()], dim=1))
        for layer in self.layers:
            h = h + layer(F.silu(h))
        return x * (SIGMA_DATA / total) ** 2 + self.last(F.silu(h)).view_as(x) * s * SIGMA_DATA / total


def trained_denoiser(x: torch.Tensor, seed: int, steps: int = 800, batch: int = 128) -> Denoiser:
    """Train with EDM's loss and noise distribution; the moving average is returned."""
    torch.manual_seed(seed)
    net = Denoiser()
    average = {k: v.detach().clone() for k, v in net.state_dict().items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        x0 = x[torch.randint(len(x), (batch,))]
        sigma = (torch.randn(batch) * 1.2 - 1.0).exp()
        weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
        error = net(x0 + sigma.view(-1, 1, 1, 1) * torch.randn_like(x0), sigma) - x0
        loss = (weight * error.square().flatten(1).mean(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for name, value in net.state_dict().items():
            average[name].lerp_(value.detach(), 0.005 if step > 100 else 0.1)
    net.load_state_dict(average)
    return net.eval().requires_grad_(False)


def schedule(steps: int) -> list[float]:
    """EDM's noise levels (eq. 5) and 0."""
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [*((ends[0] + i / (steps - 1) * (ends[1] - ends[0])) ** RHO for i in range(steps)), 0.0]


@torch.no_grad()
def heun(net: Denoiser, count: int, steps: int, seed: int, steer: Steer | None = None) -> torch.Tensor:
    """EDM's second-order sampler (algorithm 1 without churn); `steer` moves the estimate of the clean sample."""
    x = SIGMA_MAX * torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    levels = schedule(steps)

    def direction(x: torch.Tensor, sigma: float) -> torch.Tensor:
        x0 = net(x, torch.full((len(x),), sigma))
        if steer is not None:
            x0 = x0 + steer(x, 1.0, sigma)
        return (x - x0) / sigma

    for now, then in pairwise(levels):
        d = direction(x, now)
        ahead = x + (then - now) * d
        if then > 0:
            ahead = x + (then - now) * (d + direction(ahead, then)) / 2
        x = ahead
    return x


def features(data: Digits, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A classifier of the training digits; its last hidden layer [N, 32] measures distances between sets."""
    torch.manual_seed(1000 + seed)
    body = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 32), nn.ReLU(),
    )  # fmt: skip
    head = nn.Linear(32, 10)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3)
    for _ in range(300):
        rows = torch.randint(len(data.train), (128,))
        x = data.train[rows] + 0.1 * torch.randn(128, 1, 8, 8)
        loss = F.cross_entropy(head(body(x)), data.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    body.requires_grad_(False)
    return lambda x: torch.cat([body(part) for part in x.split(512)])
