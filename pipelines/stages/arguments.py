"""The call arguments of a pipeline, in its own words."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ..payloads import Conditioning
from .table import DECODED_BY, FRAMES, SECONDS, STEPS_BY_STAGE


def accepted(pipe: Any) -> dict[str, inspect.Parameter]:
    """The parameters of the pipeline's __call__ by name."""
    return dict(inspect.signature(type(pipe).__call__).parameters)


def guidance(pipe: Any, cfg: float) -> dict[str, float | None]:
    """The guidance strength under the name that this pipeline uses for classifier-free guidance.

    A pipeline whose `guidance_scale` is None by default and which has `true_cfg_scale` (Qwen-Image) means the latter;
    FLUX's `guidance_scale` is the embedded guidance of its distilled model, which is what its users call cfg.
    """
    names = accepted(pipe)
    if "true_cfg_scale" in names and ("guidance_scale" not in names or names["guidance_scale"].default is None):
        return {"true_cfg_scale": cfg}
    if "guidance_scale" not in names:  # from the first frame to the last one it grows to this (SVD)
        return {"max_guidance_scale": cfg} if "max_guidance_scale" in names else {}
    # One strength for all steps, instead of the schedule of strengths that Ideogram has by default.
    return {"guidance_scale": cfg, **({"guidance_schedule": None} if "guidance_schedule" in names else {})}


def without_guidance(pipe: Any) -> float:
    """The value at which a pipeline computes no negative prompt: 1, or 0 where guidance means an addition (Z-Image)."""
    flag = getattr(type(pipe), "do_classifier_free_guidance", None)
    if isinstance(flag, property) and flag.fget is not None:
        with_one = type("Probe", (), {"_guidance_scale": 1.0, "__getattr__": lambda self, name: None})()
        try:
            return 0.0 if flag.fget(with_one) else 1.0
        except Exception:  # a property of another shape says nothing about 1
            return 1.0
    return 1.0


def prompts(pipe: Any, texts: Sequence[str], negatives: Sequence[str], guided: bool) -> dict[str, Any]:
    """prompt and negative_prompt; an empty negative prompt is left to the pipeline's own default, as in a plain call."""
    names = accepted(pipe)
    one = len(texts) == 1
    call: dict[str, Any] = {"prompt": texts[0] if one else list(texts)} if "prompt" in names else {}
    if guided and "negative_prompt" in names and any(negatives):
        call["negative_prompt"] = negatives[0] if one else list(negatives)
    return call


def size(pipe: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of width, height, num_frames, seconds and frame_rate that the pipeline takes, in its own words."""
    names, frames = accepted(pipe), frames_name(pipe)
    words = {(frames or key) if key in FRAMES else key: value for key, value in arguments.items()}
    return {key: value for key, value in words.items() if key in names and value is not None}


def frames_name(pipe: Any) -> str | None:
    """How this pipeline names the number of frames, or None if it takes none."""
    names = accepted(pipe)
    return next((name for name in FRAMES if name in names), None)


def decode_chunk(pipe: Any) -> tuple[int, int]:
    """How many latent frames of a video this pipeline decodes at a time, 0 for all; and the dimension they lie along."""
    names = accepted(pipe)
    sizes = ((names[name].default, dim) for name, dim in DECODED_BY.items() if name in names)
    return next(((size, dim) for size, dim in sizes if isinstance(size, int)), (0, 0))


def steps(pipe: Any, count: int) -> dict[str, Any]:
    """`count` denoising steps in the pipeline's own words; shared out, one at least, where each stage has its own.

    Nothing for a distilled pipeline that knows its own schedule only.
    """
    names = accepted(pipe)
    by_stage = next((name for name in STEPS_BY_STAGE if name in names), None)
    if by_stage is None:
        return {"num_inference_steps": count} if "num_inference_steps" in names else {}
    stages = len(names[by_stage].default)
    return {by_stage: [max(1, (count + stages - 1 - i) // stages) for i in range(stages)]}


def takes_number(decoder: Any) -> bool:
    """Whether an autoencoder must be told how many frames it is handed along the batch."""
    decode = getattr(decoder, "decode", None)
    return decode is not None and "num_frames" in inspect.signature(decode).parameters


def seconds_name(pipe: Any) -> str | None:
    """How this pipeline names the length of a sound, or None if it makes none."""
    names = accepted(pipe)
    return next((name for name in SECONDS if name in names), None)


def of_conditioning(pipe: Any, conditioning: Conditioning, rows: Sequence[int]) -> dict[str, Any]:
    """The prompt arguments and what the encoding used beside them, for the batch that `rows` describes."""
    call = prompts(
        pipe,
        [conditioning.prompts[i] for i in rows],
        [conditioning.negative_prompts[i] for i in rows],
        conditioning.guided,
    )
    return {**call, **size(pipe, conditioning.arguments)}
