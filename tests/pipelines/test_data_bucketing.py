"""Buckets: sizes that keep to their limits, and the right one for each picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data import bucketing, sheets
from pipelines.data.bucketing import bucketed, buckets
from pipelines.errors import AigcError
from pipelines.payloads import Dataset, Item

from .picture_files import dataset


@pytest.mark.parametrize(("size", "step", "ratio"), ((512, 64, 2.0), (1024, 64, 4.0), (64, 8, 1.5), (64, 64, 1.0)))
def test_buckets_keep_to_step_area_and_ratio_and_have_the_square(size, step, ratio):
    found = buckets(size, step, ratio)
    assert (size, size) in found and len(set(found)) == len(found)
    for width, height in found:
        assert width % step == 0 and height % step == 0 and width * height <= size * size
        assert max(width, height) <= min(width, height) * ratio
        assert (height, width) in found
        assert max(width, height) + step > size * size / min(width, height), "no taller one fits"
    assert len(buckets(size, step, 1.0)) == 1


def item(width: int, height: int, name: str = "a.png") -> Item:
    return Item(Path(name), width, height)


def test_each_picture_gets_the_nearest_shape_that_it_fills():
    sizes = {(2000, 2000): (512, 512), (1200, 800): (640, 384), (800, 1200): (384, 640), (4000, 1000): (768, 320)}
    data = Dataset(tuple(item(*size) for size in sizes))
    assert [found.bucket for found in bucketed(data, 512, 64, 2.5).items] == list(sizes.values())
    assert bucketed(data, 512, 64, 1.0).items[3].bucket == (512, 512)


def test_no_picture_is_enlarged_beyond_the_limit_and_too_small_ones_are_left_out_with_the_number():
    data = Dataset((item(512, 512), item(400, 400, "small.png"), item(400, 700)))
    once = bucketed(data, 512, 64, 2.0, 1.0)
    assert [found.bucket for found in once.items] == [(512, 512), (384, 640)]
    assert [out.reason for out in once.rejected] == ["too small: 400 x 400 would be enlarged 1.28 times, at most 1"]
    assert "left out small.png" in bucketing.report(data, once)
    more = bucketed(data, 512, 64, 2.0, 1.3)
    assert [found.bucket for found in more.items] == [(512, 512), (512, 512), (384, 640)]
    for found in more.items:
        assert bucketing.enlarged(found, found.bucket) <= 1.3


def test_the_report_counts_each_bucket_and_says_what_is_cut_off():
    data = Dataset((item(1200, 720), item(1000, 600), item(600, 800)))
    found = bucketed(data, 512, 64, 2.0)
    assert bucketing.counts(found) == {(448, 576): 1, (640, 384): 2}
    lines = bucketing.report(data, found).splitlines()
    assert lines[0] == "3 pictures in 2 buckets"
    assert lines[2] == "640 x 384: 2, cut off 0.0% on average, 0.0% at most"
    assert lines[1].startswith("448 x 576: 1, cut off 3.6%")


def test_a_size_without_room_for_a_step_is_refused_with_one_that_fits():
    with pytest.raises(AigcError, match="got size 500, step 64 and ratio 2: take 448"):
        buckets(500, 64)
    with pytest.raises(AigcError, match="ratio of 1 or more"):
        buckets(512, 64, 0.5)


def test_the_sheet_has_a_row_a_bucket(tmp_path):
    wide, tall = dataset(tmp_path / "w", 9, 96, 64), dataset(tmp_path / "t", 2, 64, 96)
    data = bucketed(Dataset((*wide.items, *tall.items)), 64, 16, 2.0)
    assert len(bucketing.counts(data)) == 2
    both, one = sheets.by_bucket(data), sheets.by_bucket(bucketed(tall, 64, 16, 2.0))
    assert both.shape[1] - 8 == 2 * (one.shape[1] - 8)
    assert sheets.by_bucket(Dataset(())).shape[0] == 1
