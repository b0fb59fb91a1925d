"""Local files that a workflow loads: found beside it or where --set points, and uploaded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .client import Client
from .convert import ObjectInfo, Prompt
from .widgets import input_specs


def local_files(
    prompt: Prompt, object_info: ObjectInfo, folders: Iterable[Path], touched: set[tuple[str, str]]
) -> dict[tuple[str, str], Path]:
    """{(node id, input): file} for the values of upload widgets that name a local file.

    A workflow is often somebody else's: its own values reach into `folders` only. A --set may name any file.
    """
    found = {}
    places = [folder.resolve() for folder in folders]
    for id, node in prompt.items():
        for name, spec in input_specs(object_info.get(node["class_type"], {})).items():
            value = node["inputs"].get(name)
            if not spec.is_upload or not isinstance(value, str) or not value.strip():
                continue
            candidates = [(place / value, place) for place in places]
            if (id, name) in touched:
                candidates = [(Path(value).expanduser(), None), *[(path, None) for path, _ in candidates]]
            for path, inside in candidates:
                if _is_file(path) and (inside is None or path.resolve().is_relative_to(inside)):
                    found[id, name] = path
                    break
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long or with a zero byte
        return False


async def upload_files(client: Client, prompt: Prompt, files: dict[tuple[str, str], Path]) -> None:
    """Uploads each file once and writes the host's names into `prompt`."""
    names: dict[Path, str] = {}
    for (id, name), path in files.items():
        key = path.resolve()
        if key not in names:
            names[key] = await client.upload(path)
        prompt[id]["inputs"][name] = names[key]
