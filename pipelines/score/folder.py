"""Scoring a folder of pictures of any size: streamed, interruptible, and going on where it stopped."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Discriminator, Scores
from ..runtime import Runtime
from . import choosing, judges, pictures, records, scoring

COLUMNS = ("file", "judge", "version", "score", "raw", "unit", "probability", "percentile", "size", "changed", "stamp")
EVERY = 5.0  # seconds between writes of what was scored
OnPicture = Callable[[int, int], None]


@dataclass(frozen=True)
class Scored:
    """scores: of every readable file, in the order of their names; `scores.files` has them. skipped: (file, reason).

    kept: how many came from the table of an earlier run.
    """

    scores: Scores
    skipped: tuple[tuple[str, str], ...]
    kept: int


def stamp(discriminator: Discriminator, prompts: Sequence[str]) -> str:
    """Which judge it was: another version, file, calibration or prompt gives another stamp."""
    parts = [(stamp(part, ()), weight) for part, weight in discriminator.parts]
    said = (discriminator.spec, discriminator.kind, judges.stamps(discriminator), discriminator.calibration,
            discriminator.real, parts, discriminator.prior, list(prompts))  # fmt: skip
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def listing(files: Iterable[Path]) -> str:
    """What changes when a file is added, removed or changed."""
    said = "\n".join(f"{file}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
    return hashlib.sha256(said.encode()).hexdigest()


def _as_now(file: Path) -> tuple[str, str]:
    found = os.stat(file)
    return str(found.st_size), str(found.st_mtime_ns)


def score(
    discriminator: Discriminator,
    files: Sequence[Path],
    table: Path | None = None,
    *,
    prompts: Sequence[str] = (),
    on_picture: OnPicture | None = None,
    runtime: Runtime,
) -> Scored:
    """Score picture files and append a row each to the csv file `table`; what it holds already of this very judge is kept.

    One prompt serves all. Some pictures are in memory at a time. An interrupt leaves what was scored in the table. Raises
    AigcError for a judge of something else than pictures, or one that needs a reference.
    """
    spec = discriminator.spec
    if spec.modality != "image" or spec.needs_reference:
        wants = "a reference" if spec.needs_reference else scoring.WHAT[spec.modality]
        raise AigcError(
            f"Expected a judge of single pictures for a folder, got {spec.id}, which wants {wants}: choose another."
        )
    scoring.per_item(spec, prompts, 1)
    mark = stamp(discriminator, prompts)
    known = _known(table, mark) if table else {}
    found = {str(file): row for file in files if (row := known.get((str(file), *_as_now(file))))}
    kept, skipped, fresh = len(found), [], []
    written = time.monotonic()

    def write() -> None:
        nonlocal written
        if table and fresh:
            records.append_csv(table, fresh, COLUMNS)
        fresh.clear()
        written = time.monotonic()

    new = [file for file in files if str(file) not in found]
    try:
        for names, x in pictures.batches(new, 16, lambda file, why: skipped.append((str(file), why))):
            for row in _rows(discriminator, names, x, prompts, mark, runtime):
                found[row["file"]] = row
                fresh.append(row)
            if time.monotonic() - written > EVERY:
                write()
            if on_picture is not None:
                on_picture(len(found) + len(skipped), len(files))
    finally:
        write()
    ordered = [found[str(file)] for file in files if str(file) in found]
    return Scored(_scores(discriminator, ordered, prompts), tuple(skipped), kept)


def _known(table: Path, mark: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The rows of this judge by file, its size and its time; of several the newest."""
    rows = (row for row in records.read_csv(table, COLUMNS) if row["stamp"] == mark)
    found = {}
    for row in rows:
        try:
            value, raw = float(row["score"] or "nan"), float(row["raw"] or "nan")
        except ValueError:
            continue  # a row that someone edited is scored again
        found[row["file"], row["size"], row["changed"]] = {**row, "score": value, "raw": raw}
    return found


def _rows(
    discriminator: Discriminator,
    names: Sequence[Path],
    x: torch.Tensor,
    prompts: Sequence[str],
    mark: str,
    runtime: Runtime,
) -> list[dict[str, Any]]:
    times = [_as_now(file) for file in names]
    scores = scoring.score(discriminator, x.movedim(1, -1), prompts=prompts[:1], runtime=runtime)
    rows = choosing.rows(scores)
    for row, file, (size, changed) in zip(rows, names, times):
        row |= {"file": str(file), "size": size, "changed": changed, "stamp": mark}
    return rows


def _scores(discriminator: Discriminator, rows: Sequence[dict[str, Any]], prompts: Sequence[str]) -> Scores:
    values, raw = (torch.tensor([row[k] for row in rows], dtype=torch.float64) for k in ("score", "raw"))
    texts = [prompts[0] if prompts else ""] * len(rows)
    scores = scoring.summed_up(discriminator, values, raw, texts, [-1] * len(rows))
    return replace(scores, files=tuple(row["file"] for row in rows))


def best_pictures(scores: Scores, count: int) -> torch.Tensor:
    """The pictures of the best `count` files as one IMAGE, best first, letterboxed to the first one's size."""
    places, _ = choosing.best(scores, count)
    found = []
    for place in places:
        try:
            found.append(pictures.read(Path(scores.files[place])))
        except (OSError, ValueError):
            continue  # gone since it was scored
    return pictures.letterboxed(found)


def report(scored: Scored, most: int = 50) -> str:
    """The scores as text, best first, `most` of them; then what was left out, and why. Files by what their paths do not share."""
    files = [*scored.scores.files, *(file for file, _ in scored.skipped)]
    shared = os.path.commonpath([os.path.dirname(file) for file in files]) if files else ""
    short = tuple(os.path.relpath(file, shared) for file in scored.scores.files)
    lines = choosing.table(replace(scored.scores, files=short)).splitlines()
    more = [f"... and {len(lines) - 1 - most} more"] if len(lines) - 1 > most else []
    count = f"{len(scored.scores.values)} pictures, {scored.kept} of them scored before, {len(scored.skipped)} left out"
    left = [f"left out {os.path.relpath(file, shared)}: {why}" for file, why in scored.skipped]
    return "\n".join([count, *lines[: most + 1], *more, *left])
