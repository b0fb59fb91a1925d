"""One run in a process of its own: `python -m benchmarks.child <what> <folder> <size> <steps> <home>`.

what: "staged" (encode, sample, decode, each stage's weights leaving for the next), one of the stages alone on what a
staged run left in `home`, "whole" (diffusers' own pipeline call), "imports" (nothing but the libraries), "prompts" (as
many prompts in a row as `home` says), "alternating" (the same, folders taking turns) or "pictogram" (load, then four
pictures).
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from .process import peak_now, status

PROMPT, NEGATIVE, SEED, CFG = "a photo of a cat", "low quality", 1, 5.0
FRAMES = 5  # of a model that makes video


def staged(stages_wanted: tuple[str, ...], folder: Path, size: int, steps: int, home: Path) -> None:
    from pipelines import stages
    from pipelines.loading import Roots, open_model

    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="stage")
    kept = home / "kept.pt"
    value: Any = torch.load(kept, weights_only=False) if kept.is_file() and stages_wanted != STAGES else {}
    if "encode" in stages_wanted:
        value["cond"] = stages.encode_prompt(model, [PROMPT], [NEGATIVE])
    if "sample" in stages_wanted:
        empty = stages.empty_latents(model, width=size, height=size, frames=FRAMES)
        value["latents"] = stages.sample(model, value["cond"], empty, seed=SEED, steps=steps, cfg=CFG)
    if "decode" in stages_wanted:
        stages.decode_image(model, value["latents"])
    if stages_wanted == STAGES:
        torch.save(value, kept)


def whole(folder: Path, size: int, steps: int) -> None:
    import diffusers

    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(SEED)
    video = {"num_frames": FRAMES} if "num_frames" in inspect.signature(type(pipe).__call__).parameters else {}
    pipe(
        PROMPT, negative_prompt=NEGATIVE, width=size, height=size, num_inference_steps=steps, guidance_scale=CFG,
        generator=generator, output_type="pt", **video,
    )  # fmt: skip


def prompts(folder: Path, size: int, steps: int, count: int) -> dict[str, Any]:
    """Resident memory after each of `count` whole runs, each with a prompt and a seed of its own."""
    from pipelines import stages
    from pipelines.loading import Roots, open_model

    model, resident = open_model(str(folder), roots=Roots(), dtype="float32"), []
    for place in range(count):
        cond = stages.encode_prompt(model, [f"{PROMPT} number {place}"], [NEGATIVE])
        empty = stages.empty_latents(model, width=size, height=size)
        made = stages.sample(model, cond, empty, seed=place, steps=steps, cfg=CFG)
        stages.decode_image(model, made)
        resident.append(status().get("VmRSS", 0))
    return {"resident": resident}


def alternating(folders: list[Path], size: int, steps: int, count: int) -> dict[str, Any]:
    """Resident memory after each of `count` runs that take turns between models, and how often each part was read."""
    from pipelines import loading, stages
    from pipelines.loading import Roots, open_model

    loads: Counter[str] = Counter()
    original = loading.load_part

    def counted(model: Any, name: str, **options: Any) -> Any:
        part = original(model, name, **options)
        if hasattr(part, "parameters"):
            loads[f"{model.path.name}/{name}"] += 1
        return part

    loading.load_part = counted
    models, resident = [open_model(str(f), roots=Roots(), dtype="float32", offload="auto") for f in folders], []
    for place in range(count):
        model = models[place % len(models)]
        cond = stages.encode_prompt(model, [f"{PROMPT} number {place}"], [NEGATIVE])
        empty = stages.empty_latents(model, width=size, height=size)
        stages.decode_image(model, stages.sample(model, cond, empty, seed=place, steps=steps, cfg=CFG))
        resident.append(status().get("VmRSS", 0))
    return {"resident": resident, "loads": dict(loads)}


def pictogram(folder: Path, size: int, steps: int) -> dict[str, Any]:
    """Seconds of loading every part, and of four pictures: after one to warm up, the best of three."""
    begun = time.perf_counter()
    import diffusers  # noqa: F401
    from diffusers import StableDiffusionPipeline  # noqa: F401

    imports = time.perf_counter() - begun
    from pipelines import stages
    from pipelines.loading import Roots, open_model
    from pipelines.runtime import Runtime
    from pipelines.stages.pipe import stage

    begun, cpu = time.perf_counter(), time.process_time()
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    for name in ("text", "denoiser", "vae"):
        with stage(model, name, Runtime("cpu")):
            pass
    load, load_cpu = time.perf_counter() - begun, time.process_time() - cpu

    def make(words: list[str]) -> None:
        cond = stages.encode_prompt(model, words, [""])
        empty = stages.empty_latents(model, width=size, height=size, batch_size=len(words))
        stages.decode_image(model, stages.sample(model, cond, empty, seed=0, steps=steps, cfg=1.5))

    make(["warm up"])
    walls, cpus = [], []
    for _ in range(3):
        begun, cpu = time.perf_counter(), time.process_time()
        make(["red apple", "cat", "火箭", "blue banana"])
        walls.append(time.perf_counter() - begun)
        cpus.append(time.process_time() - cpu)
    four, four_cpu = min(walls), min(cpus)
    return {"imports": imports, "load": load, "load_cpu": load_cpu, "four": four, "four_cpu": four_cpu}


STAGES = ("encode", "sample", "decode")


def main(what: str, folder: str, size: str, steps: str, home: str) -> None:
    answer: dict[str, Any] = {}
    if what == "imports":
        import diffusers  # noqa: F401
        from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline  # noqa: F401
    elif what == "whole":
        whole(Path(folder), int(size), int(steps))
    elif what == "prompts":
        answer = prompts(Path(folder), int(size), int(steps), int(home))
    elif what == "alternating":
        answer = alternating([Path(name) for name in folder.split(os.pathsep)], int(size), int(steps), int(home))
    elif what == "pictogram":
        answer = pictogram(Path(folder), int(size), int(steps))
    else:
        wanted = STAGES if what == "staged" else (what,)
        staged(wanted, Path(folder), int(size), int(steps), Path(home))
    print(json.dumps({**answer, "peak": peak_now(), "end": status().get("VmRSS", 0)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
