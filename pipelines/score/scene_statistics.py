"""Natural-scene statistics: the 36 features of BRISQUE (Mittal, Moorthy and Bovik 2012, doi 10.1109/TIP.2012.2214050).

A photograph's luma, freed of its local mean and contrast, is near to Gaussian, and so are the products of neighbours in
their way; noise, blur, blocks and grids bend both. Pure functions of tensors, differentiable but where a fit leaves its table.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn import functional as F

from .formulas import luma

WINDOW, SPREAD = 7, 7 / 6  # of the Gaussian window, in pixels
SHAPES = (0.2, 10.0, 0.001)  # the shapes that a fit can find, and their step
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours: right, below, and the two diagonals; equations 7 to 10
FEATURES = 36
LEAST = 32  # pixels a side; below it too few are left at the half scale


def mscn(grey: torch.Tensor) -> torch.Tensor:
    """[B, 1, H, W] in 0..1 -> mean-subtracted, contrast-normalised [B, 1, H - 6, W - 6]; equations 1 to 3, on 0..255.

    Only where the whole window lies in the picture: an invented border would be judged along.
    """
    x = 255 * grey
    at = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    line = torch.exp(-at.square() / (2 * SPREAD**2))
    line = line / line.sum()

    def mean(v: torch.Tensor) -> torch.Tensor:
        return _along(_along(v, line, 3), line, 2)

    edge = WINDOW // 2
    inside = x[..., edge:-edge, edge:-edge]
    local = mean(x)
    # Around a level that is near: a variance as the difference of two large squares loses its digits in float32.
    level = x.mean((2, 3), keepdim=True)
    contrast = (mean((x - level).square()) - (local - level).square()).clamp_min(0).add(1e-6).sqrt()
    return (inside - local) / (contrast + 1)


def _along(v: torch.Tensor, line: torch.Tensor, axis: int) -> torch.Tensor:
    """v filtered by `line` along one axis; sums of shifted copies, twice as fast as a convolution of one channel."""
    length = v.shape[axis] - len(line) + 1
    out = v.narrow(axis, 0, length) * line[0]
    for k in range(1, len(line)):
        out = out + v.narrow(axis, k, length) * line[k]
    return out


def neighbours(x: torch.Tensor) -> torch.Tensor:
    """[B, 1, H, W] -> products with the four neighbours [B, 4, (H - 1) (W - 2)], all over the same pixels."""
    height, width = x.shape[-2:]
    here = x[:, 0, : height - 1, 1 : width - 1]
    pairs = [here * x[:, 0, down : height - 1 + down, 1 + right : width - 1 + right] for down, right in SHIFTS]
    return torch.stack(pairs, dim=1).flatten(2)


@lru_cache(maxsize=1)
def _table() -> tuple[torch.Tensor, torch.Tensor]:
    """Shapes and their ratio (E|x|)^2 / E x^2 of a generalised Gaussian, rising."""
    low, high, step = SHAPES
    shape = torch.arange(low, high + step / 2, step, dtype=torch.float64)
    ratio = (2 * torch.lgamma(2 / shape) - torch.lgamma(1 / shape) - torch.lgamma(3 / shape)).exp()
    return shape, ratio


def shape_of(ratio: torch.Tensor) -> torch.Tensor:
    """The shape of a generalised Gaussian by its ratio (E|x|)^2 / E x^2 (Sharifi and Leon-Garcia 1995), by the table's lines.

    2 for a Gaussian, 1 for a Laplacian; 0.2 and 10 are the table's ends.
    """
    shapes, ratios = (t.to(ratio.device) for t in _table())
    r = ratio.double().clamp(float(ratios[0]), float(ratios[-1]))
    above = torch.searchsorted(ratios, r.detach().contiguous()).clamp(1, len(ratios) - 1)
    low, high = ratios[above - 1], ratios[above]
    return (shapes[above - 1] + (r - low) / (high - low) * (shapes[above] - shapes[above - 1])).to(ratio)


def symmetric_fit(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shape and variance [...] of a generalised Gaussian that fits x [..., N]; equation 4."""
    power = x.square().mean(-1)
    return shape_of(x.abs().mean(-1).square() / (power + 1e-9)), power


def asymmetric_fit(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shape, mean, left and right variance [...] of an asymmetric generalised Gaussian (Lasmar et al. 2009); equation 11."""
    squares, left = x.square(), (x < 0).to(x)
    below = (squares * left).sum(-1) / left.sum(-1).clamp_min(1)
    above = (squares * (1 - left)).sum(-1) / (1 - left).sum(-1).clamp_min(1)
    sigma_l, sigma_r = (below + 1e-9).sqrt(), (above + 1e-9).sqrt()
    gamma = sigma_l / sigma_r
    ratio = x.abs().mean(-1).square() / (squares.mean(-1) + 1e-9)
    shape = shape_of(ratio * (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1).square())
    one, two, three = (torch.lgamma(k / shape) for k in (1.0, 2.0, 3.0))
    mean = (sigma_r - sigma_l) * ((one - three) / 2 + two - one).exp()  # equation 13, (beta_r - beta_l) G(2/a) / G(1/a)
    return shape, mean, below, above


def _one_scale(grey: torch.Tensor) -> torch.Tensor:
    """[B, 1, H, W] -> [B, 18]: shape and variance, then four of each neighbour."""
    x = mscn(grey)
    own = torch.stack(symmetric_fit(x.flatten(1)), dim=1)
    pairs = torch.stack(asymmetric_fit(neighbours(x)), dim=2).flatten(1)
    return torch.cat([own, pairs], dim=1)


def half(grey: torch.Tensor) -> torch.Tensor:
    """At half the size, filtered against aliasing."""
    size = [n // 2 for n in grey.shape[-2:]]
    return F.interpolate(grey, size, mode="bicubic", antialias=True, align_corners=False)


def brisque_features(x: torch.Tensor) -> torch.Tensor:
    """The 36 features [B, 36] of pictures [B, 3, H, W] in 0..1, at least `LEAST` a side: 18 at full and 18 at half scale."""
    grey = luma(x)
    return torch.cat([_one_scale(grey), _one_scale(half(grey))], dim=1)
