"""Pictures from files, a few at a time: found, read, grouped, fitted."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from ..errors import AigcError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
AT_ONCE = 1 << 22  # pixels of one batch
Skipped = Callable[[Path, str], None]


def listed(place: str, base: Path, *, below: bool = False) -> list[Path]:
    """The picture files of a folder, or of a glob with * or ?, sorted; `base` is what a relative one starts at.

    below: look into the folders inside as well. Raises AigcError when there is no such folder.
    """
    path = Path(place).expanduser()
    path = path if path.is_absolute() else base / path
    if not place.strip():
        raise AigcError("Expected a folder of pictures, got an empty name: fill it in.")
    if any(sign in path.name for sign in "*?["):
        found = (Path(name) for name in glob.glob(str(path), recursive=True))
    elif path.is_dir():
        found = path.rglob("*") if below else path.iterdir()
    else:
        raise AigcError(
            f"Expected a folder of pictures or a pattern such as folder/*.png, got {path}, which is not there."
        )
    return sorted(file for file in found if file.suffix.lower() in ENDINGS and file.is_file())


def read(path: Path) -> torch.Tensor:
    """One picture [3, H, W] in 0..1, turned as its camera says; of an animation the first. Raises OSError or ValueError."""
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (Image.DecompressionBombError, SyntaxError) as error:
        raise ValueError(str(error)) from error
    return torch.from_numpy(pixels).movedim(-1, 0).float() / 255


def batches(paths: Iterable[Path], most: int, skipped: Skipped) -> Iterator[tuple[list[Path], torch.Tensor]]:
    """The files with their pictures [B, 3, H, W], B up to `most` neighbours of one size, few when they are large.

    skipped(path, reason) is told of each file that cannot be read.
    """
    names: list[Path] = []
    held: list[torch.Tensor] = []
    for path in paths:
        try:
            picture = read(path)
        except (OSError, ValueError) as error:
            # PIL repeats the whole path in its message.
            skipped(path, str(error).replace(str(path), path.name).splitlines()[0] if str(error) else repr(error))
            continue
        if held and (len(held) >= most or picture.shape != held[0].shape or _full(held)):
            yield names, torch.stack(held)
            names, held = [], []
        names.append(path)
        held.append(picture)
    if held:
        yield names, torch.stack(held)


def _full(held: Sequence[torch.Tensor]) -> bool:
    return (len(held) + 1) * held[0][0].numel() > AT_ONCE


def letterboxed(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Pictures [3, h, w] as one IMAGE [B, H, W, 3] of the first one's size: scaled to fit, centred, black around."""
    if not pictures:
        return torch.zeros(0, 1, 1, 3)
    height, width = pictures[0].shape[-2:]
    fitted = []
    for picture in pictures:
        scale = min(height / picture.shape[-2], width / picture.shape[-1])
        size = max(1, round(picture.shape[-2] * scale)), max(1, round(picture.shape[-1] * scale))
        if size != tuple(picture.shape[-2:]):
            picture = F.interpolate(picture[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        fitted.append(F.pad(picture, (left, width - size[1] - left, top, height - size[0] - top)))
    return torch.stack(fitted).movedim(1, -1)
