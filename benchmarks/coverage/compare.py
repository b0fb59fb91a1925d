"""One class: diffusers' own call against ours on the same miniature."""

from __future__ import annotations

import functools
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipelines.stages.selftest.compare import nothing_to_compare, staged, whole

from . import blocks, calls, classes, miniature
from .blocks import Prepared

# Classes whose call works in one dtype only, where all others are compared in float32.
DTYPES = {"ZImageOmniPipeline": "bfloat16"}
WORST_FIRST = ("not", "not called", "within", "exact")


def measure(name: str) -> dict[str, Any]:
    """The row of a class: verdict, difference, note; the worst of its calls. Never raises."""
    dtype = DTYPES.get(name, "float32")
    try:
        # What a call compiles for itself (Wan-Animate 2 does, for its mask) takes a minute and computes the same.
        with torch.compiler.set_stance("force_eager"), tempfile.TemporaryDirectory(prefix="coverage-") as home:
            if why := blocks.refusal(name, Path(home)):
                return {"verdict": "refused", "note": why}
            made = (blocks.prepared if classes.is_modular(name) else _prepared)(name, Path(home), dtype)
            rows = [_row(Path(home), call, again, dtype) for call, again in made]
    except Exception as error:
        return _failed("build", error)
    row = min(rows, key=lambda r: WORST_FIRST.index(r["verdict"]))
    if name in DTYPES and row["verdict"] == "exact":
        row["note"] = f"in {dtype}: with a picture its call works in no other"
    return row


def _row(folder: Path, call: dict[str, Any], again: Callable[[], torch.Tensor], dtype: str) -> dict[str, Any]:
    """One call: what the whole makes of it, `again` and again, against the stages."""
    stage = "whole"
    try:
        expected = again()
        unusable = nothing_to_compare(expected)
        if unusable:
            return {"verdict": "not called", "note": unusable}
        stage = "staged"
        row = verdict_of(staged(folder, call, expected, dtype), expected)
        if row["verdict"] == "within":
            own = float((again() - expected).abs().max())
            row["note"] = f"diffusers' own call differs from itself by {own:.2g}: it draws from no seed" if own else ""
    except Exception as error:
        return _failed(stage, error)
    return row


def _failed(stage: str, error: Exception) -> dict[str, Any]:
    verdict = {"build": "not built", "whole": "not called"}.get(stage, "not")
    lines = "".join(traceback.format_tb(error.__traceback__)[-4:])
    return {"verdict": verdict, "stage": stage, "note": _line(error), "trace": lines}


def _prepared(name: str, folder: Path, dtype: str) -> list[Prepared]:
    """A classic class's miniature saved in `folder`: what it is called with, and diffusers' own call."""
    pipe = miniature.build(name)
    pipe.save_pretrained(folder)
    call = calls.arguments(type(pipe))
    return [(call, functools.partial(whole, folder, call, dtype))]


def _line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}" if not isinstance(error, miniature.NotBuilt) else str(error)
    return " ".join(text.split())[:240]


def verdict_of(got: torch.Tensor, expected: torch.Tensor) -> dict[str, Any]:
    if got.shape != expected.shape:
        return {"verdict": "not", "note": f"shape {list(got.shape)} instead of {list(expected.shape)}"}
    if torch.equal(got, expected):
        return {"verdict": "exact", "difference": 0.0, "note": ""}
    return {"verdict": "within", "difference": float((got - expected).abs().max()), "note": ""}
