"""Files that a server names and we write: never outside the folder, never half, never over another file."""

from __future__ import annotations

import filecmp
import os
import re
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path

RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe_path(folder: Path, filename: str, subfolder: str = "") -> Path:
    """folder/subfolder/filename without the parts that could lead out of `folder`."""
    parts = [_safe_part(part) for part in re.split(r"[/\\]+", f"{subfolder}/{filename}")]
    parts = [part for part in parts if part]
    target = folder.joinpath(*(parts or ["output"]))
    # A link inside the folder may still lead out of it.
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        target = folder / target.name
    return target


def _safe_part(part: str) -> str:
    part = re.sub(r'[\x00-\x1f:*?"<>|]', "_", part).strip().rstrip(".")
    if set(part) <= {"."}:
        return ""
    return f"_{part}" if RESERVED.match(part) else part[-200:]


async def save_stream(chunks: AsyncIterable[bytes], folder: Path, filename: str, subfolder: str = "") -> Path:
    """Writes beside the target and renames; an equal file is kept, a different one gets a number."""
    target = safe_path(folder, filename, subfolder)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in chunks:
                file.write(chunk)
        part.chmod(0o666 & ~_umask())  # mkstemp makes files for our eyes only
        return _place(part, target)
    finally:
        part.unlink(missing_ok=True)


def save_bytes(content: bytes, target: Path) -> Path:
    """Writes `target` in one step, over what was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{target.name}")
    part.write_bytes(content)
    os.replace(part, target)
    return target


def _place(part: Path, target: Path) -> Path:
    candidate, number = target, 1
    while candidate.exists() or candidate.is_symlink():
        if candidate.is_file() and not candidate.is_symlink() and filecmp.cmp(part, candidate, shallow=False):
            return candidate
        number += 1
        candidate = target.with_name(f"{target.stem}-{number}{target.suffix}")
    os.replace(part, candidate)
    return candidate


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
