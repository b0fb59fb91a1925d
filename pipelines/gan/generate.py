"""Styles to pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import AigcError
from ..payloads import Gan, Style
from ..runtime import Runtime
from . import opening, stylegan2
from .network import NOISES, Generator
from .styles import checked, generators, labels_of, mapped

PIXELS = 2**18  # made at once


def images(
    gan: Gan,
    style: Style,
    *,
    noise: str = "const",
    runtime: Runtime,
    on_picture: Callable[[int, int], None] = lambda done, total: None,
) -> torch.Tensor:
    """IMAGE [B, R, R, 3] in 0..1. noise: "const" is the same for all, "random" goes by each row's seed, "none" leaves it out."""
    if noise not in NOISES:
        raise AigcError(f"Expected noise of {', '.join(NOISES)}, got '{noise}': choose one of them.")
    checked(gan, style)
    style = mapped(gan, style, runtime=runtime)
    total, out = len(style.z), []
    with opening.generating(gan, runtime) as g, torch.no_grad():
        chunk = max(1, PIXELS // g.resolution**2)
        for start in range(0, total, chunk):
            runtime.check_interrupt()
            out.append(drawn(g, gan, style, slice(start, start + chunk), noise, runtime).cpu())
            on_picture(min(start + chunk, total), total)
    return torch.cat(out)


def seen(gan: Gan, *, runtime: Runtime) -> Callable[[Style], torch.Tensor]:
    """A `distance` for `styles.walk`: the root mean squared difference [B] of each row's picture from the one before."""

    def distance(style: Style) -> torch.Tensor:
        image = images(gan, style, runtime=runtime)
        return torch.cat([torch.zeros(1), (image[1:] - image[:-1]).square().mean((1, 2, 3)).sqrt()])

    return distance


def drawn(g: Generator, gan: Gan, style: Style, rows: slice, noise: str, runtime: Runtime) -> torch.Tensor:
    """[b, R, R, 3] in 0..1 of some rows."""
    seeds = style.seeds[rows] if style.seeds else tuple(range(len(style.z)))[rows]
    rng = generators([abs(seed) for seed in seeds])
    if style.w is not None and isinstance(g, stylegan2.Generator):
        x = g.synthesize(style.w[rows].to(runtime.device), noise=noise, rng=rng)
    else:
        labels = labels_of(gan, style, rows)
        x = g(style.z[rows].to(runtime.device), labels, noise=noise, rng=rng)
    return to_image(x)


def to_image(x: torch.Tensor) -> torch.Tensor:
    """[B, 3, R, R] in -1..1 to [B, R, R, 3] in 0..1, clamped."""
    return ((x.float() + 1) / 2).clamp(0, 1).movedim(1, -1)


def from_image(image: torch.Tensor, side: int) -> torch.Tensor:
    """[B, H, W, 3] in 0..1 to [B, 3, side, side] in -1..1: the middle square, filtered against aliasing."""
    high, wide = image.shape[1:3]
    edge = min(high, wide)
    top, left = (high - edge) // 2, (wide - edge) // 2
    x = image[:, top : top + edge, left : left + edge, :3].movedim(-1, 1).float()
    if edge != side:
        x = torch.nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return 2 * x - 1
