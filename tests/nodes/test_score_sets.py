"""Calibrating, gating, comparing, saving and scoring folders on the real host."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .canvas import fetch, images, node, query, run, text_to_image

pytestmark = pytest.mark.usefixtures("tiny")


def pair(count: int = 12, seed: int = 1, judge: str = "sharpness") -> dict:
    """Pictures of a tiny model, the same ones blurred, and a judge."""
    graph = text_to_image(size__batch_size=count, sample__seed=seed, sample__steps=1)
    del graph["save"]
    return graph | {
        "blurred": {"class_type": "ImageBlur", "inputs": {"image": ["decode", 0], "blur_radius": 3, "sigma": 2.0}},
        "judge": node("LoadDiscriminator", discriminator=judge),
    }


def calibrated(real: str = "decode", generated: str = "blurred") -> dict:
    return pair() | {
        "calibrate": node(
            "CalibrateDiscriminator", discriminator=["judge", 0], real_image=[real, 0], generated_image=[generated, 0]
        ),
        "score": node("Score", discriminator=["calibrate", 0], image=["decode", 0], batch_seed=1),
    }


def text_of(result, name: str) -> str:
    assert result.error == ""
    return result.outputs[name]["text"][0]


def test_a_formula_becomes_a_probability_and_says_how_good_it_is(url):
    result = run(url, calibrated())
    assert "AUC 1.000" in text_of(result, "calibrate") and "12 real and 12 generated" in text_of(result, "calibrate")
    rows = result.outputs["score"]["aigc_scores"]
    assert all(row["probability"] > 0.5 and 0 < row["percentile"] <= 100 for row in rows)


def test_a_judge_that_ranks_the_wrong_way_round_says_so(url):
    assert "RANKS THE WRONG WAY ROUND" in text_of(run(url, calibrated("blurred", "decode")), "calibrate")


def test_calibrated_judges_combine_and_the_prior_shifts_them(url):
    def best(prior: float) -> list[float]:
        graph = calibrated() | {
            "other": node("LoadDiscriminator", discriminator="exposure"),
            "second": node("CalibrateDiscriminator", discriminator=["other", 0], real_image=["decode", 0],
                           generated_image=["blurred", 0]),
            "both": node("CombineDiscriminators", discriminator_1=["calibrate", 0], discriminator_2=["second", 0],
                         weight_1=1.0, weight_2=0.5, weight_3=1.0, weight_4=1.0, prior=prior),
        }  # fmt: skip
        graph["score"]["inputs"]["discriminator"] = ["both", 0]
        result = run(url, graph)
        assert result.error == ""
        return [row["score"] for row in result.outputs["score"]["aigc_scores"]]

    even, rare = best(0.5), best(0.1)
    assert np.allclose(np.subtract(rare, even), np.log(1 / 9), atol=1e-4)


def test_an_uncalibrated_judge_is_not_combined(url):
    weights = {f"weight_{i}": 1.0 for i in range(1, 5)}
    graph = pair() | {"both": node("CombineDiscriminators", discriminator_1=["judge", 0], prior=0.5, **weights),
                      "score": node("Score", discriminator=["both", 0], image=["decode", 0])}  # fmt: skip
    assert "Combine Discriminators: Expected calibrated judges" in run(url, graph).error


def gated(threshold: float, on_empty: str = "block", by: str = "score") -> dict:
    return pair(6) | {
        "score": node("Score", discriminator=["judge", 0], image=["decode", 0], batch_seed=1),
        "gate": node("Gate", scores=["score", 0], by=by, threshold=threshold, on_empty=on_empty,
                     image=["decode", 0], latents=["sample", 0]),
        "all": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "all"}},
        "kept": {"class_type": "SaveImage", "inputs": {"images": ["gate", 1], "filename_prefix": "kept"}},
        "rest": {"class_type": "SaveImage", "inputs": {"images": ["gate", 6], "filename_prefix": "rest"}},
        "again": node("DecodeImage", model=["model", 0], latents=["gate", 2]),
        "decoded": {"class_type": "SaveImage", "inputs": {"images": ["again", 0], "filename_prefix": "again"}},
    }  # fmt: skip


def test_what_is_over_the_bar_passes_in_its_own_order_with_its_latents(url):
    rows = run(url, gated(-1e6)).outputs["score"]["aigc_scores"]
    bar = sorted(row["score"] for row in rows)[3]
    passed = [row["index"] for row in rows if row["score"] >= bar]
    result = run(url, gated(bar))
    assert result.error == "" and len(passed) == 3
    every, kept, rest, decoded = (images(url, result, name) for name in ("all", "kept", "rest", "decoded"))
    assert [np.array_equal(a, every[i]) for a, i in zip(kept, passed)] == [True] * 3 == [len(kept) == 3] * 3
    others = [i for i in range(6) if i not in passed]
    assert len(rest) == 3 and all(np.array_equal(a, every[i]) for a, i in zip(rest, others))
    assert all(np.array_equal(a, b) for a, b in zip(kept, decoded))


def test_when_nothing_passes_it_blocks_or_gives_the_best_or_ends(url):
    blocked, best, error = (run(url, gated(1e5, word)) for word in ("block", "best", "error"))
    assert blocked.error == "" and "kept" not in blocked.outputs and len(images(url, blocked, "rest")) == 6
    rows = best.outputs["score"]["aigc_scores"]
    first = max(rows, key=lambda row: row["score"])["index"]
    assert np.array_equal(images(url, best, "kept")[0], images(url, best, "all")[first])
    assert "Gate: Expected at least one of 6 with a score of" in error.error
    assert "which is not calibrated" in run(url, gated(0.5, by="probability")).error


def test_a_set_is_near_itself_and_far_from_a_blurred_one(url):
    graph = pair() | {
        name: node("CompareSets", features="statistics", nearest_k=3, real_image=["decode", 0], generated_image=[x, 0])
        for name, x in (("same", "decode"), ("other", "blurred"))
    }
    result = run(url, graph)
    same, other = (text_of(result, name).splitlines() for name in ("same", "other"))
    assert float(same[1].split()[1]) < 1e-3 < float(other[1].split()[1])
    assert same[3].split()[1] == "1.000" and "go by KID" in "".join(same)


@pytest.fixture
def folder(host) -> Path:
    """Twelve pictures and one that is broken, in the host's input folder."""
    place = Path(host.base_dir) / "input" / "shots"
    place.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(dice.integers(0, 255, (24, 24 + i % 2, 3), dtype=np.uint8)).save(place / f"{i:02}.png")
    (place / "broken.png").write_bytes(b"no picture")
    for file in place.glob("new*"):
        file.unlink()
    return place


def test_a_folder_is_a_set_as_well(url, folder):
    graph = pair()
    graph["compare"] = node("CompareSets", features="statistics", nearest_k=3, real_folder="shots",
                            generated_image=["decode", 0])  # fmt: skip
    assert "12 real ones against 12" in (said := text_of(run(url, graph), "compare")) and "left out broken.png" in said
    graph["compare"]["inputs"]["real_folder"] = "nowhere"
    assert "Compare Sets: Expected a folder of pictures" in run(url, graph).error
    graph["compare"]["inputs"]["real_folder"] = ""
    assert "connect real_image or real_folder" in run(url, graph).error


def test_rows_are_added_and_pictures_carry_their_score_and_workflow(url, host):
    def graph_of(seed: int) -> dict:
        return pair(2, seed) | {
            "score": node("Score", discriminator=["judge", 0], image=["decode", 0], prompt="a cat", batch_seed=seed),
            "keep": node("SaveScores", scores=["score", 0], filename_prefix="kept/rows", table="csv and jsonl",
                         image=["decode", 0]),
        }  # fmt: skip

    for seed in (5, 6):
        result = run(url, graph_of(seed))
        assert result.error == ""
    place = Path(host.base_dir) / "output" / "kept"
    with (place / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["judge"], row["prompt"]) for row in rows] == [
        (str(s), "sharpness", "a cat") for s in (5, 6, 6, 7)
    ]
    lines = [json.loads(line) for line in (place / "rows.jsonl").read_text("utf-8").splitlines()]
    assert (
        [line["file"] for line in lines] == [row["file"] for row in rows] == sorted(p.name for p in place.glob("*.png"))
    )
    shown = result.outputs["keep"]["images"]
    with Image.open(io.BytesIO(fetch(url, f"/view?{query(shown[0])}"))) as picture:
        assert json.loads(picture.info["aigc_scores"]) == lines[2]
        assert json.loads(picture.info["prompt"])["keep"]["class_type"] == "AIGC_SaveScores"
    assert not list(place.glob(".*"))


@pytest.mark.parametrize("prefix", ("../outside", "", "folder/"))
def test_a_name_that_leads_elsewhere_or_is_none_is_refused(url, host, prefix):
    graph = pair(2) | {
        "score": node("Score", discriminator=["judge", 0], image=["decode", 0]),
        "keep": node("SaveScores", scores=["score", 0], filename_prefix=prefix, table="csv"),
    }
    assert run(url, graph).error.startswith("Save Scores: Expected a name")
    assert not list(Path(host.base_dir).glob("outside*"))


def test_a_folder_is_scored_once_and_then_only_what_is_new(url, folder, host):
    graph = {
        "judge": node("LoadDiscriminator", discriminator="sharpness"),
        "folder": node("ScoreFolder", discriminator=["judge", 0], folder="shots", subfolders=False, keep=3,
                       table_prefix="folders/shots"),
        "best": {"class_type": "PreviewImage", "inputs": {"images": ["folder", 1]}},
    }  # fmt: skip
    first = run(url, graph)
    said = text_of(first, "folder")
    assert said.startswith("12 pictures, ") and "1 left out" in said and "broken.png" in said
    assert len({picture.shape for picture in images(url, first, "best")}) == 1 == len(images(url, first, "best")) - 2
    assert "folder" in run(url, graph).cached
    Image.new("RGB", (24, 24), "red").save(folder / "new.png")
    assert text_of(run(url, graph), "folder").startswith("13 pictures, 12 of them scored before, 1 left out")
    with (Path(host.base_dir) / "output" / "folders" / "shots.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 13
    graph["judge"]["inputs"]["discriminator"] = "pictogram"
    assert "Score Folder: Expected a judge of single pictures" in run(url, graph).error


def test_the_panel_sees_a_gain_that_only_one_judge_has(url):
    """From blurred pictures to those of the model: sharper, and less well exposed, for they are noise."""
    graph = calibrated() | {
        "held": node("LoadDiscriminator", discriminator="exposure"),
        "panel": node("JudgePanel", optimised_before=["a", 0], optimised_after=["score", 0], held_out_before=["b", 0],
                      held_out_after=["c", 0], significance=0.05, image_before=["blurred", 0], image_after=["decode", 0]),
        "a": node("Score", discriminator=["calibrate", 0], image=["blurred", 0], batch_seed=1),
        "b": node("Score", discriminator=["held", 0], image=["blurred", 0], batch_seed=1),
        "c": node("Score", discriminator=["held", 0], image=["decode", 0], batch_seed=1),
        "shown": {"class_type": "PreviewAny", "inputs": {"source": ["panel", 1]}},
    }  # fmt: skip
    result = run(url, graph)
    said = text_of(result, "panel")
    assert said.startswith("HACKED") and "paired by seed" in said and "diversity" in said
    assert text_of(result, "shown") == "True"
    graph["panel"]["inputs"] |= {"held_out_before": ["a", 0], "held_out_after": ["score", 0]}
    assert "Judge Panel: Expected a second judge" in run(url, graph).error
