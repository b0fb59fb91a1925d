"""Ways between points: straight, or along a sphere; and a frame's place on a way along several keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .errors import AigcError

PARALLEL = 1e-4  # the sine of an angle below which both ways are one


@dataclass(frozen=True)
class Walk:
    """A way along keys, a frame a row: row i is shares[i] of the way from key starts[i] to key ends[i]; 0 is the key itself.

    at_once: how many rows are sampled and decoded together. In a LATENT, under "aigc_walk", key k is the noise of seed + k.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    shares: tuple[float, ...]
    at_once: int = 8

    def __len__(self) -> int:
        return len(self.shares)

    def taken(self, rows: Sequence[int]) -> Walk:
        """These rows of it."""
        starts, ends, shares = (tuple(x[i] for i in rows) for x in (self.starts, self.ends, self.shares))
        return replace(self, starts=starts, ends=ends, shares=shares)

    def joined(self, others: Sequence[Walk]) -> Walk:
        """This one and others, one after another."""
        every = (self, *others)
        starts, ends, shares = (sum((getattr(w, n) for w in every), ()) for n in ("starts", "ends", "shares"))
        return replace(self, starts=starts, ends=ends, shares=shares)


def slerp(a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
    """From a to b [..., D] along the sphere, the length in step (Shoemake 1985); exactly a at 0 and b at 1."""
    if share in (0, 1):
        return b if share else a
    long_a, long_b = (x.norm(dim=-1, keepdim=True) for x in (a, b))
    cosine = (a * b).sum(-1, keepdim=True) / (long_a * long_b).clamp_min(1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    flat = (sine < PARALLEL) | (long_a * long_b == 0)
    way = torch.sin((1 - share) * angle) * a / long_a.clamp_min(1e-12) + torch.sin(
        share * angle
    ) * b / long_b.clamp_min(1e-12)
    round_ = (long_a + share * (long_b - long_a)) * way / sine.masked_fill(flat, 1)
    return torch.where(flat, a + share * (b - a), round_)


def lerp(a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
    """From a to b in a straight line; exactly a at 0 and b at 1."""
    return (b if share else a) if share in (0, 1) else a + share * (b - a)


def way(keys: int, *, frames: int, loop: bool, middle: float = 1.0, at_once: int = 8) -> Walk:
    """`frames` places along so many keys, as many for each leg: the first frame is the first key.

    loop: from the last key on to the first, so that the frame after the last would be the first again; otherwise the last
    frame is the last key. One key: every frame is it. middle: 1 is one speed; 2 spends twice as many frames around the middle of
    a leg, where pictures change most. Raises AigcError for fewer than two frames.
    """
    if frames < 2:
        raise AigcError(f"Expected two frames or more for a walk, got {frames}: 24 a second is usual.")
    if at_once < 1:
        raise AigcError(f"Expected one frame or more at once, got {at_once}: 8 is usual.")
    if not 1 <= middle <= 10:
        raise AigcError(f"Expected a middle between 1 and 10, got {middle:g}: 1 is one speed, 2 is slower half-way.")
    legs, last = (keys, frames) if loop else (keys - 1, frames - 1)
    legs = legs if keys > 1 else 0
    # Whole numbers, so that a frame on a key is on it exactly.
    places = [divmod(i * legs, last) for i in range(frames)]
    starts = tuple(start % keys for start, _ in places)
    ends = tuple((start + 1) % keys if rest else start % keys for start, rest in places)
    return Walk(starts, ends, tuple(_slowed(rest / last, middle) for _, rest in places), at_once)


def _slowed(share: float, middle: float) -> float:
    """The same ends and middle, and a `middle`th of the speed around there."""
    if middle == 1:
        return share
    away = 2 * share - 1
    return 0.5 + away / 2 * (1 / middle + (1 - 1 / middle) * abs(away))
