"""Motion layers on a frozen picture model: the latent of a still becomes the latents of a clip.

What a picture shows comes from the picture model, how it moves from clips without words (Singer et al. 2022, Make-A-Video,
arXiv 2209.14792). A flow is read off the still for every frame, features of the still are carried along it
(Ni et al. 2023, arXiv 2303.13744; Siarohin et al. 2019, arXiv 2003.00196), and blocks that look over a frame and then along the
frames make the frame's latent of what arrives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """What a file of motion layers is built as. kinds: the motions by name; side: of the latents; cell: features a side in one."""

    kinds: tuple[str, ...]
    channels: int = 40
    side: int = 8
    cell: int = 4
    fine: int = 24
    width: int = 160
    blocks: int = 4
    heads: int = 4
    signal: int = 128


class Signal(nn.Module):
    """What the layers are told of a frame: the kind of motion, the phase, the strength, and the still in a few numbers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.signal
        self.rates = 16
        self.kind = nn.Embedding(len(shape.kinds), width)
        self.still = nn.Sequential(
            nn.Conv2d(shape.channels, 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, 16, 3, padding=1), nn.SiLU(), nn.Flatten(1),
            nn.Linear(16 * shape.side**2, width), nn.SiLU(),
        )  # fmt: skip
        self.layers = nn.Sequential(
            nn.Linear(2 * width + 2 * self.rates + 2, 2 * width), nn.SiLU(),
            nn.Linear(2 * width, 2 * width), nn.SiLU(),
            nn.Linear(2 * width, width), nn.SiLU(),
        )  # fmt: skip

    def forward(self, stills: Tensor, kinds: Tensor, phases: Tensor, strengths: Tensor) -> Tensor:
        """stills [B, C, S, S], kinds [B], phases [B, F] in 0..1, strengths [B] -> [B, F, signal]."""
        frames = phases.shape[1]
        angles = phases[..., None] * (math.pi * torch.arange(1, self.rates + 1, device=phases.device))
        once = torch.cat((self.kind(kinds), self.still(stills), strengths[:, None]), -1)
        waves = torch.cat((phases[..., None], angles.sin(), angles.cos()), -1).to(once.dtype)
        return self.layers(torch.cat((once[:, None].expand(-1, frames, -1), waves), -1))


def inverse(moves: Tensor) -> Tensor:
    """Where each place of a frame lies in the still: the affine maps [..., 2, 3], turned round."""
    turned = torch.linalg.inv(moves[..., :2].float())
    return torch.cat((turned, -turned @ moves[..., 2:].float()), -1).to(moves.dtype)


class Flow(nn.Module):
    """What `Signal` takes -> the affine map [B, F, 2, 3] that carries the still to each frame; the picture lies in -1..1."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.signal = Signal(shape)
        self.layers = nn.Sequential(
            nn.Linear(shape.signal, 2 * shape.signal), nn.SiLU(), nn.Linear(2 * shape.signal, 6)
        )

    def forward(self, stills: Tensor, kinds: Tensor, phases: Tensor, strengths: Tensor) -> Tensor:
        found = self.layers(self.signal(stills, kinds, phases, strengths))
        stretch_x, stretch_y, cosine, sine, dx, dy = found.unbind(-1)
        turn = F.normalize(torch.stack((1 + cosine, sine), -1), dim=-1)
        scale = torch.stack((stretch_x, stretch_y), -1).clamp(-4, 1).exp()
        (c, s), (a, b) = turn.unbind(-1), scale.unbind(-1)
        rows = torch.stack((c * a, -s * b, dx, s * a, c * b, dy), -1)
        return rows.unflatten(-1, (2, 3))


class Block(nn.Module):
    """[B * F, C, H, W] and the signal [B, F, S] -> the same shape: over the frame, then along the frames."""

    def __init__(self, width: int, signal: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.modulate = nn.Linear(signal, 2 * width)
        self.spread = nn.Conv2d(width, width, 3, padding=1)
        self.over = nn.Conv2d(width, width, 3, padding=1)
        self.along = nn.LayerNorm(width)
        self.told = nn.Linear(signal, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        for layer in (self.over, self.joined):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, h: Tensor, signal: Tensor) -> Tensor:
        batch, frames, _ = signal.shape
        scale, shift = self.modulate(signal).flatten(0, 1)[..., None, None].chunk(2, 1)
        x = self.spread(F.silu(self.first(h)))
        h = h + self.over(F.silu(self.second(x) * (1 + scale) + shift))
        tokens = h.unflatten(0, (batch, frames)).permute(0, 3, 4, 1, 2)  # [B, H, W, F, C]
        x = self.along(tokens) + self.told(signal)[:, None, None]
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in self.qkv(x).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2)
        return (tokens + self.joined(seen)).permute(0, 3, 4, 1, 2).flatten(0, 1)


class Motion(nn.Module):
    """The layers of one picture model's latents."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.signal, self.flow = Signal(shape), Flow(shape)
        fine, width = shape.fine, shape.width
        self.unfold = nn.Sequential(
            nn.Conv2d(shape.channels, fine * shape.cell**2, 1), nn.PixelShuffle(shape.cell),
            nn.Conv2d(fine, fine, 3, padding=1), nn.SiLU(), nn.Conv2d(fine, fine, 3, padding=1),
        )  # fmt: skip
        self.fold = nn.Conv2d(3 * (fine + 1), width, shape.cell, stride=shape.cell)
        self.blocks = nn.ModuleList(Block(width, shape.signal, shape.heads) for _ in range(shape.blocks))
        self.out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, shape.channels, 3, padding=1))

    def carried(self, stills: Tensor, moves: Tensor) -> Tensor:
        """Features [B * F, 3 * (fine + 1), H, W] of the stills, carried by the moves [B, F, 2, 3]; 0 where nothing of them is."""
        features = self.unfold(stills)
        features = torch.cat((features, torch.ones_like(features[:, :1])), 1)
        batch, frames = moves.shape[:2]
        size = (batch * frames, *features.shape[1:])
        grid = F.affine_grid(inverse(moves).flatten(0, 1), list(size), align_corners=False)
        levels = [features, F.avg_pool2d(features, 2), F.avg_pool2d(features, 4)]  # coarser ones for what shrinks
        rows = [level.repeat_interleave(frames, 0) for level in levels]
        return torch.cat([F.grid_sample(row, grid, padding_mode="zeros", align_corners=False) for row in rows], 1)

    def forward(self, stills: Tensor, kinds: Tensor, phases: Tensor, strengths: Tensor) -> Tensor:
        """stills [B, C, S, S], kinds [B], phases [B, F] in 0..1, strengths [B] -> latents [B * F, C, S, S]."""
        moves = self.flow(stills, kinds, phases, strengths)
        signal = self.signal(stills, kinds, phases, strengths)
        h = self.fold(self.carried(stills, moves))
        for block in self.blocks:
            h = block(h, signal)
        return self.out(h)
