"""Motion layers on a frozen picture model: the latent of a still becomes the latents of a clip.

What a picture shows comes from the picture model, how it moves from clips without words (Singer et al. 2022, Make-A-Video,
arXiv 2209.14792). A flow is read off the still for every frame, features of the still are carried along it
(Ni et al. 2023, arXiv 2303.13744; Siarohin et al. 2019, arXiv 2003.00196), and blocks that look over a frame and then along the
frames make the frame's latent of what arrives. What the picture model's decoder makes of that latent is drawn once more beside the
still, carried along the same flow, since detail of a still does not survive a second time through an autoencoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """What a file of motion layers is built as. kinds: the motions by name; side: of the latents; pixels, cell: pixels and
    features a side in one of theirs."""

    kinds: tuple[str, ...]
    channels: int = 40
    side: int = 8
    pixels: int = 16
    cell: int = 4
    fine: int = 24
    width: int = 160
    blocks: int = 4
    heads: int = 4
    signal: int = 128


class Content(nn.Module):
    """Latents [B, C, S, S] of stills -> [B, signal]: what they show."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(shape.channels, 64, 3, padding=1), nn.SiLU(), nn.Conv2d(64, 16, 3, padding=1), nn.SiLU(), nn.Flatten(1),
            nn.Linear(16 * shape.side**2, shape.signal), nn.SiLU(),
        )  # fmt: skip

    def forward(self, stills: Tensor) -> Tensor:
        return self.layers(stills)


class Outline(nn.Module):
    """Pictures [B, 3, S, S] of stills in -1..1 -> [B, signal]: where the subject lies, by each row's and column's darkest place."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4 * shape.side * shape.pixels, 2 * shape.signal), nn.SiLU(),
            nn.Linear(2 * shape.signal, shape.signal), nn.SiLU(),
        )  # fmt: skip

    def forward(self, pictures: Tensor) -> Tensor:
        ink = (1 - pictures.amin(1)) / 2
        lines = torch.cat((ink.amax(1), ink.amax(2)), 1)
        return self.layers(torch.cat((lines, (8 * lines).clamp(max=1)), 1))  # faint edges count, too


class Signal(nn.Module):
    """What the layers are told of a frame: the kind of motion, the phase, the strength, and the still in a few numbers."""

    def __init__(self, shape: Shape, still: nn.Module) -> None:
        super().__init__()
        width = shape.signal
        self.rates = 16
        self.kind = nn.Embedding(len(shape.kinds), width)
        self.still = still
        self.layers = nn.Sequential(
            nn.Linear(2 * width + 2 * self.rates + 2, 2 * width), nn.SiLU(),
            nn.Linear(2 * width, 2 * width), nn.SiLU(),
            nn.Linear(2 * width, width), nn.SiLU(),
        )  # fmt: skip

    def forward(self, stills: Tensor, kinds: Tensor, phases: Tensor, strengths: Tensor) -> Tensor:
        """stills as `still` takes them, kinds [B], phases [B, F] in 0..1, strengths [B] -> [B, F, signal]."""
        frames = phases.shape[1]
        angles = phases[..., None] * (math.pi * torch.arange(1, self.rates + 1, device=phases.device))
        once = torch.cat((self.kind(kinds), self.still(stills), strengths[:, None]), -1)
        waves = torch.cat((phases[..., None], angles.sin(), angles.cos()), -1).to(once.dtype)
        return self.layers(torch.cat((once[:, None].expand(-1, frames, -1), waves), -1))


def inverse(moves: Tensor) -> Tensor:
    """Where each place of a frame lies in the still: the affine maps [..., 2, 3], turned round."""
    turned = torch.linalg.inv(moves[..., :2].float())
    return torch.cat((turned, -turned @ moves[..., 2:].float()), -1).to(moves.dtype)


def carried(maps: Tensor, moves: Tensor) -> Tensor:
    """[B, C, H, W] carried by the moves [B, F, 2, 3] -> [B * F, 3, C + 1, H, W], the last channel 1 where something arrives.

    Three times: as it is, and from its halves and quarters, for what shrinks. What comes in from outside is 0.
    """
    maps = torch.cat((maps, torch.ones_like(maps[:, :1])), 1)
    batch, frames = moves.shape[:2]
    grid = F.affine_grid(inverse(moves).flatten(0, 1), [batch * frames, *maps.shape[1:]], align_corners=False)
    levels = [maps, F.avg_pool2d(maps, 2), F.avg_pool2d(maps, 4)]
    rows = [level.repeat_interleave(frames, 0) for level in levels]
    return torch.stack([F.grid_sample(row, grid, padding_mode="zeros", align_corners=False) for row in rows], 1)


class Flow(nn.Module):
    """Pictures, and what else `Signal` takes -> the affine map [B, F, 2, 3] that carries each still, in -1..1, to each frame."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.signal = Signal(shape, Outline(shape))
        self.layers = nn.Sequential(
            nn.Linear(shape.signal, 2 * shape.signal), nn.SiLU(), nn.Linear(2 * shape.signal, 6)
        )

    def forward(self, pictures: Tensor, kinds: Tensor, phases: Tensor, strengths: Tensor) -> Tensor:
        found = self.layers(self.signal(pictures, kinds, phases, strengths))
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


class Redraw(nn.Module):
    """Frames as decoded and the still carried to each -> the frames: a share of each at each place, and what is missing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3 + 12, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 4 + 3, 3, padding=1),
        )  # fmt: skip

    def forward(self, frames: Tensor, pictures: Tensor) -> Tensor:
        """frames [N, 3, S, S] in -1..1; pictures [N, 3, 4, S, S] by `carried`, of stills less 1 (white, which comes in, is 0)."""
        shares, missing = self.layers(torch.cat((frames, pictures.flatten(1, 2)), 1)).split((4, 3), 1)
        candidates = torch.cat((frames[:, None], pictures[:, :, :3] + 1), 1)  # [N, 4, 3, S, S]
        return (shares.softmax(1)[:, :, None] * candidates).sum(1) + missing


class Motion(nn.Module):
    """The layers of one picture model's latents."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.signal, self.flow = Signal(shape, Content(shape)), Flow(shape)
        fine, width = shape.fine, shape.width
        self.unfold = nn.Sequential(
            nn.Conv2d(shape.channels, fine * shape.cell**2, 1), nn.PixelShuffle(shape.cell),
            nn.Conv2d(fine, fine, 3, padding=1), nn.SiLU(), nn.Conv2d(fine, fine, 3, padding=1),
        )  # fmt: skip
        self.fold = nn.Conv2d(3 * (fine + 1), width, shape.cell, stride=shape.cell)
        self.blocks = nn.ModuleList(Block(width, shape.signal, shape.heads) for _ in range(shape.blocks))
        self.out = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, shape.channels, 3, padding=1))
        self.redraw = Redraw(shape.fine)

    def forward(self, stills: Tensor, moves: Tensor, kinds: Tensor, phases: Tensor, strengths: Tensor) -> Tensor:
        """stills [B, C, S, S], moves [B, F, 2, 3] by the flow, and what else `Signal` takes -> latents [B * F, C, S, S]."""
        signal = self.signal(stills, kinds, phases, strengths)
        h = self.fold(carried(self.unfold(stills), moves).flatten(1, 2))
        for block in self.blocks:
            h = block(h, signal)
        return self.out(h)

    def redrawn(self, frames: Tensor, pictures: Tensor, moves: Tensor) -> Tensor:
        """frames [B * F, 3, S, S] as decoded, pictures [B, 3, S, S] of the stills, all in -1..1, and the moves -> the frames."""
        return self.redraw(frames, carried(pictures - 1, moves))
