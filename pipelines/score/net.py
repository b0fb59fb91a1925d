"""The network of a learned judge: patch logits whose mean is the logit, at any size and, if trained so, any noise level."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class NetConfig:
    """channels: of the input. patch: input cells folded into one (1 for latents, 4 for pictures). widths: of each scale."""

    channels: int = 4
    patch: int = 1
    widths: tuple[int, ...] = (64, 96)
    depth: int = 2
    noise_aware: bool = False

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class PatchNet(nn.Module):
    """Judges x = x0 + sigma eps, so one network serves models of every noise process.

    A flow's x = (1 - s) x0 + s eps is x0 + sigma eps with sigma = s / (1 - s) after division by 1 - s.
    `mean` and `std` [C] are the real data's, set before training.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        width, first = config.widths[-1], config.channels * config.patch**2
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))
        self.stem = nn.Conv2d(first, config.widths[0], 3, padding=1)
        self.noise = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        before = (config.widths[0], *config.widths[:-1])
        self.scales = nn.ModuleList(
            nn.ModuleList(_Block(a if i == 0 else b, b, width) for i in range(config.depth))
            for a, b in zip(before, config.widths)
        )
        self.head = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, 1, 1))

    def trunk(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """x: [B, C, H, W], H and W multiples of `stride`; sigma: [B], 0 for clean. Returns features [B, D, h, w] of patches."""
        sigma = sigma.to(x)[:, None, None, None]
        x = (x - self.mean[:, None, None]) / (self.std[:, None, None] ** 2 + sigma**2).sqrt()
        h = self.stem(F.pixel_unshuffle(x, self.config.patch))
        level = self.noise(_waves(sigma.flatten()))
        for index, blocks in enumerate(self.scales):
            if index:
                h = F.avg_pool2d(h, 2)
            for block in blocks:  # type: ignore[union-attr]
                h = block(h, level)
        return self.head[:-1](h)

    def patches(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """x and sigma as in `trunk`. Returns patch logits [B, h, w]."""
        return self.head[-1](self.trunk(x, sigma))[:, 0]

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The logit of "real" [B]: the mean of the patch logits."""
        return self.patches(x, sigma).flatten(1).mean(1)

    @property
    def stride(self) -> int:
        """Input cells of one patch logit along each side."""
        return self.config.patch * 2 ** (len(self.config.widths) - 1)


class _Block(nn.Module):
    """A residual block of two convolutions, scaled and shifted by the noise level."""

    def __init__(self, before: int, width: int, level: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(before), nn.SiLU(), nn.Conv2d(before, width, 3, padding=1))
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(0.1), nn.Conv2d(width, width, 3, padding=1))
        self.norm = _norm(width)
        self.modulate = nn.Linear(level, 2 * width)
        self.skip = nn.Identity() if before == width else nn.Conv2d(before, width, 1)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        scale, shift = self.modulate(level)[:, :, None, None].chunk(2, dim=1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        return self.skip(x) + self.second(h)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(width, 8), width)


def _waves(sigma: torch.Tensor) -> torch.Tensor:
    """Noise level [B] in 0..infinity as 32 waves of arctan(sigma), which is bounded and needs no logarithm of 0."""
    angle = torch.atan(sigma.float())[:, None] / (math.pi / 2)  # 0..1
    k = torch.arange(1, 17, device=sigma.device, dtype=torch.float32) * math.pi
    return torch.cat([torch.cos(angle * k), torch.sin(angle * k)], dim=1).to(sigma)
