"""How clean each shipped voice sounds: DNSMOS of eight sentences of its language."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headless.install import cache_root

from ..figures import Absent, Figure
from ..speech import round_trip

SENTENCES = 8
BAR = 3.2  # mean opinion, 1 to 5


def measure() -> Iterator[Figure]:
    import numpy as np

    from pipelines.errors import AigcError
    from pipelines.runtime import Runtime
    from pipelines.score.judges import open_discriminator
    from pipelines.score.scoring import score
    from pipelines.speech import voices

    try:
        judge = open_discriminator("dnsmos", roots=round_trip.roots())
    except AigcError as error:
        raise Absent(str(error)) from error
    place = Path(os.environ.get("AIGC_BENCH_SPEECH") or cache_root() / "bench-speech")
    for voice, (language, _) in voices.TABLE.items():
        name = {"en": "english", "zh": "chinese"}[language]
        found = []
        for sentence, path in round_trip.speak_all(name, place / "voices" / voice, voice, SENTENCES):
            found += score(judge, round_trip.load(path), prompts=[sentence.spoken], runtime=Runtime("cpu")).values
        detail = f"{len(found)} sentences, lowest {min(found):.2f}"
        yield Figure(f"DNSMOS of {voice}", float(np.mean(found)), "", bar=BAR, at_least=True, detail=detail)
