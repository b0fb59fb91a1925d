"""Twice and half the size, low-pass filtered, with zeros beyond the edge: plain torch, twice differentiable."""

from __future__ import annotations

import torch
from torch.nn import functional as F

BINOMIAL = (1.0, 3.0, 3.0, 1.0)  # Karras et al. 2020, arXiv 1912.04958
BILINEAR = (1.0, 2.0, 1.0)  # Huang et al. 2024, arXiv 2501.05441


def kernel(taps: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    """[n, n] of sum 1."""
    one = like.new_tensor(taps)
    both = one[:, None] * one
    return both / both.sum()


def blur(x: torch.Tensor, pad: tuple[int, int], gain: float = 1.0, stride: int = 1) -> torch.Tensor:
    """x: [B, C, H, W] through the binomial filter; pad: zeros before and after."""
    k = (gain * kernel(BINOMIAL, x)).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(F.pad(x, (*pad, *pad)), k, stride=stride, groups=x.shape[1])


def up(x: torch.Tensor) -> torch.Tensor:
    """[B, C, 2H, 2W] by the binomial filter: bilinear interpolation between pixel centres, zeros beyond the edge."""
    wide = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2, mode="bilinear", align_corners=False)
    return wide[..., 2:-2, 2:-2]


def down(x: torch.Tensor) -> torch.Tensor:
    """[B, C, H/2, W/2] by the binomial filter."""
    return blur(x, (1, 1), stride=2)


def up_bilinear(x: torch.Tensor) -> torch.Tensor:
    """[B, C, 2H, 2W] by [1, 2, 1]: each pixel stays, those between two are their mean."""
    k = (4 * kernel(BILINEAR, x)).expand(x.shape[1], 1, -1, -1)
    return F.conv_transpose2d(x, k, stride=2, padding=1, output_padding=1, groups=x.shape[1])


def down_bilinear(x: torch.Tensor) -> torch.Tensor:
    """[B, C, H/2, W/2] by [1, 2, 1]."""
    k = kernel(BILINEAR, x).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, k, stride=2, padding=1, groups=x.shape[1])
