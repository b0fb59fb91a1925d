"""How a judge sees a picture: resized, cropped and normalised as its own transform does, in torch, so that slopes pass."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures
STD = (0.26862954, 0.26130258, 0.27577711)
RESAMPLE = {2: "bilinear", 3: "bicubic"}  # PIL's numbers


@dataclass(frozen=True)
class Transform:
    """side: the short side, or height and width whatever the shape. crop: height and width of the middle that is kept.

    whole: the long side becomes `side` instead, on a black square. clipped: values outside 0..1 that bicubic makes are cut
    off, as 8-bit pictures do.
    """

    side: int | tuple[int, int] = 224
    crop: tuple[int, int] | None = (224, 224)
    mode: str = "bicubic"
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    whole: bool = False
    clipped: bool = True

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in 0..1 -> [B, 3, h, w], normalised."""
        if isinstance(self.side, tuple):
            x = self._resized(x, *self.side)
        else:
            height, width = x.shape[-2:]
            edge = max(height, width) if self.whole else min(height, width)
            rounded = round if self.whole else int
            x = self._resized(x, *(rounded(self.side * n / edge) for n in (height, width)))
        if self.whole and isinstance(self.side, int):
            x = on_black(x, self.side)
        return normalised(middle(x, *self.crop) if self.crop else x, self.mean, self.std)

    def _resized(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        return resized(x, height, width, mode=self.mode, clipped=self.clipped)


def resized(x: torch.Tensor, height: int, width: int, *, mode: str = "bicubic", clipped: bool = True) -> torch.Tensor:
    """[B, C, H, W] at another size, filtered when it becomes smaller, as PIL does."""
    if x.shape[-2:] == (height, width):
        return x
    size = (max(height, 1), max(width, 1))
    x = F.interpolate(x, size, mode=mode, align_corners=False, antialias=True)
    return x.clamp(0, 1) if clipped else x


def middle(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The middle of [B, C, H, W], on black where x is smaller; rounded as torchvision's CenterCrop does."""
    short = [max(0, wanted - have) for wanted, have in zip((height, width), x.shape[-2:])]
    if any(short):
        (above, left), (below, right) = [n // 2 for n in short], [(n + 1) // 2 for n in short]
        x = F.pad(x, (left, right, above, below))
    top, start = (round((have - wanted) / 2.0) for have, wanted in zip(x.shape[-2:], (height, width)))
    return x[..., top : top + height, start : start + width]


def on_black(x: torch.Tensor, side: int) -> torch.Tensor:
    """x in the middle of a black square."""
    high, wide = side - x.shape[-2], side - x.shape[-1]
    return F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))


def normalised(x: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    return (x - x.new_tensor(mean).view(-1, 1, 1)) / x.new_tensor(std).view(-1, 1, 1)


def transform_of(folder: Path, otherwise: Transform) -> Transform:
    """What preprocessor_config.json in a folder says; `otherwise` when there is none."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return otherwise
    values: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return Transform(
        side=_side(values.get("size", 224)),
        crop=_pair(values.get("crop_size", 224)) if values.get("do_center_crop", otherwise.crop is not None) else None,
        mode=RESAMPLE.get(values.get("resample", 3), "bicubic"),
        mean=tuple(values.get("image_mean", MEAN)),
        std=tuple(values.get("image_std", STD)),
    )


def _side(size: Any) -> int | tuple[int, int]:
    if isinstance(size, dict):
        return size["shortest_edge"] if size.get("shortest_edge") else (size["height"], size["width"])
    return int(size)


def _pair(size: Any) -> tuple[int, int]:
    return (size["height"], size["width"]) if isinstance(size, dict) else (int(size), int(size))
