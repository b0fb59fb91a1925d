"""Differentiable augmentation for small sets, and the controller that finds how much of it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

Tensor = torch.Tensor
SHIFT, CUT = 0.125, 0.5  # of the side, as in Zhao et al. 2020


def _coin(x: Tensor, chance: float, rng: torch.Generator) -> Tensor:
    """[B, 1, 1, 1]: 1 for the rows that are changed."""
    return (torch.rand(len(x), 1, 1, 1, generator=rng) < chance).to(x)


def _uniform(x: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(len(x), 1, 1, 1, generator=rng).to(x)


def colour(x: Tensor, chance: float, rng: torch.Generator) -> Tensor:
    """Brightness, saturation and contrast of x [B, 3, H, W], each by a draw a row."""
    coin = _coin(x, chance, rng)
    light, chroma, contrast = (_uniform(x, rng) for _ in range(3))
    changed = x + light - 0.5
    grey = changed.mean(1, keepdim=True)
    changed = (changed - grey) * (2 * chroma) + grey
    middle = changed.mean((1, 2, 3), keepdim=True)
    changed = (changed - middle) * (contrast + 0.5) + middle
    return torch.lerp(x, changed, coin)


def translation(x: Tensor, chance: float, rng: torch.Generator) -> Tensor:
    """Moved by up to an eighth of the side, black (0) coming in."""
    coin = _coin(x, chance, rng)[:, 0, 0, 0]
    height, width = x.shape[-2:]
    limits = [max(1, round(SHIFT * n)) for n in (height, width)]
    moves = [torch.randint(-m, m + 1, (len(x),), generator=rng).to(x.device) * coin.long() for m in limits]
    padded = F.pad(x, (limits[1], limits[1], limits[0], limits[0]))
    rows = (torch.arange(height, device=x.device) + limits[0])[None] + moves[0][:, None]  # [B, H]
    columns = (torch.arange(width, device=x.device) + limits[1])[None] + moves[1][:, None]
    batch = torch.arange(len(x), device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(x: Tensor, chance: float, rng: torch.Generator) -> Tensor:
    """A square of half the side made 0, anywhere, also over the edge."""
    coin = _coin(x, chance, rng)
    masks = []
    for side, axis in zip(x.shape[-2:], (2, 3)):
        centre = _uniform(x, rng) * side
        place = torch.arange(side, device=x.device, dtype=x.dtype).reshape([-1 if a == axis else 1 for a in range(4)])
        masks.append(((place - centre).abs() <= CUT * side / 2).to(x))
    return x * (1 - coin * masks[0] * masks[1])


POLICIES: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
}


def augmented(x: Tensor, policies: Sequence[str], chance: float, rng: torch.Generator) -> Tensor:
    """x [B, 3, H, W] in -1..1 with each policy laid on a row by `chance`; slopes pass (Zhao et al. 2020, arXiv 2006.10738).

    chance 0 is the picture itself; at 1 every row is changed.
    """
    if chance <= 0:
        return x
    for name in policies:
        x = POLICIES[name](x, chance, rng)
    return x


def next_chance(chance: float, signs: float, images: int, target: float = 0.6, ramp: int = 100_000) -> float:
    """The chance after `images` more real ones were shown, of which D took the share (1 + signs) / 2 for real.

    r_t = E[sign D(x)] over `target` means that D knows its training set by heart (Karras et al. 2020, arXiv
    2006.06676, section 3.2): the chance goes up, else down, by 1 in `ramp` images; within 0..0.9.
    """
    step = images / ramp
    return min(0.9, max(0.0, chance + (step if signs > target else -step)))
