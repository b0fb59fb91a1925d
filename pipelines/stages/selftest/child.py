"""What the comparing process does: a miniature of the model's configs, whole and in stages, and a note of the result."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import torch

from ...payloads import Model
from . import LIMIT_SECONDS, TOLERANCE, calls, compare, miniature


def main(config: str, pipeline_class: str, note: str) -> None:
    """Compare and write the note; ends by itself at the time limit, also when nobody waits any more."""
    timer = threading.Timer(LIMIT_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
    torch.set_num_threads(1)
    folder = Path(config)
    result = outcome(Model(path=folder, config=folder, pipeline_class=pipeline_class))
    Path(note).write_text(json.dumps(result), "utf-8")


def outcome(model: Model) -> dict[str, Any]:
    """{"outcome": "same"}, {"outcome": "differs", "by": words} or {"outcome": "nothing", "why": words}; never raises.

    "nothing" is a miniature that cannot be made or called, or whose own call does not repeat: it says nothing.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="aigc-selftest-") as home:
            folder = miniature.save(model, Path(home))
            call = calls.arguments(miniature.pipeline_class(model))
            expected = compare.whole(folder, call)
            why = compare.nothing_to_compare(expected)
            if not why and not torch.equal(compare.whole(folder, call), expected):
                why = "diffusers' own call differs from itself"
            return {"outcome": "nothing", "why": why} if why else _compared(folder, call, expected)
    except Exception as error:
        return {"outcome": "nothing", "why": f"{type(error).__name__}: {error}"[:500]}


def _compared(folder: Path, call: dict[str, Any], expected: torch.Tensor) -> dict[str, Any]:
    try:
        got = compare.staged(folder, call, expected)
    except Exception as error:
        return {"outcome": "differs", "by": f"the stages fail: {type(error).__name__}: {error}"[:300]}
    if got.shape != expected.shape:
        return {"outcome": "differs", "by": f"shape {list(got.shape)} instead of {list(expected.shape)}"}
    by = float((got - expected).abs().max())
    return {"outcome": "differs", "by": f"by up to {by:.2g} of 1"} if not by <= TOLERANCE else {"outcome": "same"}
