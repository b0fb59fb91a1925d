"""Clips that the motion layers learn from: a picture carried along a motion that fits what it shows.

A motion is one affine map a frame, of the still to the frame, with the picture in -1..1 and y going down. What the picture shows
(its box: everything that is not white) decides about the motion: it sways about its foot, lands on it, spins about its middle,
and goes as far as there is room.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WHITE = 235


@dataclass(frozen=True)
class Box:
    """Where the subject lies, -1..1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def foot(self) -> tuple[float, float]:
        return self.middle[0], self.bottom

    @property
    def size(self) -> tuple[float, float]:
        return self.right - self.left, self.bottom - self.top


WHOLE = Box(-0.9, -0.9, 0.9, 0.9)


def box(picture: np.ndarray) -> Box:
    """Of a picture uint8 [S, S, 3] on white."""
    rows, columns = np.nonzero(picture.min(-1) < WHITE)
    if len(rows) < 20:
        return WHOLE
    side = picture.shape[0]
    left, top = (2 * float(x.min()) / side - 1 for x in (columns, rows))
    right, bottom = (2 * float(x.max() + 1) / side - 1 for x in (columns, rows))
    return Box(left, top, right, bottom)


def about(
    place: tuple[float, float], angle: float, stretch: tuple[float, float], to: tuple[float, float]
) -> np.ndarray:
    """The map that stretches, then turns what is at `place`, and sets that down at `to`."""
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]]) @ np.diag(stretch)
    return np.concatenate([turn, (np.array(to) - turn @ np.array(place))[:, None]], 1)


def _scaled(where: Box, scale: float) -> np.ndarray:
    return about(where.middle, 0, (scale, scale), (0, 0))


def _zoom(where: Box, t: float, k: float) -> np.ndarray:
    return _scaled(where, 0.62 + 0.43 * k * t)


def _pan(where: Box, t: float, k: float) -> np.ndarray:
    room = max(0.2, 0.96 - 0.4 * where.size[0]) * min(k, 1.15)
    return about(where.middle, 0, (0.8, 0.8), (room * (2 * t - 1), 0))


def _sway(where: Box, t: float, k: float) -> np.ndarray:
    return about(where.foot, 0.3 * k * math.sin(2 * math.pi * t), (0.84, 0.84), (0, where.foot[1] * 0.84))


def _bounce(where: Box, t: float, k: float) -> np.ndarray:
    high = abs(math.sin(2 * math.pi * t))
    flat = 0.16 * k * max(0.0, 1 - 4 * high)
    return about(where.foot, 0, (0.7 * (1 + flat), 0.7 * (1 - flat)), (0, 0.92 - 0.5 * k * high))


def _spin(where: Box, t: float, k: float) -> np.ndarray:
    scale = min(0.95, 1.96 / math.hypot(*where.size))
    return about(where.middle, 2 * math.pi * t, (scale, scale), (0, 0))


def _appear(where: Box, t: float, k: float) -> np.ndarray:
    x = min(1.0, t / 0.6) - 1
    return _scaled(where, max(0.04, 0.95 * (1 + (1 + 1.4 * k) * x**3 + 1.4 * k * x**2)))  # ease out, a little too far


# kind -> the map at phase t in 0..1 with a strength around 1
PATHS: dict[str, Callable[[Box, float, float], np.ndarray]] = {
    "still": lambda where, t, k: np.eye(3)[:2],
    "zoom in": _zoom,
    "zoom out": lambda where, t, k: _zoom(where, 1 - t, k),
    "pan left": lambda where, t, k: _pan(where, 1 - t, k),
    "pan right": _pan,
    "sway": _sway,
    "bounce": _bounce,
    "spin": _spin,
    "appear": _appear,
}


def path(kind: str, where: Box, phases: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """The maps [F, 2, 3] of a clip."""
    return np.stack([PATHS[kind](where, float(t), strength) for t in phases])


def carried(picture: np.ndarray, move: np.ndarray) -> np.ndarray:
    """A picture uint8 [S, S, 3] carried by a map; what comes in from outside is white."""
    import cv2

    side = picture.shape[0]
    scale = side / 2
    pixels = np.array([[scale, 0, scale - 0.5], [0, scale, scale - 0.5], [0, 0, 1]])
    matrix = (pixels @ np.vstack([move, (0, 0, 1)]) @ np.linalg.inv(pixels))[:2]
    shrunk = math.sqrt(abs(np.linalg.det(move[:, :2])))
    if shrunk < 0.9:  # what shrinks is made softer first, as area averaging would
        sigma = 0.5 * math.sqrt(max(0.0, 1 / shrunk**2 - 1))
        picture = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))
