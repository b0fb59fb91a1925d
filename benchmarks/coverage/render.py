"""`coverage.json` as the page docs/COVERAGE.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import classes

FOLDER = Path(__file__).resolve().parents[1]
RESULTS, PAGE = FOLDER / "coverage.json", FOLDER.parent / "docs" / "COVERAGE.md"
PROVED = FOLDER.parent / "pipelines" / "stages" / "selftest" / "proved.json"
VERDICTS = ("within", "not", "not called", "not built", "apart", "refused", "not measured", "exact")
ORDER = {verdict: place for place, verdict in enumerate(VERDICTS)}
MEANING = {
    "exact": "encode, sample and decode give bit for bit what diffusers' own call gives",
    "within": "they differ by at most what the row says",
    "not": "staged it fails, or gives another shape",
    "not called": "the miniature did not go through diffusers' own call, so there is nothing to compare with",
    "not built": "no miniature could be made offline",
    "apart": "makes no picture, video or sound, needs what another run left, or fails in diffusers itself",
    "refused": "opening such a model says why it cannot be split into stages",
    "not measured": "the class is newer than the last run of the command",
}


def page(results: Mapping[str, Any]) -> str:
    """The page as Markdown. `results`: what RESULTS holds."""
    rows = sorted(results["rows"], key=lambda r: (ORDER[r["verdict"]], r["name"]))
    classic, modular = ([r for r in rows if classes.is_modular(r["name"]) == wanted] for wanted in (False, True))
    lines = [
        "# Coverage",
        "",
        f"Every pipeline class of diffusers {results['diffusers']} that takes a prompt and is not deprecated ({len(classic)}),",
        "as a miniature with random weights, in float32 on the CPU: diffusers' own call against our stages, same seed.",
        "Made by `python -m benchmarks.coverage`; pictures are 64 px, 2 steps.",
        *_table(classic),
        "",
        "## Families that exist only as blocks",
        "",
        f"Every class of Modular Diffusers whose family has no classic pipeline ({len(modular)}): the whole ModularPipeline",
        "against our stages, without and, where it takes one, with a picture.",
        *_table(modular),
    ]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = Counter(r["verdict"] for r in rows)
    called = sum(counts[v] for v in ("exact", "within", "not"))
    return [
        "",
        f"**{counts['exact']} of the {called} that could be called are exact.**",
        "",
        "| verdict | classes | meaning |",
        "|---|---:|---|",
        *(f"| {v} | {counts[v]} | {MEANING[v]} |" for v in MEANING if counts[v]),
        "",
        "| class | verdict | largest difference | note |",
        "|---|---|---:|---|",
        *(_line(r) for r in rows),
    ]


def proved(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the self-test need not run again: the exact classes, and the diffusers they were measured with."""
    exact = [row["name"] for row in results["rows"] if row["verdict"] == "exact"]
    return {"diffusers": results["diffusers"], "exact": exact}


def _line(row: Mapping[str, Any]) -> str:
    difference = row.get("difference")
    shown = "" if difference is None else f"{difference:.2g}"
    note = row.get("note", "").replace("|", "\\|").replace("<", "&lt;")
    return f"| {row['name']} | {row['verdict']} | {shown} | {note} |"
