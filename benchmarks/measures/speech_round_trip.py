"""Speech that an ASR model writes down again: word errors of 100 English, character errors of 60 Chinese sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headless.install import cache_root

from ..figures import Figure
from ..speech import errors, round_trip

UNITS = {"english": errors.wrong_words, "chinese": errors.wrong_characters}
BAR = 2.0  # percent


def measure() -> Iterator[Figure]:
    place = Path(os.environ.get("AIGC_BENCH_SPEECH") or cache_root() / "bench-speech")
    for name, compared in UNITS.items():
        spoken = list(round_trip.speak_all(name, place / name))
        heard = round_trip.heard(name, place / name)
        wrong = total = 0
        worst: list[tuple[int, str]] = []
        for sentence, path in spoken:
            off, count = compared(sentence.spoken, heard[path.name])
            wrong, total = wrong + off, total + count
            worst += [(off, f"{sentence.spoken} / {heard[path.name]}")] if off else []
        unit = "words" if name == "english" else "characters"
        rest = "; ".join(text for _, text in sorted(worst, reverse=True)[:3])
        detail = f"{wrong} of {total} {unit} in {len(spoken)} sentences. {rest}"
        yield Figure(f"{name}: {unit} that Whisper base hears wrong", 100 * wrong / total, "%", bar=BAR, detail=detail)
