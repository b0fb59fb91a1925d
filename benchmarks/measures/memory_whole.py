"""Peak memory of a staged run against diffusers' own call, for a model whose text encoder outweighs its denoiser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from ..figures import Figure
from ..models import built, sd3_shaped
from ..process import run

SIZE, STEPS, GB = 256, 2, 1e9


def measure() -> Iterator[Figure]:
    with built(sd3_shaped) as folder, tempfile.TemporaryDirectory() as home:
        staged = run("benchmarks.child", "staged", folder, SIZE, STEPS, home)
        whole = run("benchmarks.child", "whole", folder, SIZE, STEPS, home)
        base = run("benchmarks.child", "imports", folder, SIZE, STEPS, home)
    yield Figure(
        "staged peak / diffusers pipe(), SD3-shaped", staged.peak / whole.peak, bar=0.70,
        detail=f"{staged.peak / GB:.2f} of {whole.peak / GB:.2f} GB",
    )  # fmt: skip
    yield Figure(
        "the same, anonymous memory", staged.anonymous / whole.anonymous,
        detail=f"{staged.anonymous / GB:.2f} of {whole.anonymous / GB:.2f} GB",
    )  # fmt: skip
    yield Figure(
        "the same, beyond the imports", (staged.peak - base.peak) / (whole.peak - base.peak),
        detail=f"imports alone {base.peak / GB:.2f} GB",
    )  # fmt: skip
