"""How work is watched: progress, pictures and words on the node that runs, and the host's interrupt.

Call these inside execute: a host's progress bar belongs to the node that makes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import comfy.utils
from comfy.cli_args import LatentPreviewMethod, args

from .folders import roots
from .memory import runtime

if TYPE_CHECKING:
    from PIL.Image import Image

    from ...pipelines.score.training import Report
    from ...pipelines.sources import Watch

STOPS = (mm.InterruptProcessingException,)  # what a stop raises, where what was made is kept


def reporter() -> Callable[[int, int, Callable[[], Image | None]], None]:
    """`on_step` for the engine: progress, pictures if the host's --preview-method wants any, interrupt."""
    bar = comfy.utils.ProgressBar(1)

    def on_step(step: int, total: int, preview: Callable[[], Image | None]) -> None:
        mm.throw_exception_if_processing_interrupted()
        wanted = args.preview_method != LatentPreviewMethod.NoPreviews
        picture = preview() if wanted else None  # None as well for what has no picture, such as sound
        bar.update_absolute(step, total, ("JPEG", picture, args.preview_size) if picture else None)

    return on_step


def _drawing(draw: Callable[[Any], Image], least: float) -> Callable[[int, int, Any], None]:
    """`on_step` of a training: progress, the interrupt, and its picture as the node's preview.

    Drawn every `least` seconds, and less often when drawing takes more than a fiftieth of the time.
    """
    bar, due = comfy.utils.ProgressBar(1), 0.0

    def on_step(done: int, total: int, state: Any) -> None:
        nonlocal due
        mm.throw_exception_if_processing_interrupted()
        picture, now = None, time.monotonic()
        if now > due:
            picture = draw(state)
            due = now + max(least, 50 * (time.monotonic() - now))
        bar.update_absolute(done, max(done, total), ("JPEG", picture, max(picture.size)) if picture else None)

    return on_step


def charter() -> Callable[[int, int, Report], None]:
    """`on_step` of a judge's training."""
    from ...pipelines.score import curve

    return _drawing(curve.drawn, 1.0)


def training() -> dict[str, Any]:
    """What every run takes from the host: where it computes, how it is watched, what stops it."""
    from ...pipelines.train import chart

    return {"runtime": runtime(), "on_step": _drawing(chart.drawn, 2.0), "stops": STOPS}


def searching() -> dict[str, Any]:
    """What a search that shows what it has found takes from the host, as `training` gives it."""
    return {"runtime": runtime(), "on_step": _drawing(lambda preview: preview(), 1.0), "stops": STOPS}


def speaking() -> dict[str, Any]:
    """What speech takes from the host: its folders, its watch over downloads, progress a piece, and what stops it."""
    return {"roots": roots(), "runtime": runtime(), "watch": watch(), "on_piece": counter(), "stops": STOPS}


def composing() -> dict[str, Any]:
    """As `speaking`, progress a bar."""
    return {"roots": roots(), "runtime": runtime(), "watch": watch(), "on_bar": counter(), "stops": STOPS}


def watch() -> Watch:
    """A download on the progress bar of the node that runs, ended by the host's interrupt."""
    from ...pipelines.sources import Watch

    bar = comfy.utils.ProgressBar(1)
    return Watch(lambda done, total, _: bar.update_absolute(done, total), mm.throw_exception_if_processing_interrupted)


def counter() -> Callable[[int, int], None]:
    """`on_picture` for the engine: done and total on the progress bar of the node that runs, and the host's interrupt."""
    bar = comfy.utils.ProgressBar(1)

    def on_picture(done: int, total: int) -> None:
        mm.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return on_picture


def writer() -> Callable[[str, int, int], None]:
    """`on_text` for the engine: what is written so far on the node that runs, ten times a second, and its progress bar."""
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    bar, context, sent = comfy.utils.ProgressBar(1), get_executing_context(), 0.0
    server = getattr(PromptServer, "instance", None)

    def on_text(text: str, done: int, most: int) -> None:
        nonlocal sent
        now = time.monotonic()
        if now - sent < 0.1 and done < most:
            return
        sent = now
        bar.update_absolute(done, most)
        if server is not None and context is not None and server.client_id is not None:
            said = {"prompt_id": context.prompt_id, "node": context.node_id, "text": text}
            server.send_sync("aigc_text", said, server.client_id)

    return on_text
