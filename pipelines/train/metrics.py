"""metrics.jsonl: a row a logged step, a row an examination."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NAME = "metrics.jsonl"


def read(folder: Path) -> list[Row]:
    """The rows in order; a last line that a kill tore is left out."""
    path, rows = folder / NAME, []
    if not path.exists():
        return []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


@dataclass
class Log:
    """Appends rows of a run; on opening, what lies after `step` is dropped: a resumed run writes it again."""

    folder: Path
    step: int = 0
    rows: list[Row] = field(default_factory=list)
    _fresh: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = [row for row in read(self.folder) if row["step"] <= self.step]
        part = self.folder / f".{NAME}.part"
        part.write_text(_lines(self.rows), "utf-8")
        part.replace(self.folder / NAME)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self._fresh.append(row)

    def write(self) -> None:
        if self._fresh:
            with (self.folder / NAME).open("a", encoding="utf-8") as file:
                file.write(_lines(self._fresh))
                file.flush()
                os.fsync(file.fileno())
            self._fresh.clear()


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def series(rows: Iterable[Row]) -> dict[str, list[tuple[int, float]]]:
    """Each figure's course as (step, value) pairs, by its name; examinations under "held-out <name>"."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        parts = ((row, ""), (row.get("examined", {}), "held-out "))
        for values, prefix in parts:
            for name, value in values.items():
                if name not in ("step", "seconds", "examined") and isinstance(value, int | float):
                    found.setdefault(prefix + name, []).append((row["step"], float(value)))
    return found
