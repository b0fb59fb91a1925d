"""A text of 10,000 characters in one call: memory, time against the sound's length, steps at the joints, the same sound again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..figures import Absent, Figure
from ..process import status
from ..speech import round_trip

CHARACTERS = int(os.environ.get("AIGC_BENCH_CHARACTERS") or 10_000)
CORES = 2
AROUND = 0.01  # seconds on each side of a joint


def measure() -> Iterator[Figure]:
    from pipelines.errors import AigcError
    from pipelines.speech import kokoro, speaking

    text = long_text(CHARACTERS)
    sizes: list[int] = []
    peaks: list[int] = []
    try:
        speaking.prepared("Hello.", "auto", "auto", round_trip.roots(), None)
    except AigcError as error:
        raise Absent(str(error)) from error
    times: list[float] = []

    def on_piece(done: int, total: int) -> None:
        now = status()
        sizes.append(now["VmRSS"])
        peaks.append(now["VmHWM"])
        times.append(time.process_time())

    sound = speaking.speak(text, roots=round_trip.roots(), on_piece=on_piece)["waveform"][0, 0].numpy()
    seconds, count = len(sound) / kokoro.RATE, len(sizes) - 1
    # The sound itself grows by its own samples; the rest must not. The first quarter meets the longest pieces.
    quarter = count // 4
    own = 4 * len(sound) * (1 - quarter / count) / 2**20
    growth = max(sizes[quarter:]) / 2**20 - max(sizes[: quarter + 1]) / 2**20 - own
    detail = f"{len(text)} characters, {seconds:.0f} s of sound in {count} pieces, at most {max(peaks) / 2**20:.0f} MB"
    yield Figure(
        f"{len(text):,} characters: growth after a quarter",
        growth,
        "MB",
        bar=32,
        detail=f"{detail}; its own samples not counted",
    )
    yield Figure(
        "growth of the peak after a quarter",
        (peaks[-1] - peaks[quarter]) / 2**20 - own,
        "MB",
        detail="within pieces; a longer piece than those before it takes more",
    )
    used = times[-1] - times[0]
    yield Figure(
        "real-time factor on two cores", used / seconds / CORES, bar=0.5,
        detail=f"CPU time of all threads / {CORES}: {used:.0f} s; other work slows it where caches are shared",
    )  # fmt: skip
    worst, inside, joints = steps(sound, kokoro.RATE)
    yield Figure(
        "steps at joints against steps in speech",
        worst / inside,
        bar=1,
        detail=f"{joints} joints, largest step {worst:.4f}",
    )
    first = speaking.speak(text[:200], roots=round_trip.roots())["waveform"]
    again = speaking.speak(text[:200], roots=round_trip.roots())["waveform"]
    yield Figure(
        "samples that differ when spoken again",
        float((first != again).sum()),
        bar=0,
        detail=f"{first.shape[-1]} samples",
    )


def long_text(characters: int) -> str:
    """Sentences of ours, English and Chinese by turns, a paragraph of ten each."""
    english, chinese = ([one.written for one in round_trip.sentences(name)] for name in ("english", "chinese"))
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < characters:
        turn = len(paragraphs) // 2 * 10
        of = (chinese, english)[len(paragraphs) % 2 == 0]
        paragraphs.append(("" if of is chinese else " ").join(of[(turn + n) % len(of)] for n in range(10)))
    return "\n\n".join(paragraphs)[:characters]


def steps(sound: Any, rate: int) -> tuple[float, float, int]:
    """The largest step from a sample to the next near the ends of silences, the one that speech itself has, and how many ends."""
    silent = sound == 0
    edges = np.flatnonzero(np.diff(silent.astype(np.int8)))
    around = int(AROUND * rate)
    long = [
        edge
        for edge in edges
        if silent[max(0, edge - around) : edge + 1].all() or silent[edge + 1 : edge + around].all()
    ]
    change = np.abs(np.diff(sound))
    near = max((float(change[max(0, edge - around) : edge + around].max()) for edge in long), default=0.0)
    return near, float(np.quantile(change[change > 0], 0.999)), len(long)
