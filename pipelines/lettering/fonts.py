"""Fonts: one that is asked for, or the first that has every character of a text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import AigcError

ENDINGS = (".ttf", ".otf", ".ttc")
BUILT_IN = ""  # Pillow's own: Latin only, the same on every machine
NOTHING = "\U0010fffe"  # no font has it: what is drawn for it is drawn for everything that is missing
# Names of faces for running text, the wanted first; others come after them in the order of their names.
KNOWN = (
    "NotoSansCJK-Bold", "NotoSansSC", "SourceHanSans", "msyhbd", "msyh", "PingFang", "Hiragino Sans GB", "wqy-microhei",
    "NotoSansCJK", "simhei", "DejaVuSans-Bold", "NotoSans-Bold", "arialbd", "Arial Bold", "segoeuib", "LiberationSans-Bold",
)  # fmt: skip


def system_folders() -> tuple[Path, ...]:
    """Where this system keeps its fonts."""
    if sys.platform == "win32":
        return (
            Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts",
            Path.home() / "AppData/Local/Microsoft/Windows/Fonts",
        )
    if sys.platform == "darwin":
        return tuple(Path(p) for p in ("/System/Library/Fonts", "/Library/Fonts", Path.home() / "Library/Fonts"))
    return (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts")


def files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def rank(path: Path) -> tuple[int, str]:
    """Known faces first."""
    place = next((at for at, name in enumerate(KNOWN) if path.name.lower().startswith(name.lower())), len(KNOWN))
    return place, path.name


@lru_cache(maxsize=64)
def opened(path: str, size: int) -> Any:
    """A font of `size` pixels. Raises AigcError for a file that is none."""
    from PIL import ImageFont

    if path == BUILT_IN:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(path, size)
    except OSError as error:
        raise AigcError(
            f"Expected a font (.ttf, .otf, .ttc) in {path}, got another file ({error}): choose another."
        ) from error


@lru_cache(maxsize=4096)
def has(path: str, character: str) -> bool:
    """Whether the font draws this character."""
    if character.isspace():
        return True
    font = opened(path, 32)
    return bytes(font.getmask(character)) != bytes(font.getmask(NOTHING))


def chosen(text: str, wanted: str, own: Iterable[Path]) -> str:
    """The file of a font for a text. wanted: a file's name in `own` folders, or its path; "" for the first that has all of it.

    Raises AigcError when there is none, or the one that is wanted lacks characters.
    """
    own = tuple(own)
    if wanted.strip():
        path = _named(wanted.strip(), own)
        missing = "".join(dict.fromkeys(c for c in text if not has(path, c)))
        if missing:
            raise AigcError(
                f"Expected a font with all of the text, got {Path(path).name}, which has no {missing[:20]}: choose another."
            )
        return path
    ours = sorted(files(own), key=rank)
    for candidate in (*map(str, ours), BUILT_IN, *map(str, sorted(files(system_folders()), key=rank))):
        try:
            if all(has(candidate, c) for c in set(text)):
                return candidate
        except (AigcError, OSError, ValueError):  # a font that cannot be read is no reason not to look on
            continue
    where = own[0] if own else "models/fonts"
    raise AigcError(
        f"Expected a font that has '{text[:20]}', found none on this system: put one (.ttf, .otf, .ttc) into {where}."
    )


def _named(wanted: str, own: tuple[Path, ...]) -> str:
    for path in files(own):
        if wanted in (path.name, path.stem):
            return str(path)
    if Path(wanted).is_file():
        return wanted
    known = ", ".join(path.name for path in files(own)) or "none there"
    raise AigcError(
        f"Expected a font in models/fonts ({known}) or a path, got '{wanted}': put it there, or clear font."
    )
