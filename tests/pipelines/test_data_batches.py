"""Batches: functions of (dataset, seed, k); every picture equally often; ahead and from memory the same."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.data import batches, kept, reading
from pipelines.data.batches import View, batch, held_out, indices
from pipelines.errors import AigcError
from pipelines.payloads import Dataset, Item

from .picture_files import dataset, film, folder, scene, write


def mixed(tmp_path, wide: int = 9, tall: int = 3) -> Dataset:
    """Items in two buckets."""
    one, other = dataset(tmp_path / "wide", wide), dataset(tmp_path / "tall", tall, 64, 96)
    items = [replace(item, bucket=(24, 16)) for item in one.items] + [replace(i, bucket=(16, 24)) for i in other.items]
    return Dataset(tuple(items))


def same(a: batches.Batch, b: batches.Batch) -> bool:
    return torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels) and a[1::2] == b[1::2]


def test_a_batch_is_its_items_pictures_captions_and_labels(tmp_path):
    found = batch(data := dataset(tmp_path, 6), 3, 1, 4)
    assert found.pixels.shape == (4, 3, 64, 96) and found.pixels.dtype == torch.float32
    for x, caption, label, item in zip(*found):
        rgb = reading.fitted(item, 96, 64)
        assert np.array_equal(((x + 1) * 127.5).round().byte().permute(1, 2, 0).numpy(), rgb)
        assert caption == item.caption == f"picture {label}" and data.items[label] == item


def test_batch_k_does_not_depend_on_what_was_asked_before(tmp_path):
    data = mixed(tmp_path)
    forwards = [batch(data, 5, k, 2) for k in range(12)]
    kept.kept.clear()
    assert all(same(batch(data, 5, k, 2), forwards[k]) for k in (11, 0, 7, 3))
    fresh = Dataset(tuple(data.items))
    assert same(batch(fresh, 5, 9, 2), forwards[9])
    assert not all(same(batch(data, 6, k, 2), forwards[k]) for k in range(4))


def order() -> list[tuple[int, ...]]:
    items = tuple(Item(str_path(i), 8, 8) for i in range(50))
    return [indices(Dataset(items), 11, k, 8) for k in range(20)]


def str_path(number: int) -> Path:
    return Path(f"{number}.png")


def test_the_order_is_the_one_that_saved_runs_have():
    """Frozen: with another order a resumed training would not equal an uninterrupted one."""
    assert order()[::19] == [(47, 3, 40, 6, 32, 0, 29, 7), (42, 30, 0, 12, 6, 35, 15, 1)]


@pytest.mark.parametrize("size", (1, 2, 4, 5, 30))
def test_every_picture_comes_equally_often_and_each_batch_has_one_bucket(tmp_path, size):
    shapes = [(24, 16)] * 9 + [(16, 24)] * 3 + [(20, 20)]
    data = Dataset(tuple(Item(str_path(i), 96, 64, bucket=shape) for i, shape in enumerate(shapes)))
    rounds = 60
    count = rounds * 13 // size
    drawn = [indices(data, 1, k, size) for k in range(count)]
    assert all(len({shapes[i] for i in places}) == 1 and len(places) == size for places in drawn)
    seen = Counter(i for places in drawn for i in places)
    # Exactly in proportion, but for the batch of each bucket that is under way.
    for shape, own in Counter(shapes).items():
        visits = sum(seen[i] for i in range(13) if shapes[i] == shape)
        assert abs(visits - count * size * own / 13) <= 2 * size
        among = [seen[i] for i in range(13) if shapes[i] == shape]
        assert max(among) - min(among) <= 1
    turns = [shapes[places[0]] for places in drawn[: 4 * 13 // size]]
    assert size > 5 or len(set(turns)) > 1, "buckets take turns"


def test_within_an_epoch_no_picture_comes_twice():
    data = Dataset(tuple(Item(str_path(i), 8, 8) for i in range(20)))
    epochs = [[i for k in range(4 * e, 4 * e + 4) for i in indices(data, 2, k, 5)] for e in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != list(range(20))
    assert batches.epoch_of(data, 8, 5) == 2


def test_mirrored_copies_are_half_and_drawn_by_the_seed(tmp_path):
    data = dataset(tmp_path, 4)
    coins = []
    for k in range(40):
        plain, found = batch(data, 0, k, 4), batch(data, 0, k, 4, View(mirror=True))
        assert same(found, batch(data, 0, k, 4, View(mirror=True))) and plain.items == found.items
        for a, b in zip(plain.pixels, found.pixels):
            assert torch.equal(a, b) or torch.equal(a.flip(-1), b)
            coins.append(torch.equal(a, b))
    assert 60 < sum(coins) < 100


def test_random_crops_differ_by_visit_and_repeat_by_seed(tmp_path):
    data, view = dataset(tmp_path, 1), View(size=(32, 32), crop="random")
    found = [batch(data, 0, k, 1, view).pixels for k in range(8)]
    assert all(torch.equal(x, batch(data, 0, k, 1, view).pixels) for k, x in enumerate(found))
    assert len({x.numpy().tobytes() for x in found}) > 4


def test_batches_can_be_trained_on_even_when_made_in_inference_mode(tmp_path):
    data = dataset(tmp_path, 2)
    with torch.inference_mode():
        found = batch(data, 0, 0, 2)
    assert not found.pixels.is_inference() and not found.labels.is_inference()
    weight = torch.ones(1, requires_grad=True)
    (found.pixels * weight).sum().backward()


def test_sizes_that_differ_need_a_bucket_or_a_size(tmp_path):
    data = mixed(tmp_path, 2, 2)
    bare = Dataset(tuple(replace(item, bucket=None) for item in data.items))
    with pytest.raises(AigcError, match="got 2 sizes: put Bucket Images"):
        batch(bare, 0, 0, 2)
    assert batch(bare, 0, 0, 4, View(size=(8, 12))).pixels.shape == (4, 3, 12, 8)
    with pytest.raises(AigcError, match="got none"):
        batch(Dataset(()), 0, 0, 2)
    data.items[0].path.unlink()
    with pytest.raises(AigcError, match="Put the file back"):
        [batch(data, 0, k, 1) for k in range(4)]


def test_ahead_gives_the_same_and_its_thread_ends_with_it(tmp_path):
    data = mixed(tmp_path)
    before = threading.active_count()
    reader = batches.ahead(data, 4, 3, 2, View(mirror=True), depth=3)
    for k in range(3, 9):
        assert same(next(reader), batch(data, 4, k, 2, View(mirror=True)))
    assert threading.active_count() == before + 1
    reader.close()
    assert threading.active_count() == before
    gone = dataset(tmp_path / "gone", 1)
    gone.items[0].path.unlink()
    with pytest.raises(AigcError, match="Put the file back"):
        next(batches.ahead(gone, 0, 0, 1))
    assert threading.active_count() == before


def test_ahead_never_makes_more_than_its_depth(tmp_path, monkeypatch):
    made, full = [], threading.Event()

    def counted(*given):
        made.append(given[2])
        if len(made) == 3:
            full.set()
        return given[2]

    monkeypatch.setattr(batches, "batch", counted)
    reader = batches.ahead(dataset(tmp_path, 1), 0, 0, 1, depth=1)
    assert next(reader) == 0 and full.wait(5)
    threading.Event().wait(0.3)
    assert made == [0, 1, 2], "one taken, one ready, one waiting to be"
    reader.close()


def test_memory_for_decoded_pictures_is_bounded_and_saves_decoding(tmp_path, monkeypatch):
    data = dataset(tmp_path, 6)
    decoded = []
    pixels = reading.pixels
    monkeypatch.setattr(reading, "pixels", lambda item: decoded.append(item) or pixels(item))
    small = kept.Kept(3 * 16 * 24 * 3)
    for _ in range(2):
        for item in data.items[:3]:
            assert np.array_equal(small(item, 24, 16, "centre"), reading.cut(pixels(item), 24, 16, "centre"))
    assert len(decoded) == 3
    for item in data.items:
        small(item, 24, 16, "centre")
    assert small.bytes == small.most and len(decoded) == 6
    bases = {id(place.base) for held in small._held.values() for place in held.values()}
    assert len(bases) == 1, "side by side: one by one they leave holes between the tensors of batches"
    write(data.items[5].path, scene(99))
    assert np.array_equal(small(data.items[5], 24, 16, "centre"), reading.cut(scene(99), 24, 16, "centre"))


def test_held_out_parts_share_no_twin_and_no_video(tmp_path):
    folder(tmp_path / "set", 12)
    for i in range(4):  # twins of the first four: brighter, and saved anew
        write(tmp_path / "set" / f"{i:03}b.jpg", np.minimum(scene(i).astype(int) + 4, 255).astype(np.uint8))
    film(tmp_path / "set" / "film.mp4", 30)
    from pipelines.data import collecting

    data = collecting.collect(["set"], tmp_path, every=10)
    assert len(data.items) == 19
    for seed in range(6):
        train, held = held_out(data, 0.3, seed)
        assert (train, held) == held_out(data, 0.3, seed)
        assert sorted(i.name for i in (*train.items, *held.items)) == sorted(i.name for i in data.items)
        assert 4 <= len(held.items) <= 6
        sides = {item.name: side for side, part in enumerate((train, held)) for item in part.items}
        assert all(sides[f"{i:03}.png"] == sides[f"{i:03}b.jpg"] for i in range(4))
        assert len({sides[f"film.mp4/frame {n}"] for n in (0, 10, 20)}) == 1
    assert held_out(data, 0.3, 0)[1] != held_out(data, 0.3, 1)[1]
    assert held_out(data, 0.0, 0)[1].items == ()
    with pytest.raises(AigcError, match="all alike"):
        held_out(Dataset(data.items[:1] * 3), 0.5, 0)
