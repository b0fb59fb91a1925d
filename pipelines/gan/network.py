"""What every generator and discriminator here has in common: what it answers, its classes, its noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import AigcError
from ..menus import NOISES as NOISES

SIDES = tuple(2**n for n in range(3, 11))  # 8..1024
# Channels at the full resolution when a design says "auto": a CPU's share up to 64 pixels, a GPU's above.
AUTO_WIDTH = {8: 32, 16: 32, 32: 24, 64: 16, 128: 32, 256: 64, 512: 64, 1024: 32}
AUTO_MOST = {8: 128, 16: 128, 32: 192, 64: 256}
Rng = torch.Generator | Sequence[torch.Generator] | None


class Generator(nn.Module):
    """`self(z [B, z_dim], labels [B] | None, noise=, rng=)` is pictures [B, 3, R, R], nominally in -1..1 and not clamped.

    noise: "random" draws it from `rng` (one for the batch, or one a row), "const" uses the one that is stored, "none"
    leaves it out; networks without noise inputs ignore it. layers: of w, 0 without a mapping network.
    """

    z_dim: int
    resolution: int
    classes: int = 0
    layers: int = 0

    def forward(
        self, z: torch.Tensor, labels: torch.Tensor | None = None, *, noise: str = "random", rng: Rng = None
    ) -> torch.Tensor:
        raise NotImplementedError


class Discriminator(nn.Module):
    """`self(x [B, 3, R, R] in -1..1, labels [B] | None)` is logits [B], higher for real; twice differentiable."""

    resolution: int
    classes: int = 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        raise NotImplementedError


def one_hot(labels: torch.Tensor | None, classes: int, like: torch.Tensor) -> torch.Tensor:
    """[B, classes] in the dtype of `like`. Raises AigcError when a class is missing or is none of them."""
    if labels is None or len(labels) != len(like):
        count = 0 if labels is None else len(labels)
        raise AigcError(
            f"Expected a class for each of {len(like)} pictures, got {count}: this GAN has {classes} classes."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise AigcError(
            f"Expected classes from 0 to {classes - 1}, got {low if low < 0 else high}: choose one of them."
        )
    return F.one_hot(labels.to(like.device, torch.long), classes).to(like.dtype)


def drawn(shape: tuple[int, ...], like: torch.Tensor, rng: Rng) -> torch.Tensor:
    """Normal noise of `shape`, on the device of `like`. With one generator a row, a row's noise does not depend on its batch."""
    if rng is None or isinstance(rng, torch.Generator):
        device = like.device if rng is None else rng.device
        return torch.randn(shape, generator=rng, device=device).to(like)
    return torch.cat([torch.randn((1, *shape[1:]), generator=one, device=one.device) for one in rng]).to(like)


def widths(resolution: int, width: int, most: int, smallest: int = 4) -> dict[int, int]:
    """Channels by resolution, from `smallest` up: doubled with each halving, at most `most`. 0 for either means "auto"."""
    width, most = width or AUTO_WIDTH[resolution], most or AUTO_MOST.get(resolution, 512)
    sides = [smallest * 2**n for n in range(resolution.bit_length()) if smallest * 2**n <= resolution]
    return {side: max(1, min(width * resolution // side, most)) for side in sides}


def checked_side(resolution: int) -> None:
    if resolution not in SIDES:
        raise AigcError(f"Expected a resolution of {', '.join(map(str, SIDES))}, got {resolution}: choose one of them.")
