"""Draws that are functions of their seeds alone, with no state and equal in every version of numpy."""

from __future__ import annotations

import numpy as np


def raw(count: int, *seeds: int) -> np.ndarray:
    """uint64 [count] of PCG64, whose stream numpy promises to keep; its shuffles and floats it does not."""
    return np.random.PCG64(np.random.SeedSequence([seed % 2**64 for seed in seeds])).random_raw(count)


def permutation(count: int, *seeds: int) -> np.ndarray:
    """int64 [count]: 0 to count - 1 in a drawn order."""
    return np.argsort(raw(count, *seeds), kind="stable")


def uniform(count: int, *seeds: int) -> np.ndarray:
    """float64 [count] in 0..1, 1 excluded."""
    return (raw(count, *seeds) >> np.uint64(11)) * 2.0**-53
