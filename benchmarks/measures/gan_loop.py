"""Three minutes of Train GAN on the shipped pictograms, as workflows/the_loop.json has it: how far held-out KID falls."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..figures import ROOT, Figure

MINUTES, FALL = 3.0, 10.0
NAMES = (
    "steps", "minutes", "batch", "learning_rate", "loss", "penalty", "penalty_every", "augmentation", "mirror",
    "examine_every", "training_seed",
)  # fmt: skip


def node(workflow: dict[str, Any], kind: str) -> list[Any]:
    """The values that a node of the shared workflow is saved with."""
    return next(n["widgets_values"] for n in workflow["nodes"] if n["type"] == kind)


def measure() -> Iterator[Figure]:
    from pipelines.data import collecting
    from pipelines.runtime import Runtime
    from pipelines.train import designs, making, words

    workflow = json.loads((ROOT / "workflows" / "the_loop.json").read_text("utf-8"))
    kind, side, width, classes = node(workflow, "AIGC_DesignGan")[:4]
    design = designs.gan(kind, int(side), width, classes)
    values = dict(zip(NAMES, [v for v in node(workflow, "AIGC_TrainGan")[1:] if v != "fixed"]))
    settings, course, mirror = words.of_gan(design, **{**values, "minutes": MINUTES, "steps": 10**9})
    dataset = collecting.collect([str(ROOT / "models" / "data" / "pictograms.zip")], Path())
    with tempfile.TemporaryDirectory() as home:
        made = making.train_gan(
            dataset, design, settings, course, Path(home) / "run", mirror=mirror, runtime=Runtime("cpu")
        )
        rows = [row for row in made.sitting.log.rows if "examined" in row]
    first, best = rows[0]["examined"]["KID"], made.sitting.best[1]
    sitting = made.sitting
    said = f"{first:.3g} to {best:.3g} in {sitting.step} steps of {course.batch}, {sitting.seconds:.0f} s"
    yield Figure(
        "three minutes of Train GAN: held-out KID falls", first / best, "x", bar=FALL, at_least=True,
        detail=f"{said}, by colour, edges and spectrum",
    )  # fmt: skip
