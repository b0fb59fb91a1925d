"""Which motion a clip shows, by its optical flow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .clips import PATHS, WHITE, box, path

CAP = 0.12  # of a half side: what a step between two frames can count at most


def affine(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The affine motion [2, 3] of what is not white, from a frame uint8 [S, S, 3] to the next, with the picture in -1..1.

    Farneback's dense flow (2003, doi 10.1007/3-540-45103-X_50), fitted by least squares.
    """
    import cv2

    side = before.shape[0]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    field = cv2.calcOpticalFlowFarneback(grey[0], grey[1], None, 0.5, 4, 21, 5, 7, 1.5, 0) * 2 / side  # type: ignore[call-overload]
    rows, columns = np.nonzero(before.min(-1) < WHITE)
    if len(rows) < 20:
        return np.zeros((2, 3))
    places = np.stack([2 * columns / side - 1, 2 * rows / side - 1, np.ones(len(rows))], 1)
    found, *_ = np.linalg.lstsq(places, field[rows, columns], rcond=None)
    return found.T


def expected(kind: str, still: np.ndarray, count: int) -> np.ndarray:
    """The same [count - 1, 2, 3] for a motion of this still, uint8 [S, S, 3], as it was meant."""
    whole = [np.vstack([move, (0, 0, 1)]) for move in path(kind, box(still), np.linspace(0, 1, count))]
    return np.stack([(b @ np.linalg.inv(a))[:2] - np.eye(3)[:2] for a, b in pairwise(whole)])


def distance(seen: np.ndarray, meant: np.ndarray) -> float:
    """How far two rows of affine flows [F, 2, 3] carry four places apart, each step counted up to CAP."""
    places = np.array([[0.4, 0, 1], [-0.4, 0, 1], [0, 0.4, 1], [0, -0.4, 1]]).T
    return float(np.minimum(np.abs((seen - meant) @ places), CAP).mean())


def recognised(frames: np.ndarray, still: np.ndarray) -> str:
    """The motion of a clip uint8 [F, S, S, 3] of a still: the one of PATHS, "still" among them, whose flow is nearest."""
    seen = np.stack([affine(a, b) for a, b in pairwise(frames)])
    return min(PATHS, key=lambda kind: distance(seen, expected(kind, still, len(frames))))
