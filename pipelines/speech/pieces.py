"""A long text in pieces that are spoken one by one, and the pieces as one sound: pauses between them, no clicks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

STOPS = (r"(?<=[.!?…。！？])[\"”』」)）]?\s+|(?<=[。！？])|\n+", r"(?<=[;:；：—])\s*", r"(?<=[,，、])\s*", r"\s+")
QUIET = 0.004  # of full scale: below it nothing is spoken
KEPT = 0.04  # seconds of quiet that stay around speech, so that no breath or plosive is cut
FADE = 0.008  # seconds of raised cosine at each end
PAUSES = {"paragraph": 0.6, "sentence": 0.32, "clause": 0.18, "word": 0.06}


class Piece(NamedTuple):
    """What is spoken at once, and the pause behind it."""

    sounds: str
    pause: str


def split(text: str, sounds: Callable[[str], str], size: Callable[[str], int], most: int) -> list[Piece]:
    """The text in pieces of at most `most` by `size`, cut at sentences, else clauses, else words.

    sounds: of a part of the text. size: of sounds. Sentences of one paragraph go together as long as they fit.
    """
    found: list[Piece] = []
    for paragraph in re.split(r"\n\s*\n", text):
        parts = list(_fitting(paragraph, sounds, size, most, 0))
        together: list[Piece] = []
        for part in parts:
            last = together[-1] if together else None
            joined = f"{last.sounds} {part.sounds}" if last else ""
            if last and size(joined) <= most:
                together[-1] = Piece(joined, part.pause)
            else:
                together.append(part)
        if together:
            together[-1] = together[-1]._replace(pause="paragraph")
        found += together
    return found


def _fitting(text: str, sounds: Callable[[str], str], size: Callable[[str], int], most: int, level: int) -> list[Piece]:
    pause = ("sentence", "clause", "clause", "word")
    found = []
    parts = [part for part in re.split(STOPS[level], text) if part and part.strip()]
    for part in parts:
        said = re.sub(r"\s+", " ", sounds(part)).strip()
        if not size(said):
            continue
        if size(said) <= most:
            found.append(Piece(said, pause[level]))
        elif level + 1 < len(STOPS):
            found += _fitting(part, sounds, size, most, level + 1)
        else:  # one word longer than all: by its sounds
            found += [Piece(said[at : at + most], "word") for at in range(0, len(said), most)]
    return found


def trimmed(wave: Any, rate: int) -> Any:
    """[T] without the quiet around speech, faded in and out; empty when nothing is spoken."""
    import numpy as np

    loud = np.flatnonzero(np.abs(wave) > QUIET)
    if not len(loud):
        return wave[:0]
    kept = int(KEPT * rate)
    part = np.array(wave[max(0, loud[0] - kept) : loud[-1] + kept + 1], np.float32)
    length = min(int(FADE * rate), len(part) // 2)
    slope = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
    part[:length] *= slope
    part[len(part) - length :] *= slope[::-1]
    return part


def joined(waves: Sequence[Any], pauses: Sequence[str], rate: int, speed: float = 1.0) -> Any:
    """Trimmed pieces [T] one after another, each followed by its pause but the last one; within -1..1.

    The ends are faded to nothing, so that there is no step where silence begins.
    """
    import numpy as np

    parts: list[Any] = []
    for wave, pause in zip(waves, pauses):
        parts += [wave, np.zeros(int(PAUSES[pause] / speed * rate), np.float32)]
    found = np.concatenate(parts[:-1]) if parts else np.zeros(0, np.float32)
    return np.clip(found, -1, 1, out=found)
