"""DCGAN: strided convolutions and batch norms. Radford et al. 2016, arXiv 1511.06434; classes: Mirza & Osindero 2014,
arXiv 1411.1784."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from . import network
from .network import checked_side, one_hot, widths


@dataclass(frozen=True)
class Options:
    """width: channels before the picture, doubled with each halving up to `most`; 0 for either: by the resolution.

    critic_norm: the paper's batch norms in the discriminator too. Off by default: they let a picture's logit depend on its
    batch, so that R1 and R2 are no longer slopes of one picture's logit.
    """

    resolution: int = 64
    z_dim: int = 100
    classes: int = 0
    width: int = 0
    most: int = 0
    critic_norm: bool = False

    def __post_init__(self) -> None:
        checked_side(self.resolution)


class Generator(network.Generator):
    """z -> 4x4 -> ... -> R; the class as a one-hot vector beside z."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.z_dim, self.resolution, self.classes = options.z_dim, options.resolution, options.classes
        wide = list(widths(options.resolution // 2, _half(options), _most(options)).values())
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip((options.z_dim + options.classes, *wide), wide)):
            stride, padding = (2, 1) if i else (1, 0)
            layers += [
                nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(inplace=True),
            ]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(wide[-1], 3, 4, 2, 1), nn.Tanh())
        self.apply(_drawn)

    def forward(
        self, z: torch.Tensor, labels: torch.Tensor | None = None, *, noise: str = "random", rng: network.Rng = None
    ) -> torch.Tensor:
        if self.classes:
            z = torch.cat([z, one_hot(labels, self.classes, z)], dim=1)
        return self.main(z[:, :, None, None])


class Discriminator(network.Discriminator):
    """R -> ... -> 4x4 -> a logit; the class as planes beside the picture."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.resolution, self.classes = options.resolution, options.classes
        wide = list(widths(options.resolution // 2, _half(options), _most(options)).values())[::-1]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip((3 + options.classes, *wide), wide)):
            norm = options.critic_norm and i > 0
            layers.append(nn.Conv2d(a, b, 4, 2, 1, bias=not norm))
            layers += [nn.BatchNorm2d(b)] if norm else []
            layers.append(nn.LeakyReLU(0.2))
        self.main = nn.Sequential(*layers, nn.Conv2d(wide[-1], 1, 4, 1, 0))
        self.apply(_drawn)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        if self.classes:
            planes = one_hot(labels, self.classes, x)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], dim=1)
        return self.main(x).flatten()


def _half(options: Options) -> int:
    """Channels at half the resolution, where the last layer before the picture is."""
    return options.width or 2 * network.AUTO_WIDTH[options.resolution]


def _most(options: Options) -> int:
    return options.most or network.AUTO_MOST.get(options.resolution, 512)


def _drawn(module: nn.Module) -> None:
    """Weights from N(0, 0.02) and norms from N(1, 0.02), section 3 of the paper and its authors' code."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
