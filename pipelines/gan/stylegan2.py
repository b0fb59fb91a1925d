"""StyleGAN2: a mapping network, modulated convolutions, noise, RGB by skips; a residual discriminator.

Karras et al. 2020, arXiv 1912.04958; truncation and style mixing: Karras et al. 2019, arXiv 1812.04948; classes by an
embedding in both networks: Karras et al. 2020, arXiv 2006.06676, and Miyato & Koyama 2018, arXiv 1802.05637.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from ..errors import AigcError
from . import network, resample
from .modulated import Conv, Linear, StyledConv, ToRgb, normalised, spread
from .network import NOISES, checked_side, drawn, one_hot, widths

MAPPING_RATE = 0.01  # section B of arXiv 1812.04948: the mapping network learns a hundred times more slowly


@dataclass(frozen=True)
class Options:
    """width: channels at the full resolution, doubled with each halving up to `most`; 0 for either: by the resolution.

    channels: all of them from 4x4 up, in place of width and most. group: of the minibatch deviation. clamp: the largest
    activation, 0 for any. critic_mapping: layers between a class and the logit.
    """

    resolution: int = 64
    z_dim: int = 128
    w_dim: int = 128
    classes: int = 0
    width: int = 0
    most: int = 0
    mapping_layers: int = 4
    group: int = 4
    clamp: float = 0.0
    critic_mapping: int = 2
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        checked_side(self.resolution)
        object.__setattr__(self, "channels", tuple(self.channels))
        count = self.resolution.bit_length() - 2
        if self.channels and len(self.channels) != count:
            raise AigcError(
                f"Expected {count} numbers of channels for {self.resolution} pixels, got {len(self.channels)}."
            )

    @property
    def wide(self) -> dict[int, int]:
        given = {4 * 2**i: c for i, c in enumerate(self.channels)}
        return given or widths(self.resolution, self.width, self.most)


class Mapping(nn.Module):
    """(z, class) -> w. For the discriminator z_dim is 0, and the class alone is mapped."""

    def __init__(self, z_dim: int, classes: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.z_dim, self.classes = z_dim, classes
        self.embed = Linear(classes, w_dim) if classes else None
        first = z_dim + (w_dim if classes else 0)
        self.layers = nn.ModuleList(
            Linear(w_dim if i else first, w_dim, rate=MAPPING_RATE, active=True) for i in range(layers)
        )

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        parts = [normalised(z)] if self.z_dim else []
        if self.embed is not None:
            parts.append(normalised(self.embed(one_hot(labels, self.classes, z))))
        w = torch.cat(parts, dim=1)
        for layer in self.layers:
            w = layer(w)
        return w


class Block(nn.Module):
    """One resolution: to twice the size (not the first), a convolution, and its part of the picture."""

    def __init__(self, before: int, width: int, side: int, options: Options) -> None:
        super().__init__()
        self.grow = StyledConv(before, width, options.w_dim, side, twice=True, clamp=options.clamp) if before else None
        self.conv = StyledConv(width, width, options.w_dim, side, clamp=options.clamp)
        self.rgb = ToRgb(width, options.w_dim, options.clamp)

    @property
    def convs(self) -> list[StyledConv]:
        return [self.conv] if self.grow is None else [self.grow, self.conv]


class Generator(network.Generator):
    """`map` and then `synthesize`. w_average: [w_dim], the mean of w, that truncation pulls towards.

    Layers of w: the 4x4 convolution, two of each resolution above, and the last RGB; an RGB shares the next one's.
    """

    w_average: torch.Tensor

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.z_dim, self.w_dim = options.z_dim, options.w_dim
        self.resolution, self.classes = options.resolution, options.classes
        wide = options.wide
        self.layers = 2 * len(wide)
        self.mapping = Mapping(options.z_dim, options.classes, options.w_dim, options.mapping_layers)
        self.register_buffer("w_average", torch.zeros(options.w_dim))
        self.start = nn.Parameter(torch.randn(wide[4], 4, 4))
        before = [0, *wide.values()]
        self.blocks = nn.ModuleList(Block(a, b, side, options) for a, (side, b) in zip(before, wide.items()))

    def map(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """[B, layers, w_dim], the same w for each layer."""
        return self.mapping(z, labels)[:, None].expand(-1, self.layers, -1)

    @torch.no_grad()
    def track(self, w: torch.Tensor, decay: float = 0.998) -> None:
        """Move `w_average` towards the mean of w [B, w_dim] or [B, layers, w_dim]."""
        flat = w[:, 0] if w.ndim == 3 else w
        self.w_average.lerp_(flat.float().mean(0).to(self.w_average), 1 - decay)

    def synthesize(self, w: torch.Tensor, *, noise: str = "random", rng: network.Rng = None) -> torch.Tensor:
        """w: [B, layers, w_dim]. Returns pictures [B, 3, R, R]."""
        if noise not in NOISES:
            raise AigcError(f"Expected noise of {', '.join(NOISES)}, got '{noise}': choose one of them.")
        x = self.start.expand(len(w), -1, -1, -1)
        picture: torch.Tensor | None = None
        layer = 0
        for block in self.blocks:
            assert isinstance(block, Block)
            for conv in block.convs:
                x = conv(x, w[:, layer], _noise(conv, len(w), noise, rng))
                layer += 1
            rgb = block.rgb(x, w[:, layer])
            picture = rgb if picture is None else resample.up(picture) + rgb
        assert picture is not None
        return picture

    def forward(
        self, z: torch.Tensor, labels: torch.Tensor | None = None, *, noise: str = "random", rng: network.Rng = None
    ) -> torch.Tensor:
        return self.synthesize(self.map(z, labels), noise=noise, rng=rng)


def _noise(conv: StyledConv, count: int, noise: str, rng: network.Rng) -> torch.Tensor | None:
    if noise == "none":
        return None
    if noise == "const":
        return conv.const[None, None]
    return drawn((count, 1, *conv.const.shape), conv.const, rng)


class ResidualBlock(nn.Module):
    """Two convolutions and half the size, beside a filtered 1x1; both scaled so that their sum keeps its variance."""

    def __init__(self, width: int, after: int, clamp: float) -> None:
        super().__init__()
        self.conv = Conv(width, width, 3, clamp=clamp)
        self.shrink = Conv(width, after, 3, half=True, clamp=clamp)
        self.skip = Conv(width, after, 1, half=True, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.skip(x) + self.shrink(self.conv(x))) * math.sqrt(0.5)


class Discriminator(network.Discriminator):
    """Residual blocks, the minibatch deviation, a logit or a product with the mapped class."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.resolution, self.classes, self.group = options.resolution, options.classes, options.group
        wide = list(options.wide.values())[::-1]
        self.rgb = Conv(3, wide[0], 1, clamp=options.clamp)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b, options.clamp) for a, b in pairwise(wide)))
        last = wide[-1]
        self.conv = Conv(last + 1, last, 3, clamp=options.clamp)
        self.dense = Linear(last * 16, last, active=True)
        self.out = Linear(last, last if options.classes else 1)
        self.mapping = Mapping(0, options.classes, last, options.critic_mapping) if options.classes else None

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None, *, group: int | None = None) -> torch.Tensor:
        """group: of the minibatch deviation, the design's by default; 1 judges each picture alone."""
        x = spread(self.blocks(self.rgb(x)), group or self.group)
        seen = self.out(self.dense(self.conv(x).flatten(1)))
        if self.mapping is None:
            return seen.flatten()
        return (seen * self.mapping(seen, labels)).sum(1) / math.sqrt(seen.shape[1])
