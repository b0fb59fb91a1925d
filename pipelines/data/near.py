"""Near-duplicates: a hash of what a picture shows, its colours, and a search that does not compare every pair."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

FARTHEST = 16  # bits: beyond it unrelated pictures begin to meet
COLOURS = 8  # pixels a side of the thumbnail that is compared as well: the hash is blind to colour
APART = 12.0  # its mean absolute difference, of 255, up to which two pictures may be the same
_ONES = np.array([bin(number).count("1") for number in range(1 << 16)], np.uint8)


def signature(rgb: np.ndarray) -> tuple[int, bytes]:
    """(64-bit hash, thumbnail) of a picture uint8 [H, W, 3].

    The hash is of the grey picture at 32 x 32: of its discrete cosine transform the 8 x 8 lowest frequencies without the
    zeroth, a bit each, whether it is above their median (Zauner 2010, "Implementation and Benchmarking of Perceptual Image
    Hash Functions", section 3.2.1).
    """
    import cv2

    # Area averaging aliases when it enlarges; a small picture is enlarged by lines.
    shrink = cv2.INTER_AREA if min(rgb.shape[:2]) >= 32 else cv2.INTER_LINEAR
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=shrink)
    low = cv2.dct(grey.astype(np.float32))[1:9, 1:9].ravel()
    # Frequencies that a flat or striped picture does not have are 0 but for rounding, whose sign says nothing.
    low = np.where(np.abs(low) < 0.5, 0, low)
    bits = np.packbits(low > np.median(low))
    small = cv2.resize(rgb, (COLOURS, COLOURS), interpolation=cv2.INTER_AREA)
    return int.from_bytes(bits.tobytes(), "big"), small.tobytes()


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many bits differ, of uint64 hashes, by broadcasting."""
    both = np.ascontiguousarray(np.bitwise_xor(a, b))
    return _ONES[both.view(np.uint16).reshape(*both.shape, 4)].sum(-1, dtype=np.uint8)


def pairs(signatures: Sequence[tuple[int, bytes]], most: int, on_part: Callable[[], None] | None = None) -> np.ndarray:
    """int [P, 3]: (i, j, bits that differ), i < j, of all pairs up to `most` bits and APART in colour.

    Two hashes that differ in `most` bits agree wholly in one of most + 1 bands: only those that share a band are compared.
    """
    if not 0 <= most <= FARTHEST:
        raise ValueError(f"Expected a distance of 0 to {FARTHEST} bits, got {most}.")
    if len(signatures) < 2:
        return np.zeros((0, 3), np.int64)
    hashes = np.array([bits for bits, _ in signatures], np.uint64)
    colours = np.stack([np.frombuffer(small, np.uint8) for _, small in signatures]).astype(np.int16)
    found: dict[tuple[int, int], int] = {}
    for run in _bands(hashes, most + 1):
        if on_part is not None:
            on_part()
        for place, first in enumerate(run[:-1]):
            rest = run[place + 1 :]
            bits = distance(hashes[rest], hashes[first])
            near = bits <= most
            if near.any():
                alike = np.abs(colours[rest[near]] - colours[first]).mean(1) <= APART
                for other, apart in zip(rest[near][alike], bits[near][alike]):
                    found[min(first, other), max(first, other)] = int(apart)
    return np.array([(i, j, apart) for (i, j), apart in sorted(found.items())], np.int64).reshape(-1, 3)


def _bands(hashes: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Indices of hashes that agree in one band of their bits, two or more at a time, band after band."""
    edges = np.linspace(0, 64, count + 1).round().astype(int)
    for low, high in itertools.pairwise(edges):
        part = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(part, kind="stable")
        cuts = np.flatnonzero(np.diff(part[order])) + 1
        yield from (run for run in np.split(order, cuts) if len(run) > 1)


def groups(count: int, linked: np.ndarray) -> list[int]:
    """The group of each of `count` items, by its smallest member: linked pairs (i, j, ...) are in one."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in linked[:, :2].tolist():
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(count)]
