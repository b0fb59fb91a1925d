"""Sounds by formula, to try a chain with: no model and no file is needed."""

from __future__ import annotations

import math

import torch

from ..errors import AigcError
from ..menus import TONES
from .sound import Sound

RATE = 48000
LONGEST = 3600  # seconds
OCTAVES = 4  # that a sweep rises
BEATS, STEPS = 0.5, (0, 4, 7, 12)  # seconds between plucks; semitones of a major chord
PARTIALS, DECAY = 6, 3.0  # of a pluck; nepers a second


def tone(kind: str, *, seconds: float, frequency: float, level: float) -> Sound:
    """One of TONES, mono, whose highest sample is at `level` dBFS; the same each time.

    sine; sweep: four octaves up from the frequency, evenly; pluck: a major chord, note by note, twice a second; noise: pink,
    without a frequency. Raises AigcError for what is no such sound.
    """
    if kind not in TONES:
        raise AigcError(f"Expected a kind of {', '.join(TONES)}, got '{kind}': choose one of them.")
    if not 0.01 <= seconds <= LONGEST or not level <= 0:
        raise AigcError(
            f"Expected 0.01 to {LONGEST} seconds and a level of 0 dBFS at most, got {seconds:g} and {level:g}: change them."
        )
    highest = frequency * {"sweep": 2**OCTAVES, "pluck": 2}.get(kind, 1)
    if not 1 <= frequency or highest > RATE / 2:
        raise AigcError(
            f"Expected frequencies from 1 to {RATE // 2} Hz, got {frequency:g} up to {highest:g}: choose a lower one."
        )
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    x = _MADE[kind](time, frequency)
    return Sound((x * 10 ** (level / 20) / x.abs().max().clamp_min(1e-9)).float()[None, None], RATE)


def _sine(time: torch.Tensor, frequency: float) -> torch.Tensor:
    return torch.sin(2 * math.pi * frequency * time)


def _sweep(time: torch.Tensor, frequency: float) -> torch.Tensor:
    """The phase is the integral of f 2^(octaves t / T)."""
    growth = OCTAVES * math.log(2) * RATE / len(time)
    return torch.sin(2 * math.pi * frequency * torch.expm1(growth * time) / growth)


def _pluck(time: torch.Tensor, frequency: float) -> torch.Tensor:
    out = torch.zeros_like(time)
    for number in range(math.ceil(len(time) / RATE / BEATS)):
        start = round(number * BEATS * RATE)
        since = time[: len(time) - start]
        pitch = frequency * 2 ** (STEPS[number % len(STEPS)] / 12)
        attack = (since / 0.004).clamp_max(1)
        for partial in range(1, PARTIALS + 1):
            if partial * pitch < RATE / 2:
                fall = torch.exp(-DECAY * partial**0.5 * since)
                out[start:] += attack * fall * torch.sin(2 * math.pi * partial * pitch * since) / partial
    return out


def _noise(time: torch.Tensor, _: float) -> torch.Tensor:
    """White noise whose power falls by 3 dB an octave from 20 Hz on."""
    white = torch.randn(len(time), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lines = torch.fft.rfft(white)
    pitch = torch.arange(len(lines), dtype=torch.float64) * RATE / len(time)
    return torch.fft.irfft(lines * (20 / pitch.clamp_min(20)).sqrt() * (pitch > 0), len(time))


_MADE = {"sine": _sine, "sweep": _sweep, "pluck": _pluck, "noise": _noise}
