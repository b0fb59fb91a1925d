"""What a decoder needs to know of clips that were made from stills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..runtime import Runtime
from .files import load

AT_ONCE = 16  # frames


@dataclass(frozen=True)
class Moved:
    """How frames came of stills; rides in the LATENT dict under "aigc_motion".

    samples: the LATENT tensor that this belongs to, a row a frame. stills: pictures [B, 3, H, W] in -1..1. rows: a frame's still.
    moves: [N, 2, 3], what carried it. path: of the layers.
    """

    samples: Tensor
    stills: Tensor
    rows: tuple[int, ...]
    moves: Tensor
    path: Path

    def fits(self, samples: Tensor) -> bool:
        """Whether these are still the frames that were made."""
        same = samples.shape == self.samples.shape
        return samples is self.samples or (same and torch.equal(samples.cpu(), self.samples.cpu()))

    def taken(self, places: Sequence[int], samples: Tensor) -> Moved:
        """Of the frames at `places`, which `samples` are."""
        at = list(places)
        return replace(self, samples=samples, rows=tuple(self.rows[i] for i in at), moves=self.moves[at])

    @torch.no_grad()
    def redrawn(self, frames: Tensor, runtime: Runtime) -> Tensor:
        """Decoded frames [N, 3, H, W] in 0..1 -> the same with their stills' detail."""
        layers, _ = load(self.path)
        parts = []
        with runtime.placed([layers]):
            for at in torch.arange(len(frames)).split(AT_ONCE):
                runtime.check_interrupt()
                stills = self.stills[[self.rows[i] for i in at.tolist()]].to(runtime.device)
                decoded, moves = frames[at].to(runtime.device, torch.float32) * 2 - 1, self.moves[at].to(runtime.device)
                parts.append((layers.redrawn(decoded, stills, moves[:, None]) / 2 + 0.5).clamp(0, 1).cpu())
        return torch.cat(parts)
