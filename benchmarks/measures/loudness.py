"""Loudness against the test signals of EBU Tech 3341, and what it costs to bring a minute of stereo to -14 LUFS."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch

from pipelines.media import loudness
from pipelines.media.sound import Sound

from ..figures import Figure

RATE = 48000
# Peak levels and seconds of a sine of 1000 Hz in both channels; all read -23 LUFS but the second, which reads -33.
SIGNALS = (
    ((-23, 20),),
    ((-33, 20),),
    ((-36, 10), (-23, 60), (-36, 10)),
    ((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)),
    ((-26, 20), (-20, 20.1), (-26, 20)),
)


def _sine(level: float, seconds: float) -> torch.Tensor:
    phase = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE * 2000 * math.pi
    return (10 ** (level / 20) * torch.sin(phase)).float().expand(2, -1)


def measure() -> Iterator[Figure]:
    read = [loudness.integrated(torch.cat([_sine(*part) for part in signal], 1), RATE) for signal in SIGNALS]
    away = [abs(value - expected) for value, expected in zip(read, (-23, -33, -23, -23, -23))]
    yield Figure("farthest from EBU's test signals", max(away), "LU", bar=0.1, detail=f"{len(SIGNALS)} signals")
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(240, generator=generator).repeat_interleave(RATE // 4)
    x = 0.1 * level * torch.randn(2, len(level), generator=generator)
    start = time.process_time()
    made, _ = loudness.normalised(Sound(x[None], RATE), -14, -1, limit=True)
    spent = time.process_time() - start
    row = made.waveform[0]
    yield Figure("off -14 LUFS after limiting", abs(loudness.integrated(row, RATE) + 14), "LU", bar=0.1)
    yield Figure("true peak over the ceiling of -1 dBTP", max(0.0, loudness.true_peak(row, RATE) + 1), "dB", bar=0.01)
    yield Figure("a minute of stereo", spent, "s", detail="CPU time of one thread")
