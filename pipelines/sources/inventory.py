"""What is on this machine: the models of the list with their origins, and whether downloads are still what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import card, manifest
from .download import CHUNK
from .layout import is_whole_network
from .places import Roots, models


@dataclass(frozen=True)
class Entry:
    """One model of the list. source, revision and licence are "" where nothing says them; size 0 is unknown."""

    name: str
    path: Path
    source: str = ""
    revision: str = ""
    licence: str = ""
    size: int = 0


def inventory(roots: Roots) -> list[Entry]:
    """Every model of the list, in its order, then what no list of models shows: downloads for judges, and packages."""
    listed = models(roots)
    others = (folder for root in roots.diffusers for folder in sorted(root.glob("*--*")) if manifest.read(folder))
    networks = {folder.name: folder for folder in others if is_whole_network(folder, folder.name.replace("--", "/", 1))}
    packages = {one.name: one for root in roots.packages for one in sorted(root.glob("[!.]*")) if manifest.read(one)}
    return [_entry(name, path, roots) for name, path in {**listed, **networks, **packages}.items()]


def _entry(name: str, path: Path, roots: Roots) -> Entry:
    if path.is_file():
        return Entry(name, path, size=path.stat().st_size)
    known = manifest.read(path)
    if known is not None:
        return Entry(name, path, known.source, known.revision, known.licence or card.licence(path), known.size)
    embedded = any(path.is_relative_to(root) for root in roots.embedded)
    return Entry(name, path, f"embedded:{name}" if embedded else "", licence=card.licence(path))


def verify(folder: Path, check_interrupt: Callable[[], None] = lambda: None) -> list[str] | None:
    """What is wrong with a downloaded model, one line a file; [] when every file is as it came, None without a manifest.

    Reads every byte.
    """
    known = manifest.read(folder)
    if known is None:
        return None
    problems = [] if known.complete else ["the download is not finished"]
    return problems + list(_problems(folder, known, check_interrupt))


def _problems(folder: Path, known: manifest.Manifest, check_interrupt: Callable[[], None]) -> Iterator[str]:
    for name, record in known.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
            continue
        if path.stat().st_size != record.size:
            yield f"{name} has {path.stat().st_size} bytes instead of {record.size}"
            continue
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                check_interrupt()
                digest.update(chunk)
        if digest.hexdigest() != record.sha256:
            yield f"{name} has the SHA-256 {digest.hexdigest()} instead of {record.sha256}"
