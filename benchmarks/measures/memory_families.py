"""Peak memory of staged runs of FLUX-, SD3- and Wan-shaped models against their largest stage alone, and diffusers' call."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..child import STAGES
from ..figures import Figure
from ..models import built, flux_shaped, sd3_shaped, wan_shaped
from ..process import run

SHAPES = {"FLUX": (flux_shaped, 128), "SD3": (sd3_shaped, 128), "Wan": (wan_shaped, 64)}
STEPS, GB = 1, 1e9
LARGE = 0.60  # of the whole: with a part as large as this, staging cannot save what the second bar asks


def largest_share(folder: Path) -> float:
    """The largest part's share (0..1) of all the weights of the model in `folder`."""
    from pipelines import loading
    from pipelines.loading import Roots, open_model

    model = open_model(str(folder), roots=Roots())
    sizes = [loading.part_bytes(model, name) for name in loading.component_classes(model)]
    return max(sizes) / sum(sizes)


def measure() -> Iterator[Figure]:
    for name, (make, size) in SHAPES.items():
        with built(make) as folder, tempfile.TemporaryDirectory() as home:
            staged = run("benchmarks.child", "staged", folder, size, STEPS, home)
            alone = {stage: run("benchmarks.child", stage, folder, size, STEPS, home) for stage in STAGES}
            whole = run("benchmarks.child", "whole", folder, size, STEPS, home)
            share = largest_share(folder)
        yield Figure(
            f"staged peak / largest stage alone, {name}-shaped", staged.peak / max(r.peak for r in alone.values()),
            bar=1.10, detail=f"{staged.peak / GB:.2f} GB; alone: "
            + ", ".join(f"{stage} {ran.peak / GB:.2f}" for stage, ran in alone.items()),
        )  # fmt: skip
        yield Figure(
            f"staged peak / diffusers pipe(), {name}-shaped", staged.peak / whole.peak,
            bar=0.70 if share < LARGE else None, detail=f"{staged.peak / GB:.2f} of {whole.peak / GB:.2f} GB, imports in "
            f"both; largest part {share:.0%} of the weights, bar owed under {LARGE:.0%}",
        )  # fmt: skip
