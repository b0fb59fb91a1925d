"""A measured figure, the registry of measures, and the results file."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results.json"
VERSIONS = ("torch", "diffusers", "transformers", "safetensors", "accelerate", "numpy")


@dataclass(frozen=True)
class Figure:
    """One measured number. `bar` is the most it may be, or with `at_least` the least; None: reported only."""

    name: str
    value: float
    unit: str = ""
    bar: float | None = None
    at_least: bool = False
    detail: str = ""

    @property
    def word(self) -> str:
        """ "ok" or "short", or "" for a figure without a bar."""
        if self.bar is None:
            return ""
        good = self.value >= self.bar if self.at_least else self.value <= self.bar
        return "ok" if good else "short"

    def line(self) -> str:
        sign = "" if self.bar is None else (">= " if self.at_least else "<= ") + f"{self.bar:g}"
        number = f"{self.value:.4g} {self.unit}".strip()
        text = f"{self.name:<46} {number:>14}  {sign:<10} {self.word:<6} {self.detail}"
        return text.rstrip()


class Absent(Exception):
    """What a measure measures is not in this checkout; the text says what is missing."""


Measure = Callable[[], Iterable[Figure]]


@dataclass(frozen=True)
class Entry:
    """A measure of the registry: one file of `benchmarks/measures` with a docstring and a function `measure`."""

    name: str
    about: str
    measure: Measure


def registry() -> dict[str, Entry]:
    """Every measure by name, in alphabetical order."""
    from . import measures

    found = {}
    for info in sorted(pkgutil.iter_modules(measures.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{measures.__name__}.{info.name}")
        about = (module.__doc__ or "").strip().splitlines()[0]
        found[info.name] = Entry(info.name, about, module.measure)
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on; names no host and no user."""
    cpu, memory = platform.processor(), 0.0
    info, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if info.is_file():
        lines = info.read_text("utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    if meminfo.is_file():
        memory = int(meminfo.read_text("utf-8").split()[1]) / 2**20
    return {
        "system": platform.system(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "load": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
    }


def versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def commit() -> str:
    """The checkout's commit; "" outside git."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def as_result(entry: Entry, figures: list[Figure], missing: str = "") -> dict[str, Any]:
    """One measure's part of results.json."""
    return {
        "about": entry.about,
        "command": f"python -m benchmarks --only {entry.name}",
        "date": now(),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "left_out": missing,
        "figures": [{**asdict(figure), "result": figure.word} for figure in figures],
    }


def write_results(results: dict[str, Any], path: Path = RESULTS) -> None:
    """Lay `results` over those of earlier runs, by measure; the file is replaced whole or not at all."""
    kept: dict[str, Any] = {}
    if path.is_file():
        try:
            kept = json.loads(path.read_text("utf-8"))["measures"]
        except (ValueError, KeyError):
            kept = {}
    text = json.dumps({"measures": dict(sorted({**kept, **results}.items()))}, indent=1, ensure_ascii=False)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
