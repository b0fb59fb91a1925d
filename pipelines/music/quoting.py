"""Runs of notes that stand in the corpus: what keeps the model from writing more of a tune down than RUN notes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from . import tokens
from .tune import Bar

RUN = 8  # notes in a row that may be a tune's of the corpus
FILE, FORMAT = "known.safetensors", "aigc-known-runs-1"
PROBES = 7
Move = tuple[int | None, Any]  # semitones from the note before, None for rests and the first note; the length


def moves(bars: Sequence[Bar]) -> list[Move]:
    """Each note by its step and length, so that a run is the same in any key. A held note is a step of 0."""
    before: int | None = None
    found: list[Move] = []
    for note in (note for bar in bars for note in bar):
        found.append((None if note.pitch is None or before is None else note.pitch - before, note.length))
        before = note.pitch if note.pitch is not None else before
    return found


def keys(line: Sequence[Move]) -> Iterator[tuple[Any, ...]]:
    """Of each place in a line that RUN notes come before: these, and the step that follows."""
    for at in range(RUN, len(line)):
        yield (*line[at - RUN : at], line[at][0])


class Known:
    """A set of runs as a Bloom filter (1970, doi 10.1145/362686.362692): never misses one, mistakes about one in a hundred.

    bits: uint8 [bytes].
    """

    def __init__(self, bits: np.ndarray) -> None:
        self.bits = bits

    @classmethod
    def of(cls, runs: Iterable[tuple[Any, ...]]) -> Known:
        distinct = set(runs)
        known = cls(np.zeros(max(8, len(distinct) * 10 // 8), np.uint8))
        for run in distinct:
            for place in known._places(run):
                known.bits[place >> 3] |= 1 << (place & 7)
        return known

    def __contains__(self, run: tuple[Any, ...]) -> bool:
        return all(self.bits[place >> 3] >> (place & 7) & 1 for place in self._places(run))

    def _places(self, run: tuple[Any, ...]) -> Iterator[int]:
        """Kirsch and Mitzenmacher 2006: two hashes stand for as many as are wanted."""
        text = " ".join(str(part) for part in run).encode()
        first, second = np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), "<u8").tolist()
        return ((first + number * (second | 1)) % (8 * len(self.bits)) for number in range(PROBES))


def save(known: Known, folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"bits": known.bits}, str(folder / FILE), metadata={"format": FORMAT, "run": str(RUN)})
    (folder / FILE).chmod(0o644)  # safetensors makes it readable for its owner only


@lru_cache(maxsize=1)
def load(folder: Path) -> Known | None:
    """The runs that a model's folder knows; None when it has none, or those of another version."""
    from safetensors import safe_open

    if not (folder / FILE).is_file():
        return None
    with safe_open(str(folder / FILE), "np") as file:
        said = file.metadata() or {}
        return Known(file.get_tensor("bits")) if (said.get("format"), said.get("run")) == (FORMAT, str(RUN)) else None


class Trail:
    """The tokens of a tune as moves, while it is written."""

    def __init__(self, written: Iterable[int]) -> None:
        self.line: list[Move] = []
        self._pitch: int | None = None
        self._step: int | None = None
        for token in written:
            self.take(token)

    def take(self, token: int) -> None:
        if tokens.REST <= token < tokens.LENGTH:
            self._step = self.step(token)
            self._pitch = token if token >= tokens.PITCH else self._pitch
        elif token >= tokens.LENGTH:
            self.line.append((self._step, tokens.LENGTHS[token - tokens.LENGTH] * tokens.TICK))

    def step(self, sound: int) -> int | None:
        """From the note before to this token's, in semitones."""
        if sound == tokens.HOLD:
            return 0
        return None if sound == tokens.REST or self._pitch is None else sound - self._pitch

    def free(self, sounds: list[int], known: Known) -> list[int]:
        """Those that do not go on with a run of the corpus; all of them when there is no other."""
        if len(self.line) < RUN:
            return sounds
        run = tuple(self.line[-RUN:])
        by_step = {step: (*run, step) in known for step in {self.step(sound) for sound in sounds}}
        return [sound for sound in sounds if not by_step[self.step(sound)]] or sounds
