"""Decoded pictures in memory, up to a number of bytes: a small set is decoded once, a large one streams."""

from __future__ import annotations

import os
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from ..payloads import Item
from . import reading

if TYPE_CHECKING:
    import numpy as np

BYTES = 512 << 20
Key = tuple[str, int, str, int, int, int, str]


class Kept:
    """Pictures as uint8 by item and size; those that were used longest ago leave first."""

    def __init__(self, most: int = BYTES) -> None:
        self.most, self.bytes = most, 0
        self._held: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __call__(self, item: Item, width: int, height: int, crop: str) -> np.ndarray:
        """`reading.fitted`, decoded anew only when the file has changed or the picture has left."""
        changed = reading.explained(item, lambda: os.stat(item.path).st_mtime_ns)
        key = (str(item.path), changed, item.member, item.frame, width, height, crop)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        rgb = reading.fitted(item, width, height, crop)
        rgb.setflags(write=False)
        with self._lock:
            if key not in self._held and rgb.nbytes <= self.most:
                self._held[key] = rgb
                self.bytes += rgb.nbytes
                while self.bytes > self.most:
                    self.bytes -= self._held.popitem(last=False)[1].nbytes
        return rgb

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self.bytes = 0


kept = Kept()
