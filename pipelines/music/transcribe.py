"""A melody heard: pitch by YIN, notes, tempo, key, bars. For one voice at a time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..errors import AigcError
from .tune import Bar, Key, Note, beat_of, length_of_bar

RATE, HOP = 11_025, 110  # 10 ms
LOWEST, HIGHEST = 98.0, 1760.0  # Hz: G2 to A6
SURE = 0.2  # below which YIN's difference means a period
SHORTEST = 0.06  # seconds of a note
# How well each semitone above the tonic fits a key (Krumhansl and Kessler 1982, as tabulated by Temperley 1999).
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def pitches(x: np.ndarray) -> np.ndarray:
    """MIDI numbers of frames [N], NaN for silence and noise: YIN (de Cheveigné and Kawahara 2002), steps 1 to 5.

    x: float [T] at RATE.
    """
    longest, shortest = int(RATE / LOWEST), int(RATE / HIGHEST)
    window = 2 * longest
    count = max(0, (len(x) - window - longest) // HOP + 1)
    found = np.full(count, np.nan)
    loud = float(np.sqrt(np.mean(x**2))) if len(x) else 0.0
    for n in range(count):
        frame = x[n * HOP : n * HOP + window + longest].astype(np.float64)
        if np.sqrt(np.mean(frame**2)) < 0.1 * loud:
            continue
        size = 1 << int(np.ceil(np.log2(len(frame) + window)))
        spectrum = np.fft.rfft(frame, size)
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(frame[:window], size)))[: longest + 1]
        power = np.concatenate([[0.0], np.cumsum(frame**2)])
        lags = np.arange(longest + 1)
        difference = power[window] + power[lags + window] - power[lags] - 2 * product
        running = difference[1:] * lags[1:] / np.maximum(np.cumsum(difference[1:]), 1e-12)
        below = np.flatnonzero(running[shortest - 1 :] < SURE)
        if len(below) == 0:
            continue
        lag = shortest - 1 + below[0]
        while lag + 1 < len(running) and running[lag + 1] < running[lag]:
            lag += 1
        a, b, c = running[max(0, lag - 1)], running[lag], running[min(len(running) - 1, lag + 1)]
        bend = a - 2 * b + c
        exact = lag + 1 + (0.5 * (a - c) / bend if bend > 1e-12 else 0.0)
        found[n] = 69 + 12 * np.log2(RATE / exact / 440)
    return found


def notes(x: np.ndarray) -> list[tuple[float, float, int]]:
    """(start, end, MIDI number) in seconds of the notes that are heard; a new attack on one pitch is a new note."""
    heard = pitches(x)
    energy = np.array([float(np.mean(x[n * HOP : n * HOP + HOP] ** 2)) for n in range(len(heard))])
    found: list[list[float]] = []
    for n, pitch in enumerate(heard):
        now, number = n * HOP / RATE, round(float(pitch)) if np.isfinite(pitch) else None
        struck = n > 3 and energy[n] > 4 * (energy[n - 4 : n].mean() + 1e-9)
        if number is None:
            continue
        if (
            found
            and found[-1][2] == number
            and now - found[-1][1] < 0.05
            and not (struck and now - found[-1][0] > 0.08)
        ):
            found[-1][1] = now + HOP / RATE
        else:
            found.append([now, now + HOP / RATE, number])
    return [(start, end, int(pitch)) for start, end, pitch in found if end - start >= SHORTEST]


def tempo_of(starts: Sequence[float], metre: str) -> float:
    """Beats a minute by which the notes' starts lie best on a grid of sixteenths; between 60 and 180."""
    gaps = np.diff(np.asarray(starts))
    if len(gaps) < 2:
        return 120.0
    parts = float(beat_of(metre) / Fraction(1, 16))
    found = []
    for beats in np.arange(60, 180.5, 0.5):
        cells = gaps / (60 / beats / parts)
        off = np.abs(cells - np.round(cells)) * (60 / beats / parts)
        # a finer grid fits anything: what is left over counts against the grid's own width
        found.append((float(np.mean(off) / (60 / beats / parts)) + 0.0004 * beats, beats))
    return float(min(found)[1])


def key_of(found: Sequence[tuple[float, float, int]]) -> Key:
    """By how long each pitch class sounds (Krumhansl and Schmuckler)."""
    weights = np.zeros(12)
    for start, end, pitch in found:
        weights[pitch % 12] += end - start
    tries = []
    for mode, profile in (("major", MAJOR), ("minor", MINOR)):
        for tonic in range(12):
            tries.append((float(np.corrcoef(weights, np.roll(profile, tonic))[0, 1]), tonic, mode))
    _, tonic, mode = max(tries)
    return Key(tonic, mode)


def bars_of(found: Sequence[tuple[float, float, int]], metre: str, tempo: float) -> tuple[Bar, ...]:
    """Whole bars from the first note on, in sixteenths; what does not fill a bar at the end is left out."""
    cell = 60 / tempo / float(beat_of(metre) / Fraction(1, 16))
    per_bar = int(length_of_bar(metre) * 16)
    begin = found[0][0]
    places = [round((start - begin) / cell) for start, _, _ in found]
    last = places[-1] + max(1, round((found[-1][1] - found[-1][0]) / cell))
    line: list[tuple[int | None, int]] = []
    for at, (place, (_, _, pitch)) in enumerate(zip(places, found, strict=True)):
        until = places[at + 1] if at + 1 < len(places) else last
        if until > place:
            line.append((pitch, until - place))
    bars: list[list[Note]] = [[]]
    left = per_bar
    for pitch, cells in line:
        held = False
        while cells:
            some = min(cells, left)
            bars[-1].append(Note(pitch, Fraction(some, 16), held))
            cells, left, held = cells - some, left - some, True
            if left == 0:
                bars.append([])
                left = per_bar
    return tuple(tuple(bar) for bar in bars[:-1])


def heard(x: np.ndarray, metre: str, tempo: float = 0) -> tuple[tuple[Bar, ...], Key, float]:
    """(bars, key, tempo) of a melody, float [T] at RATE. Raises AigcError when no whole bar of one is heard."""
    found = notes(x)
    if len(found) >= 3:
        beats = tempo or tempo_of([start for start, _, _ in found], metre)
        bars = bars_of(found, metre, beats)
        if bars:
            return bars, key_of(found), beats
    raise AigcError(
        f"Expected a melody of one voice, at least a bar long, got a sound in which {len(found)} notes are heard: play it alone "
        "and louder, or write the opening in ABC."
    )
