"""Peak memory of a staged run of an SD1.5-size model against its largest stage run alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from ..child import STAGES
from ..figures import Figure
from ..models import built, sd15
from ..process import run

SIZE, STEPS, GB = 256, 2, 1e9


def measure() -> Iterator[Figure]:
    with built(sd15) as folder, tempfile.TemporaryDirectory() as home:
        staged = run("benchmarks.child", "staged", folder, SIZE, STEPS, home)
        alone = {name: run("benchmarks.child", name, folder, SIZE, STEPS, home) for name in STAGES}
        whole = run("benchmarks.child", "whole", folder, SIZE, STEPS, home)
    largest = max(alone, key=lambda name: alone[name].peak)
    yield Figure(
        "staged peak / largest stage alone", staged.peak / alone[largest].peak, bar=1.10,
        detail=f"{staged.peak / GB:.2f} GB; alone: "
        + ", ".join(f"{name} {ran.peak / GB:.2f}" for name, ran in alone.items()),
    )  # fmt: skip
    most = max(ran.anonymous for ran in alone.values())
    yield Figure(
        "the same, anonymous memory", staged.anonymous / most,
        detail=f"{staged.anonymous / GB:.2f} GB; alone: "
        + ", ".join(f"{name} {ran.anonymous / GB:.2f}" for name, ran in alone.items()),
    )  # fmt: skip
    yield Figure(
        "staged peak / diffusers pipe(), SD1.5 size", staged.peak / whole.peak,
        detail=f"pipe() {whole.peak / GB:.2f} GB, anonymous {whole.anonymous / GB:.2f}",
    )  # fmt: skip
