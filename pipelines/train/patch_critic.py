"""A small discriminator that judges patches (Isola et al. 2016, arXiv 1611.07004, section 3.2.2)."""

from __future__ import annotations

import torch
from torch import nn


class PatchCritic(nn.Module):
    """[B, 3, H, W] to logits [B, 1, H/4, W/4]; each sees a patch of 34 pixels. Group norms, so that no picture sees another."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.GroupNorm(8, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, 1, 1, bias=False),
            nn.GroupNorm(8, 4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, 1, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)
