"""Two models that both fit, taking turns over 40 prompts: growth of resident memory, and parts that were read again."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.pipelines import tiny

from ..figures import Figure
from ..models import built, small
from ..process import run

PROMPTS, WARM, MB = 40, 6, 1e6


def measure() -> Iterator[Figure]:
    with built(small) as first, built(lambda: tiny.pipeline("sdxl")) as second:
        folders = os.pathsep.join((str(first), str(second)))
        ran = run("benchmarks.child", "alternating", folders, 64, 2, PROMPTS)
    resident, loads = ran.answer["resident"], ran.answer["loads"]
    start, end = resident[WARM - 1], resident[-1]
    yield Figure(
        f"memory growth, two models in turn, prompts {WARM} to {PROMPTS}", 100 * (end - start) / start, "%", bar=3.0,
        detail=f"{start / MB:.0f} to {end / MB:.0f} MB, highest {max(resident) / MB:.0f}",
    )  # fmt: skip
    yield Figure(
        "loads of a part, two models in turn", max(loads.values()), bar=1,
        detail=f"{len(loads)} parts, {sum(loads.values())} loads over {PROMPTS} prompts",
    )  # fmt: skip
