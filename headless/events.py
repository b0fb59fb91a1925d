"""What a host tells about a run: its messages as events, and the outputs that they add up to."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Event:
    """One thing that happened: a message of the host by its own name, or "preview" with `image` bytes."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    image: bytes = b""
    suffix: str = ""


@dataclass
class Run:
    """A submitted prompt and what is known of it."""

    id: str
    node_errors: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: str = "running"  # then success, error or interrupted
    error: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


def preview_event(message: bytes, node: str) -> Event | None:
    """A binary websocket message as an Event: type 1 is a bare image, 4 an image with metadata, 3 is text."""
    if len(message) < 8:
        return None
    kind, head = struct.unpack(">II", message[:8])
    if kind == 1:
        return Event("preview", {"node": node}, message[8:], ".png" if head == 2 else ".jpg")
    if kind == 4:
        try:
            meta = json.loads(message[8 : 8 + head])
        except ValueError:
            return None
        suffix = ".png" if "png" in str(meta.get("image_type")) else ".jpg"
        data = {"node": str(meta.get("display_node_id") or meta.get("node_id") or node)}
        if meta.get("prompt_id"):
            data["prompt_id"] = meta["prompt_id"]
        return Event("preview", data, message[8 + head :], suffix)
    return None


def output_files(run: Run) -> list[dict[str, Any]]:
    """Every file that the run's outputs name, in order and once; files of the input folder are not ours."""
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in _entries(run):
        if isinstance(entry, dict) and entry.get("filename") and entry.get("type") != "input":
            seen.setdefault((entry["filename"], entry.get("subfolder"), entry.get("type")), entry)
    return list(seen.values())


def output_scores(run: Run) -> list[Any]:
    """What the run's nodes put under the ui keys "scores" and "aigc_scores"."""
    return [entry for entry in _entries(run, ("scores", "aigc_scores"))]


def _entries(run: Run, keys: tuple[str, ...] = ()) -> list[Any]:
    found: list[Any] = []
    for output in run.outputs.values():
        for key, value in (output or {}).items():
            if not keys or key in keys:
                found += value if isinstance(value, (list, tuple)) else [value]
    return found
