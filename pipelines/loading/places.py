"""Where models lie, what they are called on the canvas, and which file a name means."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AigcError
from .folder import INDEX

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
MODULAR_INDEX = "modular_model_index.json"
FOLDER_DEPTH = 2  # models/diffusers/<maker>/<model>


@dataclass(frozen=True)
class Roots:
    """The folders that models are looked for in; earlier folders win.

    tokenizers: folders of tokenizer files by "clip" and "t5", for checkpoints that come without a tokenizer.
    """

    embedded: tuple[Path, ...] = ()
    diffusers: tuple[Path, ...] = ()
    checkpoints: tuple[Path, ...] = ()
    loras: tuple[Path, ...] = ()
    tokenizers: Mapping[str, Path] = field(default_factory=dict)


def list_models(roots: Roots) -> list[str]:
    """The names of all models found: embedded first, then diffusers folders, then checkpoints."""
    return list(_models(roots))


def list_loras(roots: Roots) -> list[str]:
    """The names of all LoRA files found."""
    return list(_files(roots.loras))


def find_model(name: str, roots: Roots) -> Path | None:
    """The folder or file that a name or an absolute path means; None when it can only be a hub id."""
    return _find(name, _models(roots), "model", hub=True)


def find_lora(name: str, roots: Roots) -> Path:
    """The LoRA file that a name or an absolute path means."""
    found = _find(name, _files(roots.loras), "LoRA", hub=False)
    assert found is not None
    return found


def _models(roots: Roots) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for root in (*roots.embedded, *roots.diffusers):
        for folder in _folders(root):
            found.setdefault(folder.relative_to(root).as_posix(), folder)
    for name, path in _files(roots.checkpoints).items():
        found.setdefault(name, path)
    return found


def _folders(root: Path) -> Iterator[Path]:
    """Diffusers folders below a root, at most FOLDER_DEPTH deep and not outside it, in order of their names."""
    level = [root]
    for _ in range(FOLDER_DEPTH):
        level = [child for folder in level for child in _subfolders(folder) if _inside(child, root)]
        yield from (folder for folder in level if _is_model(folder))
        level = [folder for folder in level if not _is_model(folder)]


def _is_model(folder: Path) -> bool:
    return (folder / INDEX).is_file() or (folder / MODULAR_INDEX).is_file()


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError:
        return []


def _files(roots: tuple[Path, ...]) -> dict[str, Path]:
    """Safetensors files below the roots by their names relative to them."""
    found: dict[str, Path] = {}
    for root in roots:
        for folder, subfolders, files in os.walk(root):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for file in sorted(files):
                path = Path(folder, file)
                if path.suffix == ".safetensors" and _inside(path, root):
                    found.setdefault(path.relative_to(root).as_posix(), path)
    return found


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _find(name: str, known: dict[str, Path], what: str, *, hub: bool) -> Path | None:
    if not isinstance(name, str) or not name.strip():
        raise AigcError(f"Expected the name of a {what}, got {name!r}. Choose one from the list.")
    name = name.strip()
    if name in known:
        return known[name]
    shown = repr(name[:200])
    if any(ord(letter) < 32 for letter in name) or ".." in re.split(r"[/\\]", name):
        raise AigcError(f"Expected a {what} below its own folder, got {shown}. Choose one from the list.")
    if "://" in name:
        raise AigcError(f"Expected the name of a {what}, got the address {shown}. Download it first, or give a hub id.")
    path = Path(name)
    if path.is_absolute():
        try:
            if path.exists():
                return path
        except OSError:
            pass
        raise AigcError(f"Expected a {what} at {shown}, but nothing is there. Mend the path.")
    if hub and HUB_ID.fullmatch(name) and path.suffix not in (".safetensors", ".ckpt"):
        return None
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else "Choose one from the list, or give its absolute path."
    raise AigcError(f"There is no {what} named {shown} in the model folders. {hint}")
