"""Runs beside one another: each figure's courses in one chart, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AigcError
from . import chart, metrics, run

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Course:
    """One run's name, what it trains, and its rows."""

    name: str
    about: dict[str, Any]
    rows: list[dict[str, Any]]

    def examined(self) -> list[tuple[int, float]]:
        return metrics.series(self.rows).get("held-out score", [])

    def best(self) -> tuple[int, float]:
        found = self.examined()
        return min(found, key=lambda pair: pair[1]) if found else (-1, float("inf"))


def compared(folders: Sequence[Path]) -> list[Course]:
    """Each folder once, the best on held-out data first. Raises AigcError for a folder without a run, or none at all."""
    found = [Course(folder.name, run.about(folder), metrics.read(folder)) for folder in dict.fromkeys(folders)]
    if not found:
        raise AigcError("Expected at least one run, got none: connect one, or write its name.")
    return sorted(found, key=lambda course: course.best()[1])


def told(courses: Sequence[Course]) -> str:
    """A line a run."""
    lines = []
    for course in courses:
        design, last = course.about["design"], course.rows[-1] if course.rows else {"step": 0, "seconds": 0.0}
        step, score = course.best()
        figure = f"best held-out figure {score:.4g} at step {step}" if step >= 0 else "not examined"
        lines.append(
            f"{course.name}: {design['purpose']} {design['kind']}, {last['step']} steps in {last['seconds']:.0f} s, {figure}"
        )
    return "\n".join(lines)


def drawn(courses: Sequence[Course]) -> Image:
    """A panel a figure that more than one run has, or that the only run has."""
    from PIL import Image

    series = {course.name: metrics.series(course.rows) for course in courses}
    names = [name for name in dict.fromkeys(n for s in series.values() for n in s) if name != "held-out score"]
    held = sorted(names, key=lambda name: (not name.startswith("held-out "), names.index(name)))
    shared = [name for name in held if sum(name in s for s in series.values()) >= min(2, len(courses))]
    panels = [chart.panel(name, {run: s[name] for run, s in series.items() if name in s}) for name in shared[:8]]
    panels = panels or [chart.panel("nothing in common", {})]
    sheet = Image.new("RGB", (2 * chart.WIDE, chart.HIGH * ((len(panels) + 1) // 2)), chart.PAPER)
    for number, panel in enumerate(panels):
        sheet.paste(panel, (number % 2 * chart.WIDE, number // 2 * chart.HIGH))
    return sheet
