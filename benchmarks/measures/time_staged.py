"""Time of a staged run against diffusers' own call on the same loaded model, interleaved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.pipelines import tiny

from ..child import CFG, NEGATIVE, PROMPT, SEED
from ..figures import Figure
from ..models import built, pictogram, small

PAIRS, STEPS = 7, 8


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def pairs(folder: Path, size: int) -> tuple[list[float], list[float], float]:
    """Ratios of wall and of CPU time, staged to whole, and the whole call's median seconds."""
    import diffusers
    import torch

    from pipelines import stages
    from pipelines.loading import Roots, open_model

    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)

    def staged() -> None:
        cond = stages.encode_prompt(model, [PROMPT], [NEGATIVE])
        empty = stages.empty_latents(model, width=size, height=size)
        made = stages.sample(model, cond, empty, seed=SEED, steps=STEPS, cfg=CFG)
        stages.decode_image(model, made)

    def whole() -> None:
        pipe(
            PROMPT, negative_prompt=NEGATIVE, width=size, height=size, num_inference_steps=STEPS,
            guidance_scale=CFG, generator=torch.Generator("cpu").manual_seed(SEED), output_type="pt",
        )  # fmt: skip

    staged(), whole()
    wall, cpu, seconds = [], [], []
    for turn in range(PAIRS):
        order = (staged, whole) if turn % 2 else (whole, staged)
        took = {work: timed(work) for work in order}
        wall.append(took[staged][0] / took[whole][0])
        cpu.append(took[staged][1] / took[whole][1])
        seconds.append(took[whole][0])
    stages.release_all()
    return wall, cpu, statistics.median(seconds)


def measure() -> Iterator[Figure]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        models = {"tiny": (stack.enter_context(built(lambda: tiny.pipeline("sd15"))), 32)}
        models["small"] = (stack.enter_context(built(small)), 64)
        shipped = pictogram()
        if shipped is not None:
            models["pictogram"] = (shipped, 128)
        for name, (folder, size) in models.items():
            wall, cpu, seconds = pairs(folder, size)
            yield Figure(
                f"staged / diffusers pipe(), time, {name}", statistics.median(wall),
                detail=f"of {PAIRS} pairs, one thread, {min(wall):.2f} to {max(wall):.2f}; CPU {statistics.median(cpu):.2f}; "
                f"pipe() took {seconds:.2f} s",
            )  # fmt: skip
