"""python -m benchmarks.coverage [--only NAME ...] [--resume]: measure the classes, write the table, its page and proved.json."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import classes, forks, render

JOURNAL = Path("runs") / "coverage.jsonl"
KEPT = ("name", "verdict", "difference", "note")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="measure these classes; other rows stay as they are")
    parser.add_argument("--resume", action="store_true", help=f"keep what {JOURNAL} already holds")
    parser.add_argument("--journal", type=Path, default=JOURNAL, help="where rows are kept as they are made")
    chosen = parser.parse_args(arguments)
    forks.prepare()
    names = [*classes.live(), *classes.modular_only()]
    known = {r["name"]: r for r in _before()} if chosen.only else {}
    if chosen.resume:
        known.update(forks.done(chosen.journal))
    elif not chosen.only:
        chosen.journal.unlink(missing_ok=True)
    known.update({n: {"name": n, "verdict": "apart", "note": why} for n, why in classes.APART.items()})
    for name in chosen.only or [n for n in names if n not in known]:
        known[name] = _measured(name, chosen.journal)
    write([known.get(n, {"name": n, "verdict": "not measured"}) for n in names])
    return 0


def _before() -> list[dict[str, Any]]:
    return json.loads(render.RESULTS.read_text("utf-8"))["rows"] if render.RESULTS.is_file() else []


def _measured(name: str, journal: Path) -> dict[str, Any]:
    row = forks.row(name)
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{name:<52} {row['verdict']:<12} {row.get('difference', '')!s:<12.12} {row.get('note', '')}", flush=True)
    return row


def write(rows: Sequence[dict[str, Any]]) -> None:
    """Write the three files from the rows."""
    import diffusers

    kept = [{k: row[k] for k in KEPT if k in row} for row in rows]
    results = {"diffusers": diffusers.__version__, "rows": kept}
    render.RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    render.PAGE.write_text(render.page(results), "utf-8")
    render.PROVED.write_text(json.dumps(render.proved(results), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
