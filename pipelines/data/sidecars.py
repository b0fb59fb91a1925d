"""Captions that lie beside pictures: a text file each, or one table for a folder; in folders and inside zips alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..payloads import Item
from . import handles, reading

ENDINGS = (".txt", ".caption", ".json")
TABLES = ("metadata.jsonl", "captions.jsonl", "metadata.json", "captions.json", "meta_cap.json", "meta_clean.json",
          "meta_lat.json")  # fmt: skip
"""The first two as Hugging Face's imagefolder has them, the last three as kohya's scripts write them."""
CAPTIONS = ("caption", "text", "prompt", "description")
FILES = ("file_name", "file", "image", "path")
LARGEST = 1 << 28


class Sidecars:
    """Looks captions up; each table and each zip's list of names is read once."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], dict[str, str]] = {}
        self._names: dict[str, frozenset[str]] = {}

    def caption(self, item: Item) -> str:
        """What is written beside a picture, else in a table of its folder or one above it; "" for nothing.

        Of a video one text beside it counts for all its frames. Raises AigcError for a text that cannot be read.
        """
        place = PurePosixPath(item.member) if item.member else PurePosixPath(item.path.as_posix())
        for ending in ENDINGS:
            for name in (place.with_suffix(ending), PurePosixPath(f"{place}{ending}")):
                text = self._text(item, str(name))
                if text is not None and (found := _said(text, ending)):
                    return found
        for above in (place.parent, place.parent.parent):
            known = self._table(item, above)
            inside = place.relative_to(above)
            for key in (str(inside), str(inside.with_suffix("")), str(place), str(place.with_suffix("")), place.stem):
                if key in known:
                    return known[key]
        return ""

    def _text(self, item: Item, name: str) -> str | None:
        """A text file beside the picture, None when there is none; UTF-8, with or without its mark."""

        def read() -> str | None:
            if item.member:
                if name not in self._listed(item.path):
                    return None
                archive = handles.archive(item.path)
                data = archive.read(name) if archive.getinfo(name).file_size <= LARGEST else b""
            else:
                path = Path(name)
                data = path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST else None
            return None if data is None else data.decode("utf-8-sig", "replace")

        return reading.explained(item, read)

    def _listed(self, path: Path) -> frozenset[str]:
        if str(path) not in self._names:
            self._names[str(path)] = frozenset(handles.archive(path).namelist())
        return self._names[str(path)]

    def _table(self, item: Item, folder: PurePosixPath) -> dict[str, str]:
        key = (str(item.path) if item.member else "", str(folder))
        if key not in self._tables:
            found: dict[str, str] = {}
            for name in TABLES:
                text = self._text(item, str(folder / name))
                for file, caption in _rows(text or ""):
                    found.setdefault(file, caption)
            self._tables[key] = found
        return self._tables[key]


def _said(text: str, ending: str) -> str:
    """The caption of one sidecar, its lines joined; of a JSON one of the known words."""
    if ending != ".json":
        return " ".join(text.split())
    try:
        return _of(json.loads(text))
    except ValueError:
        return ""


def _of(entry: Any) -> str:
    """A caption from JSON: a string, or an object's caption and tags as kohya joins them."""
    if isinstance(entry, str):
        return " ".join(entry.split())
    if not isinstance(entry, Mapping):
        return ""
    parts = [next((entry[word] for word in CAPTIONS if isinstance(entry.get(word), str)), ""), _tags(entry.get("tags"))]
    return ", ".join(" ".join(part.split()) for part in parts if part.strip())


def _tags(tags: Any) -> str:
    return tags if isinstance(tags, str) else ", ".join(str(tag) for tag in tags) if isinstance(tags, list) else ""


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """(file as written, caption) of a table: an object of files, a list of rows, or a row a line."""
    for value in _values(text):
        if isinstance(value, Mapping) and not any(name in value for name in FILES):
            rows = [(str(file), entry) for file, entry in value.items()]
        else:
            listed = value if isinstance(value, list) else [value]
            rows = [(_file(row), row) for row in listed if isinstance(row, Mapping)]
        yield from ((file.replace("\\", "/"), said) for file, row in rows if file and (said := _of(row)))


def _values(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        pass
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _file(row: Mapping[str, Any]) -> str:
    return str(next((row[name] for name in FILES if name in row), ""))
