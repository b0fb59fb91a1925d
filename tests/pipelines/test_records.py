"""Scores on disk: rows that can be read again, files that are whole at every moment, pictures that carry their score."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines.errors import AigcError
from pipelines.score import choosing, records

from .test_choosing import made


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_both_files_grow_by_a_row_a_picture(tmp_path: Path):
    scores = made([1.5, float("nan")], probability=(0.25, 0.5), version="3", files=("a, b.png", '"c".png'))
    for _ in range(2):
        files = records.write(choosing.rows(scores), tmp_path / "s", "csv and jsonl")
    assert [file.name for file in files] == ["s.csv", "s.jsonl"]
    table = rows_of(tmp_path / "s.csv")
    assert len(table) == 4 and table[0] == table[2] and table[1]["score"] == "" and table[1]["file"] == '"c".png'
    assert (table[0]["file"], table[0]["judge"], table[0]["version"], table[0]["seed"]) == (
        "a, b.png",
        "test",
        "3",
        "0",
    )
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 4 and lines[1]["score"] is None and lines[0]["prompt"] == "p0" and lines[0]["score"] == 1.5
    assert records.write([], tmp_path / "none", "csv") and (tmp_path / "none.csv").read_text("utf-8").count("\n") == 1
    assert records.write([], tmp_path / "other", "none") == []


@pytest.mark.parametrize("fails", ("fsync", "replace"))
def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch, fails):
    path = tmp_path / "s.csv"
    records.append_csv(path, choosing.rows(made([1.0])))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="no space"):
        records.append_csv(path, choosing.rows(made([2.0])))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_line_that_another_program_left_open_is_ended_first(tmp_path: Path):
    path = tmp_path / "s.jsonl"
    path.write_text('{"a": 1}', "utf-8")
    records.append_jsonl(path, [{"a": 2}])
    assert [json.loads(line)["a"] for line in path.read_text("utf-8").splitlines()] == [1, 2]


def test_a_csv_of_something_else_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_text("mine,yours\n1,2\n", "utf-8")
    with pytest.raises(AigcError, match="with mine, yours: choose another file name"):
        records.append_csv(path, choosing.rows(made([1.0])))
    assert path.read_text("utf-8") == "mine,yours\n1,2\n"


def test_a_picture_carries_its_score_and_the_workflow(tmp_path: Path):
    image = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    scores = made([1.0, 2.0], prompts=("苹果", ""))
    rows = records.save_pictures(image, scores, tmp_path, ["a.png", "b.png"], {"workflow": '{"nodes": []}'})
    assert [row["file"] for row in rows] == ["a.png", "b.png"] and not list(tmp_path.glob(".*"))
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.info["workflow"] == '{"nodes": []}'
        assert json.loads(opened.info["aigc_scores"]) == rows[0] and rows[0]["prompt"] == "苹果"
        assert opened.getpixel((0, 0)) == tuple((255 * image[0, 0, 0]).byte().tolist())
    with pytest.raises(AigcError, match="Expected 2 pictures, one a score, got 1"):
        records.save_pictures(image[:1], scores, tmp_path, ["a.png"], {})
