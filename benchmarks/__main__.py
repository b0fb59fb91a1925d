"""python -m benchmarks [--list] [--only NAME ...]: run measures, print a line a figure, write results.json."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .figures import RESULTS, Absent, Entry, Figure, as_result, registry, write_results


def run(entries: Sequence[Entry], results_path: Path = RESULTS) -> int:
    """Run measures one after another; each one's results are written as soon as it ends. Returns the exit code."""
    failed = 0
    print(f"{'name':<46} {'value':>14}  {'bar':<10}")
    for entry in entries:
        figures: list[Figure] = []
        missing = ""
        try:
            for figure in entry.measure():
                figures.append(figure)
                print(figure.line(), flush=True)
        except Absent as error:
            missing = str(error)
            print(f"{entry.name:<46} {'left out':>14}  {missing}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            continue
        short = [figure for figure in figures if figure.word == "short"]
        failed += len(short)
        write_results({entry.name: as_result(entry, figures, missing)}, results_path)
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the measures and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="where to write (default: benchmarks/results.json)"
    )
    options: Any = parser.parse_args(arguments)
    entries = registry()
    if options.list:
        for entry in entries.values():
            print(f"{entry.name:<24} {entry.about}")
        return 0
    unknown = [name for name in options.only or [] if name not in entries]
    if unknown:
        parser.error(f"expected names of measures, got {', '.join(unknown)}: --list shows them")
    return run([entries[name] for name in options.only or entries], options.results)


if __name__ == "__main__":
    sys.exit(main())
