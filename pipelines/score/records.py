"""Scores on disk: rows of a csv or jsonl file, and in the text of PNG files. A file is replaced whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Scores
from . import choosing

COLUMNS = (
    "file", "judge", "version", "index", "score", "raw", "unit", "probability", "percentile", "seed", "prompt",
)  # fmt: skip
KEY = "aigc_scores"  # of the PNG text
FORMATS = ("csv", "jsonl", "csv and jsonl", "none")
_lock = threading.Lock()

Row = Mapping[str, Any]


def finite(row: Row) -> dict[str, Any]:
    """The row without what JSON has no number for: NaN and infinity become None."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def csv_text(rows: Iterable[Row], columns: Sequence[str], *, head: bool) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore", lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in finite(row).items()} for row in rows)
    return out.getvalue()


def append_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> None:
    """Add rows to a csv file, which is made with its head when it is not there.

    Raises AigcError when it has another head.
    """
    with _lock:
        if path.is_file() and path.stat().st_size:
            if (found := head_of(path)) != list(columns):
                raise AigcError(
                    f"Expected a csv file with the columns {', '.join(columns)}, got {path.name} with {', '.join(found)}: choose "
                    "another file name."
                )
            _append(path, csv_text(rows, columns, head=False))
        else:
            _append(path, csv_text(rows, columns, head=True))


def head_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def append_jsonl(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a file of one JSON object a line."""
    with _lock:
        _append(path, "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in rows))


def _append(path: Path, text: str) -> None:
    """The old content and the new, written beside and moved over: whoever reads or stops meanwhile has the old file."""
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            if path.is_file():
                _copy(path, file)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _copy(path: Path, file: Any) -> None:
    """The file's bytes, and the end of its last line where another program left it out."""
    last = b"\n"
    with path.open("rb") as old:
        while block := old.read(1 << 20):
            file.write(block)
            last = block[-1:]
    if last != b"\n":
        file.write(b"\n")


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """The rows of a csv file; none when it is not there. Raises AigcError when it has another head."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or ()) != list(columns):
            raise AigcError(
                f"Expected a csv file of Score Folder, got {path.name}, which has other columns: choose another file name."
            )
        yield from (row for row in reader if None not in row.values())


def save_pictures(
    image: torch.Tensor, scores: Scores, folder: Path, names: Sequence[str], texts: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Write an IMAGE [B, H, W, C] as PNG files with their score in the text; returns the rows with the file's name.

    names: of the files, one a picture. texts: what else goes into the text of each, such as the workflow.
    """
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    rows = checked(scores, image)
    for row, picture, name in zip(rows, image, names):
        row["file"] = name
        info = PngInfo()
        for key, value in {**texts, KEY: json.dumps(finite(row), ensure_ascii=False)}.items():
            info.add_text(key, value)
        pixels = np.clip(255 * picture.cpu().numpy(), 0, 255).astype(np.uint8)
        part = folder / f".{name}.part"
        try:
            Image.fromarray(pixels).save(part, format="PNG", pnginfo=info, compress_level=4)
            part.replace(folder / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return rows


def checked(scores: Scores, image: torch.Tensor) -> list[dict[str, Any]]:
    """One row a picture. Raises AigcError when the numbers differ."""
    if len(image) != len(scores.values):
        raise AigcError(
            f"Expected {len(scores.values)} pictures, one a score, got {len(image)}: connect what was scored."
        )
    return choosing.rows(scores)


def write(rows: Sequence[Row], stem: Path, formats: str) -> list[Path]:
    """Append rows to stem.csv, stem.jsonl or both; returns the files."""
    files = [stem.with_name(f"{stem.name}.{ending}") for ending in ("csv", "jsonl") if ending in formats.split()]
    for file in files:
        if file.suffix == ".csv":
            append_csv(file, rows)
        else:
            append_jsonl(file, rows)
    return files
