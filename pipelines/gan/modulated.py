"""Layers of StyleGAN2 whose weights are scaled at run time. Karras et al. 2018 and 2020, arXiv 1710.10196, 1912.04958."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from . import resample

SLOPE = 0.2
EPS = 1e-8


def activated(x: torch.Tensor, clamp: float = 0.0) -> torch.Tensor:
    """Leaky ReLU that keeps the variance; clamp: the largest magnitude, 0 for any."""
    x = F.leaky_relu(x, SLOPE) * math.sqrt(2)
    return x.clamp(-clamp, clamp) if clamp else x


def normalised(x: torch.Tensor) -> torch.Tensor:
    """[B, C] with a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + EPS).rsqrt()


class Linear(nn.Module):
    """Weights are N(0, 1) / rate when stored, and rate / sqrt(fan in) times that when used: all learn at one pace."""

    def __init__(self, into: int, out: int, *, rate: float = 1.0, bias: float = 0.0, active: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into) / rate)
        self.bias = nn.Parameter(torch.full((out,), bias / rate))
        self.gain, self.rate, self.active = rate / math.sqrt(into), rate, active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.linear(x, self.weight * self.gain, self.bias * self.rate)
        return activated(x) if self.active else x


class Conv(nn.Module):
    """A convolution of the discriminator, filtered and halved where `half`; without `active` it has no bias either."""

    def __init__(self, into: int, out: int, size: int, *, half: bool = False, active: bool = True, clamp: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into, size, size))
        self.bias = nn.Parameter(torch.zeros(out)) if active else None
        self.gain, self.size, self.halves, self.clamp = 1 / math.sqrt(into * size**2), size, half, clamp

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.gain
        if not self.halves:
            x = F.conv2d(x, weight, self.bias, padding=self.size // 2)
        elif self.size == 1:
            x = F.conv2d(resample.down(x), weight, self.bias)
        else:
            x = F.conv2d(resample.blur(x, (2, 2)), weight, self.bias, stride=2)
        return activated(x, self.clamp) if self.bias is not None else x


def modulated(
    x: torch.Tensor, weight: torch.Tensor, style: torch.Tensor, *, demodulate: bool, twice: bool
) -> torch.Tensor:
    """Equations 1 and 3: a convolution whose input channels are scaled by `style`, and its outputs back to variance 1.

    x: [B, I, H, W]; weight: [O, I, k, k]; style: [B, I]. twice: the output is twice as large. Scaling what goes in and what
    comes out is the same as scaling each picture's weights, and shares one convolution between the pictures.
    """
    x = x * style[:, :, None, None]
    if twice:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        x = resample.blur(x, (1, 1), gain=4.0)
    else:
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        size = (style.square() @ weight.square().sum((2, 3)).T + EPS).rsqrt()  # [B, O]
        x = x * size[:, :, None, None]
    return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, activation."""

    const: torch.Tensor

    def __init__(self, into: int, out: int, w_dim: int, side: int, *, twice: bool = False, clamp: float = 0.0) -> None:
        super().__init__()
        self.affine = Linear(w_dim, into, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out, into, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("const", torch.randn(side, side))
        self.twice, self.clamp = twice, clamp

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """w: [B, w_dim]; noise: [B or 1, 1, H, W] or None."""
        x = modulated(x, self.weight, self.affine(w), demodulate=True, twice=self.twice)
        if noise is not None:
            x = x + noise * self.strength
        return activated(x + self.bias[:, None, None], self.clamp)


class ToRgb(nn.Module):
    """Modulated 1x1 convolution to colours, not demodulated."""

    def __init__(self, into: int, w_dim: int, clamp: float = 0.0) -> None:
        super().__init__()
        self.affine = Linear(w_dim, into, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, into, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.gain, self.clamp = 1 / math.sqrt(into), clamp

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        x = modulated(x, self.weight, self.affine(w) * self.gain, demodulate=False, twice=False)
        x = x + self.bias[:, None, None]
        return x.clamp(-self.clamp, self.clamp) if self.clamp else x


def spread(x: torch.Tensor, group: int) -> torch.Tensor:
    """x: [B, C, H, W] with one channel more: the standard deviation within groups of pictures (arXiv 1710.10196, section 3).

    The batch need not be a multiple of `group`: the largest divisor up to it is used. A group of 1 knows no spread.
    """
    size = max(n for n in range(1, min(group, len(x)) + 1) if len(x) % n == 0)
    groups = x.reshape(size, -1, *x.shape[1:])  # [G, B/G, C, H, W]
    deviation = (groups.var(0, correction=0) + EPS).sqrt().mean((1, 2, 3))  # [B/G]
    return torch.cat([x, deviation.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)
