"""One class: diffusers' own call against ours on the same miniature."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path
from typing import Any

import torch

from pipelines.stages.selftest.compare import nothing_to_compare, staged, whole

from . import calls, miniature

# Classes whose call works in one dtype only, where all others are compared in float32.
DTYPES = {"ZImageOmniPipeline": "bfloat16"}
# What their "pt" gives is not in 0..1.
NUMPY = ("Kandinsky3", "KandinskyC", "KandinskyI", "KandinskyP", "KandinskyV22", "IF", "PRXPixel", "LTXI2VLong")


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
            dtype = DTYPES.get(name, "float32")
            output = "np" if name.startswith(NUMPY) else "pt"
            expected = whole(Path(folder), call, output, dtype)
            unusable = nothing_to_compare(expected)
            if unusable:
                return {"verdict": "not called", "note": unusable}
            stage = "staged"
            got = staged(Path(folder), call, expected, dtype)
            row = verdict_of(got, expected)
            row["note"] = f"in {dtype}: with a picture its call works in no other" if name in DTYPES else row["note"]
            if row["verdict"] == "within":
                again = float((whole(Path(folder), call, output, dtype) - expected).abs().max())
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
