"""Datasets from folders, zips, videos and pictures on a wire; headers only, and little memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.data import collecting, reading
from pipelines.errors import AigcError
from training.pictogram import example_set

from .picture_files import film, folder, scene, write, zipped

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "data"


def names(dataset) -> list[str]:
    return [item.name for item in dataset.items]


def test_a_folder_gives_its_pictures_in_order_and_those_below_if_asked(tmp_path):
    for name in ("b.png", "a.jpg", "cats/c.png", ".hidden/d.png", "cats/._e.png"):
        write(tmp_path / name, scene(0))
    (tmp_path / "notes.txt").write_text("no picture")
    assert names(collecting.collect(["."], tmp_path)) == ["a.jpg", "b.png", "c.png"]
    assert names(collecting.collect([str(tmp_path)], Path("/"), below=False)) == ["a.jpg", "b.png"]
    assert names(collecting.collect(["*.png", "cats"], tmp_path)) == ["b.png", "c.png"]
    assert names(collecting.collect(["**/*.png"], tmp_path)) == ["b.png", "c.png"]
    assert [(i.width, i.height) for i in collecting.collect(["b.png"], tmp_path).items] == [(96, 64)]


def test_classes_are_the_names_of_folders_in_zips_as_well(tmp_path):
    for name in ("dogs/1.png", "cats/2.png", "3.png"):
        write(tmp_path / "set" / name, scene(1))
    png = (tmp_path / "set/3.png").read_bytes()
    zipped(tmp_path / "set" / "more.zip", {"all/dogs/4.png": png, "all/birds/5.png": png, "__MACOSX/dogs/6.png": png})
    found = collecting.collect(["set"], tmp_path, labelled=True)
    assert found.labels == ("birds", "cats", "dogs")
    assert {item.name: item.label for item in found.items} == {
        "3.png": -1, "2.png": 1, "1.png": 2, "more.zip/all/birds/5.png": 0, "more.zip/all/dogs/4.png": 2}  # fmt: skip
    assert "classes: birds 1, cats 1, dogs 2" in collecting.told(found)
    assert {item.label for item in collecting.collect(["set"], tmp_path).items} == {-1}


def test_every_nth_frame_of_a_video_is_an_item(tmp_path):
    film(tmp_path / "a.mp4", 25)
    found = collecting.collect(["a.mp4"], tmp_path, every=10)
    assert [(item.frame, item.width, item.height) for item in found.items] == [(0, 64, 48), (10, 64, 48), (20, 64, 48)]
    greys = [reading.pixels(item)[30:].mean() for item in found.items]
    assert np.abs(np.array(greys) - [10, 50, 90]).max() < 4


def test_what_is_no_picture_is_left_out_by_name_and_a_place_that_is_not_there_is_an_error(tmp_path):
    folder(tmp_path, 1)
    for name in ("bad.png", "bad.zip", "bad.mp4"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    found = collecting.collect(["."], tmp_path)
    assert names(found) == ["000.png"] and len(found.rejected) == 3
    report = collecting.told(found)
    for name in ("bad.png", "bad.zip", "bad.mp4"):
        assert f"left out {name}" in report
    assert str(tmp_path) not in report
    with pytest.raises(AigcError, match=r"or one of pictograms, got .*nowhere, which is not there"):
        collecting.collect(["nowhere"], tmp_path, named={"pictograms": tmp_path})


def test_pictures_on_a_wire_are_written_once_under_the_name_of_their_content(tmp_path):
    image = torch.from_numpy(np.stack([scene(i) for i in range(3)])).float() / 255
    first = collecting.stored(image, tmp_path / "wire")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "wire").iterdir()}
    assert collecting.stored(image, tmp_path / "wire") == first and len(times) == 3
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "wire").iterdir()} == times
    assert all(np.array_equal(reading.pixels(item), scene(i)) for i, item in enumerate(first.items))
    assert collecting.stored(image[1:2], tmp_path / "wire").items[0] == first.items[1]


def test_two_sets_are_joined_by_the_names_of_their_classes(tmp_path):
    for name in ("x/cats/1.png", "x/dogs/2.png", "y/birds/3.png", "y/dogs/4.png"):
        write(tmp_path / name, scene(2))
    x, y = (collecting.collect([name], tmp_path, labelled=True) for name in "xy")
    both = collecting.joined(x, y)
    assert both.labels == ("cats", "dogs", "birds") and [item.label for item in both.items] == [0, 1, 2, 1]


def test_a_stamp_changes_with_a_picture_or_its_caption_and_only_then(tmp_path):
    def stamp() -> str:
        return collecting.stamp(["."], tmp_path, named={})

    folder(tmp_path, 2)
    stamps = [stamp(), stamp()]
    (tmp_path / "000.txt").write_text("a caption")
    stamps.append(stamp())
    os.utime(tmp_path / "001.png", (1, 1))
    stamps.append(stamp())
    assert stamps[0] == stamps[1] and len(set(stamps)) == 3
    assert collecting.stamp(["nowhere"], tmp_path, named={})


def test_stopping_while_collecting_acts_at_the_next_picture(tmp_path):
    folder(tmp_path, 5)
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collecting.collect(["."], tmp_path, on_item=stop)
    assert seen == [(0, 5), (1, 5), (2, 5)]


def test_memory_grows_by_less_than_two_kilobytes_a_picture(tmp_path):
    """The slope between 100 and 400 files of 1 MB of pixels each; 10,000 pictures are then under 20 MB."""
    picture = write(tmp_path / "one.png", np.zeros((512, 683, 3), np.uint8)).read_bytes()
    for i in range(400):
        place = tmp_path / ("few" if i < 100 else "many")
        place.mkdir(exist_ok=True)
        (place / f"{i:05}.png").write_bytes(picture)
    held = []
    for places in (["few"], ["few", "many"]):
        collecting.collect(places, tmp_path)
        tracemalloc.start()
        found = collecting.collect(places, tmp_path)
        held.append(tracemalloc.get_traced_memory())
        tracemalloc.stop()
    assert len(found.items) == 400
    for few, many in zip(*held):  # what stays, and the most that there was meanwhile
        assert (many - few) / 300 < 2000


def test_the_shipped_set_is_found_by_name_and_is_whole():
    named = collecting.shipped(SHIPPED)
    found = collecting.collect(["pictograms"], Path("/nowhere"), named=named)
    assert len(found.items) == 448 and not found.rejected
    assert {(item.width, item.height) for item in found.items} == {(64, 64)}
    assert (SHIPPED / "pictograms.zip").stat().st_size <= 2_000_000
    with zipfile.ZipFile(SHIPPED / "pictograms.zip") as archive:
        assert archive.testzip() is None
        assert b"Apache License" in archive.read("LICENSE.txt")
        assert b"Copyright Google LLC" in archive.read("NOTICE.txt")
        assert archive.read("pictograms/000_ox.txt") == b"ox\n"


def test_the_command_for_the_shipped_set_gives_the_same_bytes_twice(tmp_path):
    pictures = np.stack([scene(i, 128, 128) for i in range(3)])
    np.savez(tmp_path / "pictures.npz", pictures=pictures, concept=np.array([4, 4, 7]), colour=np.array([-1, 2, -1]))
    (tmp_path / "vocabulary.json").write_text('[{"id": 7, "name": "Ox"}, {"id": 4, "name": "a b, c"}]')
    digests = set()
    for name in ("1.zip", "2.zip"):
        example_set.write(tmp_path / name, example_set.members(tmp_path))
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    found = collecting.collect(["1.zip"], tmp_path)
    assert names(found) == ["1.zip/pictograms/000_ox.png", "1.zip/pictograms/001_a_b_c.png"]
    blocks = pictures[2].reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(reading.pixels(found.items[0]) - blocks).max() <= 0.5
