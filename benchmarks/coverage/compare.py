"""One class: diffusers' own call against ours on the same miniature."""

from __future__ import annotations

import inspect
import tempfile
import traceback
from pathlib import Path
from typing import Any

import torch

from . import calls, miniature

# Classes whose call works in one dtype only, where all others are compared in float32.
DTYPES = {"ZImageOmniPipeline": "bfloat16"}
SECONDS = {
    "audio_end_in_s": 1.0,
    "audio_length_in_s": 1.0,
    "audio_duration": 1.0,
    "audio_duration_s": 1.0,
    "duration": 1.0,
}


def measure(name: str) -> dict[str, Any]:
    """The row of a class: verdict, difference, note. Never raises."""
    stage = "build"
    try:
        pipe = miniature.build(name)
        with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
            stage = "save"
            pipe.save_pretrained(folder)
            stage = "whole"
            call = calls.arguments(type(pipe))
            expected = whole(Path(folder), name, call)
            unusable = nothing_to_compare(expected)
            if unusable:
                return {"verdict": "not called", "note": unusable}
            stage = "staged"
            got = staged(Path(folder), name, call, expected)
            row = verdict_of(got, expected)
            row["note"] = (
                f"in {DTYPES[name]}: with a picture its call works in no other" if name in DTYPES else row["note"]
            )
            if row["verdict"] == "within":
                again = float((whole(Path(folder), name, call) - expected).abs().max())
                row["note"] = (
                    f"diffusers' own call differs from itself by {again:.2g}: it draws from no seed" if again else ""
                )
    except Exception as error:
        verdict = {"build": "not built", "save": "not built", "whole": "not called"}.get(stage, "not")
        lines = "".join(traceback.format_tb(error.__traceback__)[-4:])
        return {"verdict": verdict, "stage": stage, "note": _line(error), "trace": lines}
    return row


def _line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}" if not isinstance(error, miniature.NotBuilt) else str(error)
    return " ".join(text.split())[:240]


def verdict_of(got: torch.Tensor, expected: torch.Tensor) -> dict[str, Any]:
    if got.shape != expected.shape:
        return {"verdict": "not", "note": f"shape {list(got.shape)} instead of {list(expected.shape)}"}
    if torch.equal(got, expected):
        return {"verdict": "exact", "difference": 0.0, "note": ""}
    return {"verdict": "within", "difference": float((got - expected).abs().max()), "note": ""}


def nothing_to_compare(expected: torch.Tensor) -> str:
    """Why this result says nothing, or ""."""
    if not torch.isfinite(expected).all():
        return "diffusers' own call gives NaN on this miniature"
    return "diffusers' own call gives a constant on this miniature" if float(expected.std()) == 0 else ""


def whole(folder: Path, name: str, call: dict[str, Any]) -> torch.Tensor:
    """What diffusers' own call makes: [N, H, W, C] pictures in 0..1 or [B, C, T] sound."""
    import diffusers

    from pipelines.stages import arguments

    dtype = getattr(torch, DTYPES.get(name, "float32"))
    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, torch_dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(
                False
            )  # as the stages load it: torch multiplies in another order for what learns
    if name.startswith("Allegro"):
        pipe.vae.enable_tiling()
    names = inspect.signature(type(pipe).__call__).parameters
    given: dict[str, Any] = {"prompt": calls.PROMPT, **call, **arguments.guidance(pipe, calls.CFG)}
    if "negative_prompt" in names:
        given["negative_prompt"] = calls.NEGATIVE
    given.update(arguments.steps(pipe, calls.STEPS))
    given.update({k: v for k, v in SECONDS.items() if k in names})
    kandinsky = name.startswith("Kandinsky") and not name.startswith(("Kandinsky5", "Kandinsky6"))
    if "output_type" in names:
        given["output_type"] = "np" if kandinsky else "pt"
    with torch.no_grad():
        out = pipe(**given, generator=torch.Generator("cpu").manual_seed(42))
    return _plain(out, channels_first=not kandinsky)


def _plain(out: Any, channels_first: bool) -> torch.Tensor:
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


def staged(folder: Path, name: str, call: dict[str, Any], expected: torch.Tensor) -> torch.Tensor:
    """The same by encode, sample and decode."""
    from pipelines import stages
    from pipelines.loading import Roots, open_model
    from pipelines.runtime import Runtime
    from pipelines.stages.table import FRAMES

    runtime = Runtime("cpu")
    model = open_model(str(folder), roots=Roots(), dtype=DTYPES.get(name, "float32"), offload="keep")
    pictures = {k: v for k, v in call.items() if k not in ("height", "width", *FRAMES)}
    size = {k: call[k] for k in ("height", "width", *FRAMES) if k in call}
    prompt = pictures.pop("prompt", calls.PROMPT)
    cond = stages.encode_prompt(
        model, [prompt], [calls.NEGATIVE], extra={**pictures, **(size if pictures else {})}, runtime=runtime
    )
    frames = next((call[k] for k in FRAMES if k in call), 0)
    sound = expected.ndim < 4
    given: dict[str, Any] = (
        {"seconds": 1.0} if sound else {"frames": frames, **{k: call.get(k, calls.SIDE) for k in ("width", "height")}}
    )
    latents = stages.empty_latents(model, **given)
    out = stages.sample(model, cond, latents, seed=42, steps=calls.STEPS, cfg=calls.CFG, runtime=runtime)
    if sound:
        return stages.decode_audio(model, out, runtime=runtime)["waveform"].reshape(expected.shape)
    return stages.decode_image(model, out, runtime=runtime)
