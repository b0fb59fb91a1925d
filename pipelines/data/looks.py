"""What is measured of one picture: sharpness, exposure, and its near-duplicate signature. Each a function of pixels."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from ..payloads import Item
from . import near, reading

if TYPE_CHECKING:
    import numpy as np

SIDE = 256  # px of the longer side at which sharpness is measured; smaller pictures stay as they are
DARK, BRIGHT = 5, 250  # of 255: at or beyond them a pixel counts as lost
KEPT = 200_000  # looks that stay in memory, some hundred bytes each


@dataclass(frozen=True)
class Look:
    """signature: of `near`. sharpness: see `sharpness`. dark, bright: shares of lost pixels. spread: of brightness, 0..255."""

    signature: tuple[int, bytes]
    sharpness: float
    dark: float
    bright: float
    spread: float


def sharpness(rgb: np.ndarray) -> float:
    """Variance of the Laplacian of the grey picture in 0..255, its longer side brought down to SIDE.

    (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy", eq. 5)
    """
    import cv2

    scale = min(1.0, SIDE / max(rgb.shape[:2]))
    width, height = (max(1, round(length * scale)) for length in rgb.shape[1::-1])
    grey = cv2.cvtColor(reading.scaled(rgb, width, height), cv2.COLOR_RGB2GRAY)
    return float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))[1][0, 0] ** 2)


def exposure(rgb: np.ndarray) -> tuple[float, float, float]:
    """(share of pixels that are black, share that are white, standard deviation of brightness)."""
    import cv2

    red, green, blue = cv2.split(rgb)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    spread = cv2.meanStdDev(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))[1]
    return float((most <= DARK).mean()), float((least >= BRIGHT).mean()), float(spread[0, 0])


def look(rgb: np.ndarray) -> Look:
    dark, bright, spread = exposure(rgb)
    return Look(near.signature(rgb), sharpness(rgb), dark, bright, spread)


_seen: OrderedDict[tuple[str, str, int, int], Look] = OrderedDict()
_lock = Lock()


def of(item: Item) -> Look:
    """The look of an item; known ones are not decoded again while the file stays the same. Raises reading.Unreadable."""
    key = reading.explained(item, lambda: (str(item.path), item.member, item.frame, os.stat(item.path).st_mtime_ns))
    with _lock:
        if key in _seen:
            return _seen[key]
    found = look(reading.pixels(item))
    with _lock:
        _seen[key] = found
        while len(_seen) > KEPT:
            _seen.popitem(last=False)
    return found
