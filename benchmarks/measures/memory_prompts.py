"""Growth of resident memory over 50 prompts in a row, after the first 5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from tests.pipelines import tiny

from ..figures import Figure
from ..models import built, pictogram
from ..process import run

PROMPTS, WARM, MB = 50, 5, 1e6


def measure() -> Iterator[Figure]:
    with ExitStack() as stack:
        folder = pictogram()
        name, size, steps = "pictogram", 128, 4
        if folder is None:
            folder, name, size = stack.enter_context(built(lambda: tiny.pipeline("sd15"))), "a tiny SD1.5", 32
        ran = run("benchmarks.child", "prompts", folder, size, steps, PROMPTS)
    resident = ran.answer["resident"]
    start, end = resident[WARM - 1], resident[-1]
    yield Figure(
        f"memory growth, prompts {WARM} to {PROMPTS}", 100 * (end - start) / start, "%", bar=3.0,
        detail=f"{start / MB:.0f} to {end / MB:.0f} MB with {name}, highest {max(resident) / MB:.0f}",
    )  # fmt: skip
