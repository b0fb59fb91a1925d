"""A folder of pictures: the same scores as in memory, resumed where it stopped, nothing touched."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.score import folder, pictures, records, scoring

from .test_calibrating import formula

CPU = Runtime("cpu")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Six pictures of two sizes, a file that is broken, and one that is no picture."""
    made = tmp_path / "pictures"
    (made / "more").mkdir(parents=True)
    dice = np.random.default_rng(0)
    for i, side in enumerate((16, 16, 24, 16, 16, 16)):
        name = made / ("more" if i == 5 else "") / f"{i}.png"
        Image.fromarray(dice.integers(0, 255, (side, 16, 3), dtype=np.uint8)).save(name)
    (made / "broken.jpg").write_bytes(b"\xff\xd8 not much of a picture")
    (made / "words.txt").write_text("words")
    return made


def listed(place: Path, **more) -> list[Path]:
    return pictures.listed(str(place), place, **more)


def test_files_score_as_they_do_in_memory_and_what_cannot_be_read_is_said(place, tmp_path):
    table = tmp_path / "t.csv"
    found = folder.score(formula("sharpness"), listed(place, below=True), table, runtime=CPU)
    assert [Path(f).name for f in found.scores.files] == ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png"]
    for file, value in zip(found.scores.files, found.scores.values):
        image = pictures.read(Path(file)).movedim(0, -1)[None]
        assert scoring.score(formula("sharpness"), image, runtime=CPU).values[0] == pytest.approx(value, abs=1e-5)
    assert [Path(f).name for f, _ in found.skipped] == ["broken.jpg"] and "broken.jpg" in folder.report(found)
    assert folder.report(found).startswith("6 pictures, 0 of them scored before, 1 left out")
    assert len(list(records.read_csv(table, folder.COLUMNS))) == 6 and len(listed(place)) == 6


def test_a_second_run_scores_only_what_is_new_or_changed(place, tmp_path, monkeypatch):
    table, judged = tmp_path / "t.csv", []
    plain = scoring.score
    monkeypatch.setattr(scoring, "score", lambda d, x, **more: judged.append(len(x)) or plain(d, x, **more))
    first = folder.score(formula("sharpness"), listed(place), table, runtime=CPU)
    assert sum(judged) == 5 and first.kept == 0
    again = folder.score(formula("sharpness"), listed(place), table, runtime=CPU)
    assert sum(judged) == 5 and again.kept == 5 and again.scores == first.scores
    Image.new("RGB", (16, 16), "red").save(place / "1.png")
    Image.new("RGB", (16, 16), "blue").save(place / "9.png")
    third = folder.score(formula("sharpness"), listed(place), table, runtime=CPU)
    assert sum(judged) == 7 and third.kept == 4 and third.scores.values[1] != first.scores.values[1]
    calibrated = replace(formula("sharpness"), calibration=(1.0, 0.0))
    other = folder.score(calibrated, listed(place), table, runtime=CPU)
    assert sum(judged) == 13 and other.scores.probability is not None


class Stopped(Exception):
    pass


def test_an_interrupt_keeps_what_was_scored_and_the_next_run_goes_on(place, tmp_path):
    class Impatient(Runtime):
        checks = 0

        def check_interrupt(self) -> None:
            self.checks += 1
            if self.checks > 2:
                raise Stopped

    table = tmp_path / "t.csv"
    with pytest.raises(Stopped):
        folder.score(formula("exposure"), listed(place), table, runtime=Impatient("cpu"))
    assert len(list(records.read_csv(table, folder.COLUMNS))) == 3  # two of one size, one of another
    whole = folder.score(formula("exposure"), listed(place), table, runtime=CPU)
    assert whole.kept == 3 and whole.scores == folder.score(formula("exposure"), listed(place), runtime=CPU).scores


def test_nothing_in_the_folder_is_touched(place, tmp_path):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in place.rglob("*") if path.is_file()}
    folder.score(formula("sharpness"), listed(place, below=True), tmp_path / "t.csv", runtime=CPU)
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in place.rglob("*") if p.is_file()}


def test_an_empty_folder_has_no_scores_and_no_pictures(tmp_path):
    found = folder.score(formula("sharpness"), listed(tmp_path), tmp_path / "t.csv", runtime=CPU)
    assert found.scores.values == () and folder.best_pictures(found.scores, 4).shape[0] == 0
    assert folder.report(found).startswith("0 pictures")


def test_the_best_come_first_in_the_first_ones_size(place, tmp_path):
    found = folder.score(formula("sharpness"), listed(place), runtime=CPU)
    best = folder.best_pictures(found.scores, 3)
    first = pictures.read(Path(found.scores.files[int(np.argmax(found.scores.values))]))
    assert best.shape[0] == 3 and torch.equal(best[0], first.movedim(0, -1))
    os.remove(found.scores.files[0])
    assert len(folder.best_pictures(found.scores, 9)) == 4


def test_a_judge_of_something_else_or_of_pairs_is_refused(place):
    latent = replace(formula("sharpness"), spec=replace(formula("sharpness").spec, modality="latent"))
    pairs = replace(formula("sharpness"), spec=replace(formula("sharpness").spec, needs_reference=True))
    for judge, wants in ((latent, "latents"), (pairs, "a reference")):
        with pytest.raises(AigcError, match=f"which wants {wants}"):
            folder.score(judge, listed(place), runtime=CPU)


def test_a_changed_file_changes_the_listing(place):
    before = folder.listing(listed(place))
    assert before == folder.listing(listed(place))
    Image.new("RGB", (16, 16), "red").save(place / "1.png")
    assert before != folder.listing(listed(place))
