"""A small GGUF reader, for the default model: needs no package, and takes seconds where a general one takes a minute.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; blocks: ggml-quants. Little-endian, versions 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# GGUF's types of values, by number; 8 is a text and 9 a list.
SCALARS = ("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?", "", "", "<Q", "<q", "<d")
TEXT, LIST = 8, 9
LONGEST = 2**28  # bytes of a text or entries of a list; more is damage


class NotRead(ValueError):
    """The file is damaged, or of a kind that is not read here."""


@dataclass(frozen=True)
class Packed:
    """A GGUF file: values of its header by key; its tensors by name as (type, shape with rows first, offset)."""

    path: Path
    values: dict[str, Any]
    tensors: dict[str, tuple[int, tuple[int, ...], int]]

    def tensor(self, name: str) -> np.ndarray:
        """One tensor as float32. Raises NotRead for a packing that is not in UNPACK."""
        kind, shape, offset = self.tensors[name]
        count = int(np.prod(shape))
        if kind not in UNPACK:
            raise NotRead(f"tensor {name} is packed as type {kind}")
        numbers, size, unpack = UNPACK[kind]
        raw = np.fromfile(self.path, np.uint8, count // numbers * size, offset=offset)
        if count % numbers or len(raw) != count // numbers * size:
            raise NotRead(f"tensor {name} is cut off")
        return unpack(raw.reshape(-1, size)).reshape(shape)


def read(path: Path) -> Packed:
    """The header of a GGUF file. Raises NotRead."""
    with path.open("rb") as file:
        try:
            return _read(_Cursor(file), path)
        except (struct.error, UnicodeDecodeError, IndexError, MemoryError, OverflowError) as error:
            raise NotRead(f"{path.name} is damaged: {error}") from error


class _Cursor:
    def __init__(self, file: Any) -> None:
        self.file = file

    def one(self, form: str) -> Any:
        return struct.unpack(form, self.file.read(struct.calcsize(form)))[0]

    def text(self) -> str:
        return self.file.read(self.sane(self.one("<Q"))).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            inner, count = self.one("<I"), self.sane(self.one("<Q"))
            return [self.value(inner) for _ in range(count)]
        return self.one(SCALARS[kind])

    def sane(self, count: int) -> int:
        if count > LONGEST:
            raise OverflowError(f"{count} bytes or entries")
        return count


def _read(cursor: _Cursor, path: Path) -> Packed:
    if cursor.file.read(4) != b"GGUF" or cursor.one("<I") not in (2, 3):
        raise NotRead(f"{path.name} is no GGUF file of version 2 or 3")
    tensors, values = cursor.sane(cursor.one("<Q")), cursor.sane(cursor.one("<Q"))
    known = {}
    for _ in range(values):
        key = cursor.text()
        known[key] = cursor.value(cursor.one("<I"))
    found = {}
    for _ in range(tensors):
        name = cursor.text()
        shape = [cursor.one("<Q") for _ in range(cursor.one("<I"))]
        found[name] = (cursor.one("<I"), tuple(reversed(shape)), cursor.one("<Q"))
    grain = int(known.get("general.alignment", 32))
    start = -(-cursor.file.tell() // grain) * grain
    return Packed(path, known, {name: (kind, shape, start + at) for name, (kind, shape, at) in found.items()})


def _whole(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda blocks: blocks.view(dtype).astype(np.float32)


def _half(blocks: np.ndarray, at: int) -> np.ndarray:
    """The float16 that begins at byte `at` of each block. [N, 1]"""
    return blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    """A scale, a least value, and 32 numbers of four bits: all low halves first, then the high ones."""
    bits = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return _half(blocks, 0) * bits + _half(blocks, 2)


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    """A scale and 32 whole numbers of eight bits."""
    return _half(blocks, 0) * blocks[:, 2:].view(np.int8)


# type -> (numbers in a block, bytes in a block, blocks [N, bytes] as float32)
UNPACK: dict[int, tuple[int, int, Callable[[np.ndarray], np.ndarray]]] = {
    0: (1, 4, _whole("<f4")),
    1: (1, 2, _whole("<f2")),
    3: (32, 20, _q4_1),
    8: (32, 34, _q8_0),
}
