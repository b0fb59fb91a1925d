"""R3GAN: residual blocks of grouped convolutions without any normalisation. Huang et al. 2024, arXiv 2501.05441.

Made for RpGAN with R1 and R2. Residual branches begin at zero and the rest is scaled by their number (Fixup: Zhang et al.
2019, arXiv 1901.09321), so that depth needs no norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from . import network
from .network import checked_side, one_hot, widths
from .resample import down_bilinear, up_bilinear

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))


@dataclass(frozen=True)
class Options:
    """width: channels at the full resolution, doubled with each halving up to `most`; 0 for either: by the resolution.

    blocks: at each resolution. expansion: of a block's inner width. group: channels of a group of its 3x3 convolution.
    """

    resolution: int = 64
    z_dim: int = 64
    classes: int = 0
    width: int = 0
    most: int = 0
    blocks: int = 2
    expansion: int = 2
    group: int = 16

    def __post_init__(self) -> None:
        checked_side(self.resolution)

    @property
    def wide(self) -> list[int]:
        return list(widths(self.resolution, self.width, self.most).values())

    @property
    def branches(self) -> int:
        return self.blocks * len(self.wide)


class Block(nn.Module):
    """x + conv1x1(act(conv3x3(act(conv1x1 x)))), the last one from zero, the others scaled by branches^(-1/4)."""

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        inner = width * options.expansion
        gain = GAIN * options.branches**-0.25
        self.into = _conv(width, inner, 1, gain)
        self.across = _conv(inner, inner, 3, gain, groups=max(1, inner // math.gcd(inner, options.group)))
        self.out = _conv(inner, width, 1, 0.0, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.leaky_relu(self.into(x), SLOPE)
        return x + self.out(F.leaky_relu(self.across(h), SLOPE))


class Generator(network.Generator):
    """A learned 4x4 picture, its channels scaled by z and the class; blocks; twice the size; ...; RGB."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.z_dim, self.resolution, self.classes = options.z_dim, options.resolution, options.classes
        wide = options.wide
        known = options.z_dim if options.classes else 0  # a class says as much as z
        self.label = _embedding(options.classes, known) if known else None
        self.scale = _linear(options.z_dim + known, wide[0])
        self.basis = nn.Parameter(torch.randn(wide[0], 4, 4))
        self.grow = nn.ModuleList(_conv(a, b, 1, 1.0, bias=False) for a, b in pairwise(wide))
        self.stages = nn.ModuleList(_blocks(width, options) for width in wide)
        self.rgb = _conv(wide[-1], 3, 1, 1.0)

    def forward(
        self, z: torch.Tensor, labels: torch.Tensor | None = None, *, noise: str = "random", rng: network.Rng = None
    ) -> torch.Tensor:
        if self.label is not None:
            z = torch.cat([z, self.label(one_hot(labels, self.classes, z))], dim=1)
        x = self.stages[0](self.scale(z)[:, :, None, None] * self.basis)
        for grow, stage in zip(self.grow, self.stages[1:]):  # type: ignore[arg-type]
            x = stage(up_bilinear(grow(x)))  # a 1x1 convolution and resampling commute: this order is the cheaper one
        return self.rgb(x)


class Discriminator(network.Discriminator):
    """The mirror image: RGB; blocks; half the size; ...; a depthwise 4x4 and a logit, or a product with the class."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.resolution, self.classes = options.resolution, options.classes
        wide = options.wide[::-1]
        self.rgb = _conv(3, wide[0], 1, 1.0)
        self.stages = nn.ModuleList(_blocks(width, options) for width in wide)
        self.shrink = nn.ModuleList(_conv(a, b, 1, 1.0, bias=False) for a, b in pairwise(wide))
        self.basis = _conv(wide[-1], wide[-1], 4, 1.0, groups=wide[-1], padding=0, bias=False)
        self.out = _linear(wide[-1], wide[-1] if options.classes else 1)
        self.label = _embedding(options.classes, wide[-1]) if options.classes else None

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        x = self.stages[0](self.rgb(x))
        for shrink, stage in zip(self.shrink, self.stages[1:]):  # type: ignore[arg-type]
            x = stage(shrink(down_bilinear(x)))
        seen = self.out(self.basis(x).flatten(1))
        if self.label is None:
            return seen.flatten()
        about = self.label(one_hot(labels, self.classes, seen))
        return (seen * about).sum(1) / math.sqrt(seen.shape[1])


def _blocks(width: int, options: Options) -> nn.Sequential:
    return nn.Sequential(*(Block(width, options) for _ in range(options.blocks)))


def _conv(
    into: int, out: int, size: int, gain: float, *, groups: int = 1, padding: int | None = None, bias: bool = True
) -> nn.Conv2d:
    """Weights from N(0, gain / sqrt(fan in)), biases 0."""
    layer = nn.Conv2d(into, out, size, padding=size // 2 if padding is None else padding, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _linear(into: int, out: int) -> nn.Linear:
    layer = nn.Linear(into, out, bias=False)
    nn.init.normal_(layer.weight, 0.0, 1 / math.sqrt(into))
    return layer


def _embedding(classes: int, out: int) -> nn.Linear:
    """For one-hot vectors: one column at a time counts, so its size is 1."""
    layer = nn.Linear(classes, out, bias=False)
    nn.init.normal_(layer.weight)
    return layer
