"""How clean each shipped voice sounds, and how far it is from the loudness of all.

DNSMOS of eight sentences of its language, or of AIGC_BENCH_SENTENCES.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headless.install import cache_root

from ..figures import Absent, Figure
from ..speech import round_trip

SENTENCES = int(os.environ.get("AIGC_BENCH_SENTENCES") or 8)
BAR = 3.2  # mean opinion, 1 to 5
OFF = 1.0  # LU


def measure() -> Iterator[Figure]:
    import numpy as np

    from pipelines.errors import AigcError
    from pipelines.media.loudness import integrated
    from pipelines.runtime import Runtime
    from pipelines.score.judges import open_discriminator
    from pipelines.score.scoring import score
    from pipelines.speech import voices

    try:
        judge = open_discriminator("dnsmos", roots=round_trip.roots())
    except AigcError as error:
        raise Absent(str(error)) from error
    place = Path(os.environ.get("AIGC_BENCH_SPEECH") or cache_root() / "bench-speech")
    off: list[tuple[float, str]] = []
    for voice, known in voices.TABLE.items():
        name = {"en": "english", "zh": "chinese"}[known.language]
        found, loud = [], []
        for sentence, path in round_trip.speak_all(name, place / "voices" / voice, voice, SENTENCES):
            sound = round_trip.load(path)
            found += score(judge, sound, prompts=[sentence.spoken], runtime=Runtime("cpu")).values
            loud.append(integrated(sound["waveform"][0].double(), sound["sample_rate"]))
        detail = f"{len(found)} sentences, lowest {min(found):.2f}"
        yield Figure(f"DNSMOS of {voice}", float(np.mean(found)), "", bar=BAR, at_least=True, detail=detail)
        off.append((abs(float(np.mean(loud)) - voices.LOUDNESS), voice))
    detail = f"{voices.LOUDNESS:g} LUFS; {max(off)[1]}, of {len(off)}"
    yield Figure("the voice farthest from their loudness", max(off)[0], "LU", bar=OFF, detail=detail)
