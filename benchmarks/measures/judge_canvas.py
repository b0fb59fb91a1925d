"""A judge trained as Train Discriminator does, from 200 real pictures of the embedded model's kind and its own generations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..figures import Absent, Figure
from ..models import pictogram
from .guidance_pictogram import DATA, held_out

REAL, PROMPTS, MINUTES = 200, 50, 2.0


def measure() -> Iterator[Figure]:
    folder = pictogram()
    if folder is None or not DATA.is_file():
        raise Absent("models/pictogram or the held-out latents are not here")
    import torch

    from pipelines import stages
    from pipelines.loading import Roots, open_model
    from pipelines.runtime import Runtime
    from pipelines.score import learning, material

    real, prompts = held_out()
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:REAL].tolist()
    runtime, start = Runtime("cpu"), time.monotonic()
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    asked = [prompts[i] for i in order[:PROMPTS]]
    conditioning = stages.encode_prompt(model, asked, [""] * PROMPTS, guided=True, runtime=runtime)
    sources = material.Sources(
        real_latents={"samples": real[order]}, model=model, conditioning=conditioning, size=128, count=400
    )
    found = material.gathered(sources, on_item=lambda *_: None, runtime=runtime)
    with tempfile.TemporaryDirectory() as place:
        course = learning.Course(steps=2000, minutes=MINUTES, noise_aware=True)
        _, report = learning.learn(found.spec("canvas"), found.real, found.fake, course, Path(place) / "a.safetensors")
    seconds = time.monotonic() - start
    sides = f"{report.counts[2]} real and {report.counts[3]} generated ones held out, {report.steps} steps"
    yield Figure("judge from 200 pictures: held-out AUC", report.auc[0][1], "", bar=0.85, at_least=True, detail=sides)
    yield Figure(
        "judge from 200 pictures: minutes in all", seconds / 60, "min", bar=5, detail="400 generations among them"
    )
