"""Measures of a picture that need no training: each a function of pictures [B, 3, H, W] in 0..1 to scores [B]."""

from __future__ import annotations

import torch
from torch.nn import functional as F

WEIGHTS = (0.299, 0.587, 0.114)  # of R, G and B in the luma, ITU-R BT.601


def luma(x: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] -> [B, 1, H, W]."""
    return (x * torch.tensor(WEIGHTS, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)


def sharpness(x: torch.Tensor) -> torch.Tensor:
    """Logarithm of the gradient's energy relative to the contrast: 0 for a picture whose variance is all in its finest edges.

    The Tenengrad measure (Krotkov 1987) with Sobel kernels, divided by the variance, so that contrast alone is not sharp.
    """
    grey = luma(x)
    kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]], dtype=x.dtype, device=x.device) / 8
    edges = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), torch.stack([kernel, kernel.T])[:, None])
    energy = edges.square().sum(1).flatten(1).mean(1)
    return ((energy + 1e-8) / (grey.flatten(1).var(1, unbiased=False) + 1e-6)).log()


def exposure(x: torch.Tensor) -> torch.Tensor:
    """How well exposed, 0..1: 1 when every channel of every pixel is mid grey, near 0 when all is black or white.

    exp(-(v - 0.5)^2 / (2 0.2^2)), the product over channels, the mean over pixels (Mertens et al. 2007, section 3.1).
    """
    return (-(x - 0.5).square() / (2 * 0.2**2)).sum(1).exp().flatten(1).mean(1)


def colourfulness(x: torch.Tensor) -> torch.Tensor:
    """M of Hasler and Suesstrunk (2003), section 7, on 0..255: 0 for grey, about 33 moderate, 109 extreme."""
    red, green, blue = (255 * x).unbind(1)
    opponent = torch.stack([red - green, (red + green) / 2 - blue], dim=1).flatten(2)  # [B, 2, N]
    spread = (opponent.var(2, unbiased=False).sum(1) + 1e-8).sqrt()
    return spread + 0.3 * (opponent.mean(2).square().sum(1) + 1e-8).sqrt()


def regularity(x: torch.Tensor) -> torch.Tensor:
    """Minus the excess, in dB, of periods of 2, 4 and 8 pixels over their neighbours in the spectrum: the grid that
    transposed convolutions and pixel shuffles leave (Odena et al. 2016, distill.pub/2016/deconv-checkerboard).

    About 0 for a photograph, the lower the stronger the grid. Pictures under 32 pixels a side say nothing: 0.
    """
    height, width = (n - n % 8 for n in x.shape[-2:])
    if min(height, width) < 32:
        return x.new_zeros(len(x))
    grey = luma(x)[:, 0, :height, :width]
    rows, columns = (torch.hann_window(n, periodic=False, dtype=x.dtype, device=x.device) for n in (height, width))
    grey = (grey - grey.mean((1, 2), keepdim=True)) * rows[:, None] * columns
    power = torch.fft.fft2(grey).abs().square()
    # Along each axis: the spectrum summed over the other one's frequencies, in which a grid of any phase stands out.
    excess = [_peaks(power.sum(axis)) for axis in (1, 2)]
    return -torch.stack(excess).mean(0)


def _peaks(line: torch.Tensor) -> torch.Tensor:
    """Mean excess in dB of the frequencies of periods 2, 4 and 8 over their neighbours; line: power [B, N], N = 8 k."""
    size = line.shape[1]
    level = 10 * (line + 1e-12).log10()
    near = [offset for offset in range(-6, 7) if abs(offset) > 2]  # outside of the window's own peak
    found = []
    for period in (2, 4, 8):
        centre = size // period
        around = torch.stack([level[:, (centre + offset) % size] for offset in near]).median(0).values
        found.append((level[:, centre] - around).clamp_min(0))
    return torch.stack(found).mean(0)
