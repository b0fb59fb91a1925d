"""A model in a folder: diffusers' own call against ours, with the same arguments and seed."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

import torch

from .. import arguments
from ..replay import drawing
from ..table import FRAMES, TILED
from ..table import SECONDS as SECOND_WORDS
from . import calls

SECONDS = dict.fromkeys(SECOND_WORDS, 1.0)
# What their "pt" gives is not in 0..1.
NUMPY = ("Kandinsky3", "KandinskyC", "KandinskyI", "KandinskyP", "KandinskyV22", "IF", "PRXPixel", "LTXI2VLong")


def nothing_to_compare(expected: torch.Tensor) -> str:
    """Why this result says nothing, or ""."""
    if not torch.isfinite(expected).all():
        return "diffusers' own call gives NaN on this miniature"
    return "diffusers' own call gives a constant on this miniature" if float(expected.std()) == 0 else ""


def whole(folder: Path, call: dict[str, Any], dtype: str = "float32") -> torch.Tensor:
    """What diffusers' own call makes: [N, H, W, C] pictures in 0..1 or [B, C, T] sound."""
    import diffusers

    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, torch_dtype=getattr(torch, dtype))
    pipe.set_progress_bar_config(disable=True)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(
                False
            )  # as the stages load it: torch multiplies in another order for what learns
        if type(part).__name__ in TILED:
            cast(Any, part).enable_tiling()
    names = inspect.signature(type(pipe).__call__).parameters
    output = "np" if type(pipe).__name__.startswith(NUMPY) else "pt"
    given: dict[str, Any] = {"prompt": calls.PROMPT, **call, **arguments.guidance(pipe, calls.CFG)}
    known = {"negative_prompt": calls.NEGATIVE, **arguments.steps(pipe, calls.STEPS), **SECONDS, "output_type": output}
    given.update({k: v for k, v in known.items() if k in names})
    with torch.no_grad(), drawing(42, torch.device("cpu")):  # some draw from no generator that they are given
        out = pipe(**given, generator=torch.Generator("cpu").manual_seed(42))
    return plain(out, channels_first=output == "pt")


def plain(out: Any, channels_first: bool = True) -> torch.Tensor:
    """A pipeline's output as [N, H, W, C] pictures or [B, C, T] sound."""
    import numpy as np
    from PIL.Image import Image

    value = next(
        (v for n in ("images", "frames", "audios", "videos", "video") if (v := getattr(out, n, None)) is not None), None
    )
    value = out[0] if value is None else value
    if isinstance(value, list | tuple):
        value = [
            torch.as_tensor(np.asarray(v, dtype="float32") / (255 if isinstance(v, Image) else 1)) for v in _flat(value)
        ]
        value = torch.stack(value)
    value = torch.as_tensor(value).float()
    if value.ndim == 5:
        value = value.flatten(0, 1)
    return (
        value.permute(0, 2, 3, 1).contiguous() if value.ndim == 4 and channels_first and value.shape[-1] != 3 else value
    )


def _flat(values: Any) -> list[Any]:
    return [x for v in values for x in (_flat(v) if isinstance(v, list | tuple) else [v])]


def staged(folder: Path, call: dict[str, Any], expected: torch.Tensor, dtype: str = "float32") -> torch.Tensor:
    """The same by encode, sample and decode."""
    from ... import stages
    from ...loading import Roots, open_model
    from ...runtime import Runtime

    runtime = Runtime("cpu")
    model = open_model(str(folder), roots=Roots(), dtype=dtype, offload="keep")
    pictures = {k: v for k, v in call.items() if k not in ("height", "width", *FRAMES)}
    size = {k: call[k] for k in ("height", "width", *FRAMES) if k in call}
    prompt = pictures.pop("prompt", calls.PROMPT)
    cond = stages.encode_prompt(
        model, [prompt], [calls.NEGATIVE], extra={**pictures, **(size if pictures else {})}, runtime=runtime
    )
    frames = next((call[k] for k in FRAMES if k in call), 0)
    sound = expected.ndim < 4
    side = {k: call.get(k, calls.SIDE) for k in ("width", "height") if not sound or k in call}
    given: dict[str, Any] = {"frames": frames, **side, **({"seconds": 1.0} if sound else {})}
    latents = stages.empty_latents(model, **given)
    out = stages.sample(model, cond, latents, seed=42, steps=calls.STEPS, cfg=calls.CFG, runtime=runtime)
    if sound:
        return stages.decode_audio(model, out, runtime=runtime)["waveform"].reshape(expected.shape)
    return stages.decode_image(model, out, runtime=runtime)
