"""What makes a photograph unnatural: each a function of a picture [3, H, W] in 0..1, how much in 0..1, and its dice."""

from __future__ import annotations

import io
import math
import random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def _between(low: float, high: float, much: float) -> float:
    """From low to high, in equal ratios."""
    return low * (high / low) ** much


def _blurred(x: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    line = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma**2))
    line = (line / line.sum()).view(1, 1, 1, -1)
    rows = F.conv2d(F.pad(x[:, None], (reach, reach, 0, 0), mode="reflect"), line)
    return F.conv2d(F.pad(rows, (0, 0, reach, reach), mode="reflect"), line.transpose(2, 3))[:, 0]


def _resized(x: Tensor, size: list[int], mode: str = "bicubic") -> Tensor:
    return F.interpolate(x[None], size, mode=mode, antialias=True, align_corners=False)[0]


def jpeg(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """Quality 40 down to 5."""
    buffer = io.BytesIO()
    pixels = (255 * x.clamp(0, 1)).round().byte().movedim(0, -1).numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=round(_between(40, 5, much)))
    return torch.from_numpy(np.asarray(Image.open(buffer)).astype(np.float32) / 255).movedim(-1, 0)


def blur(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """A Gaussian of 0.8 to 4 pixels."""
    return _blurred(x, _between(0.8, 4, much))


def noise(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """White, of 0.02 to 0.2."""
    generator = torch.Generator().manual_seed(dice.getrandbits(32))
    return x + _between(0.02, 0.2, much) * torch.randn(x.shape, generator=generator)


def rescaled(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """Made 1.6 to 4 times smaller and enlarged again."""
    small = [max(8, round(n / _between(1.6, 4, much))) for n in x.shape[1:]]
    return _resized(_resized(x, small), list(x.shape[1:]), dice.choice(["bilinear", "bicubic"]))


def grid(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """A checkerboard or lines of 2, 4 or 8 pixels, of 0.015 to 0.12."""
    period = dice.choice([2, 4, 8])
    rows, columns = (torch.arange(n) % period < period // 2 for n in x.shape[1:])
    board = rows[:, None] ^ columns if dice.random() < 0.6 else (rows[:, None] | torch.zeros_like(columns))
    return x + _between(0.015, 0.12, much) * (board.float() - 0.5)


def banding(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """20 down to 4 levels a channel, not dithered."""
    levels = round(_between(20, 4, much)) - 1
    return (x * levels).round() / levels


def sharpened(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """An unsharp mask of 1.5 to 8 times."""
    return x + _between(1.5, 8, much) * (x - _blurred(x, dice.uniform(0.8, 2)))


def transposed(x: Tensor, much: float, dice: random.Random) -> Tensor:
    """Drawn from half the size by a transposed convolution whose kernel overlaps unevenly, as generators do."""
    generator = torch.Generator().manual_seed(dice.getrandbits(32))
    small = _resized(x, [n // 2 for n in x.shape[1:]])[:, None]
    kernel = torch.tensor([0.5, 1.0, 0.5])
    kernel = torch.outer(kernel, kernel) * (1 + _between(0.05, 0.5, much) * torch.randn(3, 3, generator=generator))
    drawn = F.conv_transpose2d(small, kernel[None, None], stride=2, padding=1, output_padding=1)[:, 0]
    return F.interpolate(drawn[None], x.shape[1:])[0]


ALL = {f.__name__: f for f in (jpeg, blur, noise, rescaled, grid, banding, sharpened, transposed)}


def distorted(x: Tensor, name: str, dice: random.Random) -> Tensor:
    """The picture spoiled by one of `ALL`, at a random strength, in whole levels of 0..255 as a file holds them."""
    return (255 * ALL[name](x, dice.random(), dice).clamp(0, 1)).round() / 255
