"""The runner of the benchmarks: its registry, its lines, and a results file that is whole or untouched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main, run
from benchmarks.figures import Absent, Entry, Figure, registry, write_results


def good():
    yield Figure("a ratio", 0.5, bar=1.0, detail="of two things")
    yield Figure("a count", 3, bar=2, at_least=True)
    yield Figure("only reported", 7, "s")


def short():
    yield Figure("too much", 2.0, bar=1.0)


def absent():
    raise Absent("no weights here")
    yield


def broken():
    raise ValueError("no")
    yield


def test_every_measure_has_a_name_and_says_what_it_measures() -> None:
    found = registry()
    assert len(found) >= 8
    for name, entry in found.items():
        assert entry.name == name and callable(entry.measure)
        assert len(entry.about) > 20 and entry.about.endswith(".")


def test_the_list_runs_nothing_and_imports_nothing_heavy(repo_root: Path) -> None:
    code = "import sys, benchmarks.__main__ as b; b.main(['--list']); assert 'diffusers' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(registry())


def test_a_figure_within_its_bar_is_ok_and_beyond_it_short() -> None:
    assert [figure.word for figure in good()] == ["ok", "ok", ""]
    assert [figure.word for figure in short()] == ["short"]
    assert "<= 1" in next(good()).line() and next(good()).line().endswith("ok     of two things")


def test_results_are_written_by_measure_and_keep_those_of_earlier_runs(tmp_path: Path, capsys) -> None:
    path = tmp_path / "results.json"
    assert run([Entry("first", "One.", good), Entry("third", "Three.", absent)], path) == 0
    assert run([Entry("second", "Two.", short)], path) == 1
    measures = json.loads(path.read_text("utf-8"))["measures"]
    assert list(measures) == ["first", "second", "third"]
    assert measures["first"]["command"] == "python -m benchmarks --only first"
    assert [figure["result"] for figure in measures["first"]["figures"]] == ["ok", "ok", ""]
    assert measures["first"]["versions"]["torch"] and measures["first"]["machine"]["cores"]
    assert measures["third"]["left_out"] == "no weights here"
    assert list(tmp_path.iterdir()) == [path]
    assert "short" in capsys.readouterr().out


def test_a_measure_that_raises_fails_the_run_and_leaves_the_results_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    run([Entry("first", "One.", good)], path)
    before = path.read_text("utf-8")
    assert run([Entry("first", "One.", broken)], path) == 1
    assert path.read_text("utf-8") == before


def test_results_that_cannot_be_written_leave_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results({"first": {"figures": []}}, path)
    before = path.read_text("utf-8")
    with pytest.raises(TypeError):
        write_results({"second": {"figures": [object()]}}, path)
    assert path.read_text("utf-8") == before and list(tmp_path.iterdir()) == [path]


def test_an_unknown_name_is_refused_before_anything_runs() -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nothing_of_this_name"])
