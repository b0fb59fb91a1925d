"""The shipped motion layers: seconds from a prompt to 16 frames, motions recognised by their flow, subjects kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ..figures import ROOT, Absent, Figure
from ..models import pictogram

LAYERS = ROOT / "models" / "motion" / "pictogram.safetensors"
EACH = 10  # prompts a motion


def measure() -> Iterator[Figure]:
    folder = pictogram()
    if folder is None or not LAYERS.exists():
        raise Absent("models/pictogram or models/motion has no weights here")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _measured(folder)
    finally:
        torch.set_num_threads(threads)


def _measured(folder: Path) -> Iterator[Figure]:
    from training.motion import evaluate

    began, spent = time.perf_counter(), time.process_time()
    model = evaluate.opened(folder)
    prompts = ["a penguin"]
    (clip,) = evaluate.clips_of(model, LAYERS, prompts, evaluate.stills_of(model, prompts), "bounce")
    wall, spent = time.perf_counter() - began, time.process_time() - spent
    yield Figure(
        f"motion: a prompt to {len(clip.frames)} frames", wall, "s", bar=20,
        detail=f"CPU {spent:.2f} s on one thread, everything loaded in it; 15 steps, 128 px",
    )  # fmt: skip
    found, _ = evaluate.evaluate(folder, LAYERS, EACH)
    about = f"{found['clips']} clips of {evaluate.FRAMES} frames, each of another concept"
    yield Figure("motion: recognised by optical flow", found["recognised"], "%", bar=80, at_least=True, detail=about)
    yield Figure(
        "motion: subject kept", found["subject_kept"], "%", bar=90, at_least=True,
        detail=f"agreement of the frames turned back, of the still's; least {found['subject_kept_least']} %",
    )  # fmt: skip
