"""Cleaning: what is left out, with its number; near-duplicates as a comparison of all pairs has them, but fast."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipelines.data import cleaning, collecting, looks, near, sheets
from pipelines.data.cleaning import Limits, clean
from pipelines.errors import AigcError
from pipelines.payloads import Dataset, Discriminator, JudgeSpec
from pipelines.runtime import Runtime
from pipelines.score import judges, scoring
from pipelines.sources import Roots

from .picture_files import dataset, folder, scene, write

OFF = Limits(bits=-1)
MODELS = Path(__file__).resolve().parents[2] / "models"


def cleaned(data: Dataset, limits: Limits, **more) -> Dataset:
    return clean(data, limits, runtime=Runtime("cpu"), **more)


def reasons(data: Dataset) -> dict[str, str]:
    return {out.item.name: out.reason for out in data.rejected}


def test_with_every_limit_off_all_that_can_be_read_stays(tmp_path):
    data = dataset(tmp_path, 4)
    (tmp_path / "002.png").write_bytes((tmp_path / "002.png").read_bytes()[:300])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    found = cleaned(data, OFF)
    assert found.items == (*data.items[:2], data.items[3]) and found.labels == data.labels
    assert list(reasons(found)) == ["002.png"] and "cannot be read" in reasons(found)["002.png"]
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before, "no file is touched"


@pytest.mark.parametrize(
    ("name", "limits", "says"),
    (
        ("small", Limits(side=48, bits=-1), "too small: shorter side 40 px, at least 48"),
        ("long", Limits(aspect=3.0, bits=-1), "too long: sides 1 to 4.00, at most 3"),
        ("blurred", Limits(sharpness=20.0, bits=-1), "blurred: sharpness "),
        ("dark", Limits(clipped=0.9, bits=-1), "too dark: 95.1% of it is black, at most 90%"),
        ("bright", Limits(clipped=0.9, bits=-1), "too bright: 95.1% of it is white, at most 90%"),
        ("flat", Limits(spread=2.0, bits=-1), "flat: brightness spreads by 0.00, at least 2"),
    ),
)
def test_each_limit_leaves_out_what_breaks_it_and_nothing_else(tmp_path, name, limits, says):
    faulty = {
        "small": scene(1, 60, 40),
        "long": scene(2, 256, 64),
        "blurred": cv2.GaussianBlur(scene(3, 256, 256), (0, 0), 12),
        "dark": _mostly(0),
        "bright": _mostly(255),
        "flat": np.full((64, 96, 3), 90, np.uint8),
    }
    for key, rgb in faulty.items():
        write(tmp_path / f"{key}.png", rgb)
    folder(tmp_path, 3)
    found = reasons(cleaned(collecting.collect(["."], tmp_path), limits))
    assert found[f"{name}.png"].startswith(says)
    also = {"dark": "bright", "bright": "dark", "blurred": "flat"}  # one limit for both ends; flat ones have no edges
    assert set(found) <= {f"{name}.png", f"{also.get(name)}.png"}


def _mostly(grey: int) -> np.ndarray:
    rgb = np.full((64, 96, 3), grey, np.uint8)
    rgb[:20, :15] = scene(4)[:20, :15].clip(10, 240)
    return rgb


def test_sharpness_falls_with_blur_and_is_the_same_at_twice_the_size():
    rgb = scene(5, 256, 256)
    values = [looks.sharpness(cv2.GaussianBlur(rgb, (0, 0), s)) if s else looks.sharpness(rgb) for s in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True) and values[0] > 4 * values[2]
    large = cv2.resize(rgb, (512, 512), interpolation=cv2.INTER_NEAREST)
    assert looks.sharpness(large) == pytest.approx(values[0])
    assert looks.sharpness(np.full((64, 64, 3), 9, np.uint8)) == 0


def variants(rgb: np.ndarray) -> dict[str, np.ndarray]:
    quality = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return {
        "half": cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        "jpeg": cv2.imdecode(quality, cv2.IMREAD_COLOR),
        "brighter": np.clip(rgb.astype(int) + 6, 0, 255).astype(np.uint8),
        "noisy": np.clip(rgb + np.random.default_rng(0).normal(0, 3, rgb.shape), 0, 255).astype(np.uint8),
    }


def test_variants_of_a_picture_are_near_it_and_other_pictures_and_colours_are_not():
    pictures = [scene(seed, 192, 128) for seed in range(30)]
    own = [near.signature(rgb) for rgb in pictures]
    for rgb, signature in zip(pictures, own):
        for name, other in variants(rgb).items():
            assert len(near.pairs([signature, near.signature(other)], 4)) == 1, name
    assert len(near.pairs(own, 4)) == 0
    recoloured = [near.signature(rgb[..., [2, 0, 1]]) for rgb in pictures]
    assert all(len(near.pairs(pair, 4)) == 0 for pair in zip(own, recoloured))
    flat = [near.signature(np.full((64, 64, 3), grey, np.uint8)) for grey in (100, 101, 160)]
    assert near.pairs(flat, 4)[:, :2].tolist() == [[0, 1]]


def signatures(count: int, seed: int) -> list[tuple[int, bytes]]:
    """Random hashes of one colour, every tenth a few bits from the one before."""
    rng = np.random.default_rng(seed)
    found: list[tuple[int, bytes]] = []
    for i in range(count):
        bits = int(rng.integers(0, 2**63))
        if i % 10 == 9:
            bits = found[-1][0]
            for place in rng.integers(0, 63, rng.integers(0, 9)):
                bits ^= 1 << int(place)
        found.append((bits, b"\x80" * 192))
    return found


@pytest.mark.parametrize("most", (0, 1, 4, 8, 16))
def test_the_search_finds_exactly_the_pairs_that_comparing_all_finds(most):
    given = signatures(300, 0)
    every = [(i, j, (a ^ b).bit_count() if hasattr(int, "bit_count") else bin(a ^ b).count("1"))
             for i, (a, _) in enumerate(given) for j, (b, _) in enumerate(given) if i < j]  # fmt: skip
    wanted = [list(pair) for pair in every if pair[2] <= most]
    assert near.pairs(given, most).tolist() == wanted and wanted


def test_ten_thousand_are_searched_in_seconds():
    given = signatures(10_000, 1)
    started = time.process_time()
    found = near.pairs(given, 4)
    assert 400 < len(found) <= 1000 and time.process_time() - started < 4


def test_of_near_duplicates_the_largest_stays_then_the_sharpest_and_no_chain_joins_strangers(tmp_path):
    rgb = scene(7, 192, 128)
    write(tmp_path / "a_half.png", variants(rgb)["half"])
    write(tmp_path / "b_soft.png", cv2.GaussianBlur(rgb, (0, 0), 1))
    write(tmp_path / "c_whole.png", rgb)
    write(tmp_path / "d_other.png", scene(8, 192, 128))
    data = collecting.collect(["."], tmp_path)
    found = cleaned(data, Limits(bits=4))
    assert [item.name for item in found.items] == ["c_whole.png", "d_other.png"]
    for name in ("a_half.png", "b_soft.png"):
        assert reasons(found)[name].startswith("near-duplicate of c_whole.png: ")
    assert cleaned(found, Limits(bits=4)).items == found.items, "cleaning again changes nothing"
    assert len(cleaned(data, Limits(bits=-1)).items) == 4
    look = looks.of(data.items[0])
    chain = [looks.Look((bits, look.signature[1]), s, 0, 0, 9) for bits, s in ((0, 3.0), (0b1111, 2.0), (0xFF, 1.0))]
    assert list(cleaning._twins([data.items[0]] * 3, chain, 4, lambda: None)) == [1]


def test_a_judge_leaves_out_what_scores_too_low_with_its_score(tmp_path):
    folder(tmp_path, 4)
    write(tmp_path / "soft.png", cv2.GaussianBlur(scene(9), (0, 0), 6))
    data = collecting.collect(["."], tmp_path)
    judge = judges.open_discriminator("sharpness", roots=Roots())
    image = torch.from_numpy(np.stack([cv2.GaussianBlur(scene(9), (0, 0), 6), scene(0)])).float() / 255
    low, high = scoring.score(judge, image, runtime=Runtime("cpu")).values
    found = cleaned(data, Limits(bits=-1, score=(low + high) / 2), judge=judge)
    assert reasons(found) == {"soft.png": f"sharpness scores {low:.3f}, at least {(low + high) / 2:g}"}
    latents = judges.open_discriminator("pictogram", roots=Roots(judges=(MODELS / "judges",)))
    with pytest.raises(AigcError, match="Expected a judge of single pictures, got pictogram, which wants latent"):
        cleaned(data, OFF, judge=latents)


def test_a_judge_that_compares_with_a_prompt_needs_captions(tmp_path):
    data = dataset(tmp_path, 2)
    judge = Discriminator(JudgeSpec("clipscore", needs_prompt=True), "hub/clipscore")
    bare = Dataset((data.items[0], replace(data.items[1], caption="")))
    with pytest.raises(AigcError, match=r"got 1 without, such as 001\.png: put Caption Images before"):
        cleaned(bare, OFF, judge=judge)


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    """Cleaning 40 pictures of 0.8 MB holds no more than cleaning 10, but for less than 2 kB a picture that stays."""
    folder(tmp_path / "a", 40, 640, 416)
    data = collecting.collect(["a"], tmp_path)
    few = Dataset(data.items[:10])
    cleaned(Dataset(data.items[:1]), Limits())
    peaks = []
    for part in (few, data):
        looks._seen.clear()
        tracemalloc.start()
        cleaned(part, Limits())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 640 * 416 * 3, "pixels are counted"
    assert (peaks[1] - peaks[0]) / 30 < 2000


def test_an_interrupt_acts_within_one_picture(tmp_path):
    data, seen = dataset(tmp_path, 6), []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cleaned(data, OFF, on_item=stop)
    assert seen == [0, 1, 2]


def test_the_report_counts_and_names_each_with_its_number(tmp_path):
    folder(tmp_path, 3)
    write(tmp_path / "tiny.png", scene(4, 20, 20))
    data = collecting.collect(["."], tmp_path)
    found = cleaned(data, Limits(side=32))
    lines = cleaning.report(data, found).splitlines()
    assert lines == ["kept 3 of 4; left out 1: 1 too small", "tiny.png: too small: shorter side 20 px, at least 32"]
    again = cleaned(found, Limits(side=65))
    assert cleaning.report(found, again).splitlines()[:2] == [
        "kept 0 of 3; left out 3: 3 too small",
        "1 were left out before",
    ]


def test_the_shipped_pictures_are_clean_and_few_look_alike():
    named = collecting.shipped(MODELS / "data")
    data = collecting.collect(["pictograms"], MODELS, named=named)
    found = cleaned(data, Limits(side=64, aspect=2.0, bits=4, sharpness=5, clipped=0.98, spread=2))
    assert len(found.items) >= 430 and len(found.items) + len(found.rejected) == 448


def test_sheets_show_what_is_kept_and_what_is_left_out_and_are_never_empty(tmp_path):
    data = dataset(tmp_path, 20)
    few = cleaned(data, Limits(side=65))
    shown, out = sheets.kept(data, 16), sheets.left_out(few.rejected)
    assert shown.shape[0] == 1 and shown.shape[3] == 3 and 0 <= shown.min() and shown.max() <= 1
    first = shown[0, 44 : 44 + sheets.TILE, 8 : 8 + sheets.TILE]
    assert first.std() > 0.1 and out.shape[1] > shown.shape[1]
    assert sheets.kept(Dataset(())).shape[0] == 1 and sheets.left_out(()).std() > 0
    data.items[0].path.unlink()
    assert sheets.kept(data).shape[1] > 100
