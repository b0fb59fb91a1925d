"""What a picture looks like in 40 numbers, by formulas: no weights, nothing to download. Coarse: it knows no objects."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from .formulas import luma

SIDE = 128  # every picture is brought to this size first, so that sets of other sizes can be compared
SIZE = 40


def describe(x: torch.Tensor) -> torch.Tensor:
    """Pictures [B, 3, H, W] in 0..1 -> [B, 40]: colour 18, directions of edges 8, spectrum of 8 by 8 blocks 14.

    Scaled by constants so that each number lies around 0 and moves by about 1: figures made of it compare over time.
    """
    x = F.interpolate(x.float(), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return torch.cat([_colour(x), _edges(x), _spectrum(x)], dim=1)


def _colour(x: torch.Tensor) -> torch.Tensor:
    """Mean and spread of brightness, red-green and yellow-blue [B, 6], and their means in each quarter [B, 12]."""
    red, green, blue = x.unbind(1)
    axes = torch.stack([luma(x)[:, 0], red - green, (red + green) / 2 - blue], dim=1)
    whole = [axes.flatten(2).mean(2), 2 * axes.flatten(2).std(2, unbiased=False)]
    return 4 * torch.cat([*whole, F.adaptive_avg_pool2d(axes, 2).flatten(1)], dim=1)


def _edges(x: torch.Tensor) -> torch.Tensor:
    """Logarithm of the gradient's energy in eight directions [B, 8], softly binned (Dalal and Triggs 2005, section 6.3)."""
    grey = luma(x)[:, 0]
    dx, dy = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    energy = (dx.square() + dy.square()).flatten(1)
    place = torch.atan2(dy, dx).remainder(math.pi).flatten(1) * 8 / math.pi
    low = place.floor()
    share = place - low
    bins = torch.zeros(len(x), 8, dtype=x.dtype, device=x.device)
    bins.scatter_add_(1, (low % 8).long(), energy * (1 - share))
    bins.scatter_add_(1, ((low + 1) % 8).long(), energy * share)
    return 0.5 * (bins / energy.shape[1] + 1e-5).log() + 4


def _spectrum(x: torch.Tensor) -> torch.Tensor:
    """Logarithm of the mean energy of the blocks' cosine transform along each diagonal u + v = 1..14 [B, 14]."""
    n = torch.arange(8, dtype=x.dtype, device=x.device)
    basis = torch.cos(math.pi / 8 * (n + 0.5) * n[:, None]) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    blocks = luma(x)[:, 0].unfold(1, 8, 8).unfold(2, 8, 8)  # [B, h, w, 8, 8]
    power = (basis @ blocks @ basis.T).square().mean((1, 2))  # [B, 8, 8]
    order = n[:, None] + n
    diagonals = [power[:, order == total].mean(1) for total in range(1, 15)]
    return 0.5 * (torch.stack(diagonals, dim=1) + 1e-6).log() + 4
