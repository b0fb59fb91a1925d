"""What goes out: where a prefix saves to, what a PNG says, and an output that stops quietly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_execution.graph import ExecutionBlocker

from ...pipelines.errors import AigcError


@dataclass(frozen=True)
class Place:
    """Where a prefix such as "aigc/name" saves to: stem is "name", counter the first number that is free."""

    folder: Path
    stem: str
    counter: int
    subfolder: str

    def names(self, count: int) -> list[str]:
        """File names as the host's Save Image gives them."""
        return [f"{self.stem.replace('%batch_num%', str(i))}_{self.counter + i:05}_.png" for i in range(count)]

    def shown(self, name: str) -> dict[str, str]:
        """One of the files, as the canvas wants it."""
        return {"filename": name, "subfolder": self.subfolder, "type": "output"}


def save_place(prefix: str, width: int = 0, height: int = 0) -> Place:
    """Below the host's output folder, by its own rules. Raises AigcError for a prefix that leads out of it."""
    given = prefix.strip()
    if not Path(given).name or Path(given).name in (".", "..") or given.endswith(("/", "\\")):
        raise AigcError(f"Expected a name to save under, got '{prefix}': fill in folder/name.")
    output = Path(folder_paths.get_output_directory()).resolve()
    if not (output / given).resolve().is_relative_to(output):
        raise AigcError(f"Expected a name below the output folder, got '{prefix}': leave out what leads out of it.")
    folder, stem, number, subfolder, _ = folder_paths.get_save_image_path(given, str(output), width, height)
    return Place(Path(folder), stem, number, subfolder)


def picture_texts(hidden: Any) -> dict[str, str]:
    """What the host's Save Image writes into a PNG: the prompt and the workflow; nothing with --disable-metadata."""
    if args.disable_metadata:
        return {}
    known = {"prompt": hidden.prompt} if hidden.prompt is not None else {}
    return {key: json.dumps(value) for key, value in {**known, **(hidden.extra_pnginfo or {})}.items()}


def stop_quietly() -> ExecutionBlocker:
    """An output that keeps what hangs on it from running, without an error."""
    return ExecutionBlocker(None)
