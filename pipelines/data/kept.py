"""Decoded pictures in memory, up to a number of bytes: a small set is decoded once, a large one streams."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING

from ..payloads import Item
from . import reading

if TYPE_CHECKING:
    import numpy as np

BYTES = 512 << 20
SLAB = 33 << 20  # beyond what malloc puts on its heap
Key = tuple[str, int, str, int, str]
Shape = tuple[int, int]


class Kept:
    """Pictures as uint8 by item and size. When there is no room, the one of this size that was used longest ago leaves.

    They lie in slabs, side by side: allocated one by one between the large tensors of batches, 512 MB of them left holes that
    held 2 GB.
    """

    def __init__(self, most: int = BYTES) -> None:
        self.most, self.bytes = most, 0
        self._held: dict[Shape, OrderedDict[Key, np.ndarray]] = {}
        self._fresh: dict[Shape, Iterator[np.ndarray]] = {}
        self._lock = Lock()

    def __call__(self, item: Item, width: int, height: int, crop: str) -> np.ndarray:
        """`reading.fitted`, decoded anew only when the file has changed or the picture has left. The caller's to change."""
        changed = reading.explained(item, lambda: os.stat(item.path).st_mtime_ns)
        key = (str(item.path), changed, item.member, item.frame, crop)
        with self._lock:
            held = self._held.setdefault((height, width), OrderedDict())
            if key in held:
                held.move_to_end(key)
                return held[key].copy()
        rgb = reading.fitted(item, width, height, crop)
        with self._lock:
            place = self._place((height, width)) if key not in held else None
            if place is not None:
                place[:] = rgb
                held[key] = place
        return rgb

    def _place(self, shape: Shape) -> np.ndarray | None:
        """Where one more picture of this size can lie; None when there is no room and none of its size to leave."""
        length = 3 * shape[0] * shape[1]
        if self.bytes + length <= self.most:
            self.bytes += length
            return next(self._fresh.setdefault(shape, _places(shape)))
        held = self._held[shape]
        return held.popitem(last=False)[1] if held else None

    def clear(self) -> None:
        with self._lock:
            self._held, self._fresh, self.bytes = {}, {}, 0


def _places(shape: Shape) -> Iterator[np.ndarray]:
    import numpy as np

    while True:
        yield from np.empty((max(1, SLAB // (3 * shape[0] * shape[1])), *shape, 3), np.uint8)


kept = Kept()
