"""Runs of tiny models for the stage tests: whole, staged, and one stage at a time in a process of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

from pipelines import stages
from pipelines.loading import Roots, open_model
from pipelines.payloads import Model
from pipelines.runtime import Runtime
from pipelines.stages import pipe as pipes

PROMPT = "a photo of an astronaut riding horse on mars"
NEGATIVE = "low quality blurry"
STEPS = 4
SIZE = {"width": 32, "height": 32}
CASES: dict[str, dict[str, Any]] = {
    "sd15": {"size": SIZE, "cfg": 5.0},
    "sdxl": {"size": SIZE, "cfg": 5.0},
    "sd3": {"size": SIZE, "cfg": 5.0},
    "flux": {"size": SIZE, "cfg": 3.5},
    "zimage": {"size": SIZE, "cfg": 5.0},
    "wan": {"size": {**SIZE, "frames": 5}, "cfg": 5.0},
    "ltx": {"size": {**SIZE, "frames": 9}, "cfg": 5.0},
    "stableaudio": {"size": {"seconds": 1.0}, "cfg": 5.0},
}
WORDS = {"frames": "num_frames", "seconds": "audio_end_in_s"}


class Stopped(BaseException):
    """What a host raises when the user stops a run."""


class StopAfter(Runtime):
    """A runtime whose user stops the run at a step."""

    def __init__(self, stop_at: int) -> None:
        super().__init__("cpu")
        self.steps, self.stop_at = 0, stop_at

    def check_interrupt(self) -> None:
        self.steps += 1
        if self.steps >= self.stop_at:
            raise Stopped


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def load_whole(folder: Path) -> Any:
    import diffusers

    diffusers.logging.set_verbosity_error()
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def own_scheduler(folder: Path) -> Any:
    return load_whole(folder).scheduler


def unguided_strength(folder: Path) -> float:
    from pipelines.stages.arguments import without_guidance

    return without_guidance(load_whole(folder))


def _takes_negative(pipe: Any) -> bool:
    return type(pipe).__name__ != "FluxPipeline"


def monolithic(folder: Path, family: str, cfg: float | None = None) -> torch.Tensor:
    """What diffusers' own call makes, as [B, C, H, W] in 0..1 or a waveform."""
    pipe, case = load_whole(folder), CASES[family]
    call = {WORDS.get(k, k): v for k, v in case["size"].items()}
    if _takes_negative(pipe):
        call["negative_prompt"] = NEGATIVE
    out = pipe(
        prompt=PROMPT,
        guidance_scale=case["cfg"] if cfg is None else cfg,
        num_inference_steps=STEPS,
        generator=torch.Generator("cpu").manual_seed(42),
        output_type="pt",
        **call,
    )
    result = next(getattr(out, n) for n in ("images", "frames", "audios") if hasattr(out, n))
    return result.flatten(0, 1) if result.ndim == 5 else result


def opened(folder: Path, family: str) -> tuple[Model, dict[str, Any]]:
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    return model, stages.empty_latents(model, **CASES[family]["size"])


def conditioning(
    model: Model, family: str, prompts: list[str], guided: bool = True, runtime: Runtime | None = None
) -> Any:
    return stages.encode_prompt(model, prompts, [NEGATIVE], guided=guided, runtime=runtime or Runtime("cpu"))


def sampled(model: Model, family: str, latents: Any, **options: Any) -> Any:
    options.setdefault("steps", STEPS)
    options.setdefault("runtime", Runtime("cpu"))
    return stages.sample(model, conditioning(model, family, [PROMPT]), latents, cfg=CASES[family]["cfg"], **options)


def run_sample(model: Model, family: str, prompts: list[str], latents: Any, seed: int = 0) -> torch.Tensor:
    cond = conditioning(model, family, prompts)
    out = stages.sample(model, cond, latents, seed=seed, steps=STEPS, cfg=CASES[family]["cfg"], runtime=Runtime("cpu"))
    return out["samples"]


def decoded(model: Model, family: str, latents: Any) -> torch.Tensor:
    if family == "stableaudio":
        return stages.decode_audio(model, latents, runtime=Runtime("cpu"))["waveform"]
    return stages.decode_image(model, latents, runtime=Runtime("cpu")).permute(0, 3, 1, 2)


def sample_and_decode(model: Model, family: str, cond: Any, latents: Any, cfg: float) -> torch.Tensor:
    out = stages.sample(model, cond, latents, seed=42, steps=STEPS, cfg=cfg, runtime=Runtime("cpu"))
    return decoded(model, family, out)


def drawn_noise(model: Model, latents: Any, seed: int, rows: int) -> torch.Tensor:
    """What the sampler starts from, seen by the scheduler's first step."""
    seen: list[torch.Tensor] = []
    import diffusers

    original = diffusers.FlowMatchEulerDiscreteScheduler.step

    def step(self: Any, model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(sample.clone())
        return original(self, model_output, timestep, sample, *args, **kwargs)

    diffusers.FlowMatchEulerDiscreteScheduler.step = step
    try:
        batch = {**latents, "samples": torch.cat([latents["samples"]] * rows)}
        run_sample(model, "sd3", ["a cat"], batch, seed=seed)
    finally:
        diffusers.FlowMatchEulerDiscreteScheduler.step = original
    return seen[0]


def image_to_image(folder: Path, start: torch.Tensor, steps: int, strength: float, seed: int) -> torch.Tensor:
    """diffusers' own image-to-image on the same latents, its result as `vae.decode` would take it."""
    import diffusers

    base = load_whole(folder)
    pipe = diffusers.StableDiffusionImg2ImgPipeline(
        **{k: v for k, v in base.components.items() if k != "image_encoder"}, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    scale = pipe.vae.config.scaling_factor
    out = pipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        image=start * scale,
        strength=strength,
        num_inference_steps=steps,
        guidance_scale=CASES["sd15"]["cfg"],
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="latent",
    )
    return out.images / scale


def inpainted(folder: Path, start: torch.Tensor, mask: torch.Tensor, steps: int, strength: float, seed: int) -> Any:
    """diffusers' own inpainting on the same latents, its result as `vae.decode` would take it."""
    import diffusers

    base = load_whole(folder)
    parts = {k: v for k, v in base.components.items() if k != "image_encoder"}
    pipe = diffusers.StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    scale = pipe.vae.config.scaling_factor
    out = pipe(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        image=start * scale,
        mask_image=mask[:, None],
        masked_image_latents=start * scale,
        strength=strength,
        num_inference_steps=steps,
        guidance_scale=CASES["sd15"]["cfg"],
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="latent",
        **SIZE,
    )
    return out.images / scale


def loaded_parts() -> list[str]:
    """The names of the components that hold weights in this process."""
    found = []
    for held in pipes._stages():
        found += [name for name, part in held.pipe.components.items() if any(part is p for p in held.parts)]
    return found


def one_stage(stage: str, folder: str, family: str, home: Path) -> None:
    """Run one stage of one family on what the stage before left in `home`."""
    model, latents = opened(Path(folder), family)
    before = {"sample": "encode", "decode": "sample"}.get(stage)
    result: dict[str, Any] = (
        torch.load(home / f"{family}-{before}.pt", weights_only=False) if before else {"loaded": {}}
    )
    if stage == "encode":
        result["output"] = conditioning(model, family, [PROMPT])
    elif stage == "sample":
        result["output"] = stages.sample(
            model, result["output"], latents, seed=42, steps=STEPS, cfg=CASES[family]["cfg"], runtime=Runtime("cpu")
        )
    else:
        result["output"] = decoded(model, family, result["output"])
    result["loaded"][stage] = loaded_parts()
    torch.save(result, home / f"{family}-{stage}.pt")
    stages.release_all()


if __name__ == "__main__":
    for case in sys.argv[3:]:
        one_stage(sys.argv[1], case.partition("=")[2], case.partition("=")[0], Path(sys.argv[2]))
