"""aigc_manifest.json in a downloaded model's folder: where each file came from, and its checksum."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

NAME = "aigc_manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class FileRecord:
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """source: "hf:owner/name". revision: the commit. asked: the name it was asked by, such as "main".

    endpoint: the hub or mirror that served it. complete: False until every file is here.
    """

    source: str
    revision: str
    asked: str = ""
    licence: str = ""
    endpoint: str = ""
    complete: bool = False
    files: Mapping[str, FileRecord] = field(default_factory=dict)

    def serves(self, source: str, revision: str) -> bool:
        """Whether this is what was asked for: any revision when none is given, else by its name or commit."""
        if not self.complete or self.source != source:
            return False
        short = len(revision) >= 7 and self.revision.startswith(revision)
        return not revision or revision in (self.revision, self.asked) or short

    @property
    def size(self) -> int:
        return sum(record.size for record in self.files.values())


def read(folder: Path) -> Manifest | None:
    """None when there is none, or none that can be read: the folder then counts as the user's own."""
    try:
        values = json.loads((folder / NAME).read_text("utf-8"))
        files = {str(name): FileRecord(int(r["size"]), str(r["sha256"])) for name, r in values["files"].items()}
        words = {key: str(values[key]) for key in ("source", "revision", "asked", "licence", "endpoint")}
        return Manifest(**words, complete=values["complete"] is True, files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(folder: Path, manifest: Manifest) -> None:
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2, sort_keys=True, ensure_ascii=False)
    part = folder / f".{NAME}.part"
    part.write_text(text + "\n", encoding="utf-8")
    publish(part, folder / NAME)


def publish(part: Path, target: Path) -> None:
    """Give a finished file its name: whole or not at all, also through a power cut."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    if hasattr(os, "O_DIRECTORY"):  # Windows cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
