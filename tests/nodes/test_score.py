"""Judges on the real host: scored, ranked, steered by; what does not fit is said."""

from __future__ import annotations

import numpy as np
import pytest

from .canvas import images, node, run, text_to_image

pytestmark = pytest.mark.usefixtures("tiny")


def judged(judge: str = "sharpness", keep: int = 2, **changes):
    """Four pictures of a tiny model, scored and ranked; the kept ones saved."""
    graph = text_to_image(size__batch_size=4, **changes)
    return graph | {
        "judge": node("LoadDiscriminator", discriminator=judge),
        "score": node("Score", discriminator=["judge", 0], image=["decode", 0], batch_seed=1),
        "rank": node("Rank", scores=["score", 0], keep=keep, image=["decode", 0], latents=["sample", 0]),
        "kept": {"class_type": "SaveImage", "inputs": {"images": ["rank", 1], "filename_prefix": "kept"}},
        "rest": {"class_type": "SaveImage", "inputs": {"images": ["rank", 5], "filename_prefix": "rest"}},
        "again": node("DecodeImage", model=["model", 0], latents=["rank", 2]),
        "decoded": {"class_type": "SaveImage", "inputs": {"images": ["again", 0], "filename_prefix": "again"}},
    }


def test_the_best_are_kept_in_order_and_their_latents_decode_to_the_same_pictures(url):
    result = run(url, judged())
    assert result.error == ""
    rows = result.outputs["score"]["aigc_scores"]
    assert [row["index"] for row in rows] == [0, 1, 2, 3] and [row["seed"] for row in rows] == [1, 2, 3, 4]
    order = sorted(range(4), key=lambda i: -rows[i]["score"])
    every, kept, rest, decoded = (images(url, result, name) for name in ("save", "kept", "rest", "decoded"))
    assert all(np.array_equal(a, every[i]) for a, i in zip(kept, order[:2])) and len(kept) == 2
    assert all(np.array_equal(a, every[i]) for a, i in zip(rest, order[2:])) and len(rest) == 2
    assert all(np.array_equal(a, b) for a, b in zip(kept, decoded))
    assert result.outputs["score"]["text"][0].splitlines()[1].split()[:2] == ["1.", f"#{order[0]}"]


def test_keeping_none_stops_what_hangs_on_it_without_an_error(url):
    result = run(url, judged(keep=0))
    assert result.error == "" and "kept" not in result.outputs and len(images(url, result, "rest")) == 4


def test_only_the_score_runs_again_for_another_judge(url):
    run(url, judged(keep=1, sample__seed=77))
    again = run(url, judged("exposure", keep=1, sample__seed=77))
    assert {"model", "prompt", "sample", "decode"} <= again.cached and "score" in again.ran


@pytest.mark.parametrize(
    ("changes", "says"),
    (
        ({"score": {"image": None}}, "Score: Expected pictures for sharpness, got nothing"),
        ({"judge": {"discriminator": "pictogram"}}, "Score: Expected latents for pictogram, got pictures"),
        ({"judge": {"discriminator": "imagereward"}}, "aigc models pull THUDM/ImageReward"),
        ({"rank": {"image": ["one", 0]}}, "Rank: Expected 4 pictures or masks, one a score, got 1"),
    ),
)
def test_what_does_not_fit_is_one_error_that_names_the_node(url, changes, says):
    graph = judged(sample__seed=5) | {"one": {"class_type": "EmptyImage", "inputs": {
        "width": 64, "height": 64, "batch_size": 1, "color": 0}}}  # fmt: skip
    for name, inputs in changes.items():
        graph[name]["inputs"] |= inputs
        graph[name]["inputs"] = {k: v for k, v in graph[name]["inputs"].items() if v is not None}
    assert says in run(url, graph).error


def test_a_judge_steers_sample_and_a_judge_of_pictures_is_refused_there(url):
    def graph_of():
        heart = {"prompt__prompt": "a red heart", "size__width": 0, "size__height": 0}
        return text_to_image("pictogram", **heart, sample__steps=4)

    def steered(judge: str, weight: float):
        graph = graph_of()
        graph["judge"] = node("LoadDiscriminator", discriminator=judge)
        graph["sample"]["inputs"] |= {"guide": ["judge", 0], "guide_weight": weight}
        return run(url, graph)

    first = run(url, graph_of())
    off, on = steered("pictogram", 0.0), steered("pictogram", 3.0)
    assert (first.error, off.error, on.error) == ("", "", "")
    plain, same, other = (images(url, result, "save")[0] for result in (first, off, on))
    assert np.array_equal(plain, same) and not np.array_equal(plain, other)
    assert "Sample: Expected a noise-aware judge of latents" in steered("sharpness", 1.0).error


def test_the_heatmap_marks_a_part_of_the_picture_and_gives_a_mask(url):
    graph = judged() | {
        "map": node("ScoreHeatmap", discriminator=["judge", 0], image=["decode", 0], share=0.25),
        "seen": {"class_type": "PreviewImage", "inputs": {"images": ["map", 0]}},
        "mask": {"class_type": "MaskToImage", "inputs": {"mask": ["map", 1]}},
        "white": {"class_type": "PreviewImage", "inputs": {"images": ["mask", 0]}},
    }
    result = run(url, graph)
    assert result.error == ""
    before, after, white = (images(url, result, name)[0] for name in ("save", "seen", "white"))
    assert before.shape == after.shape and not np.array_equal(before, after)
    assert (white > 127).mean() == pytest.approx(0.25, abs=0.01)


def test_a_hub_judge_scores_and_shows_where_inside_the_host(url, models_folder):
    """A tiny PickScore in the host's own models/judges, found by the host's listing."""
    from ..pipelines.hub_judges import clip

    clip(models_folder / "judges" / "yuvalkirstain--PickScore_v1")
    graph = {
        "one": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 2, "color": 0xFF8000}},
        "judge": node("LoadDiscriminator", discriminator="pickscore"),
        "score": node("Score", discriminator=["judge", 0], image=["one", 0], prompt="a cat"),
        "map": node("ScoreHeatmap", discriminator=["judge", 0], image=["one", 0], prompt="a cat", share=0.25),
        "shown": {"class_type": "SaveImage", "inputs": {"images": ["map", 0], "filename_prefix": "shown"}},
    }
    result = run(url, graph)
    assert result.error == "" and len(images(url, result, "shown")) == 2
    first, second = (row["score"] for row in result.outputs["score"]["aigc_scores"])
    assert first == pytest.approx(second, abs=1e-4) and first != 0


def test_a_video_is_one_item_and_a_judge_of_pictures_can_go_over_its_frames(url):
    graph = text_to_image(size__batch_size=4) | {
        "flicker": node("LoadDiscriminator", discriminator="flicker"),
        "sharp": node("LoadDiscriminator", discriminator="sharpness"),
        "video": {"class_type": "CreateVideo", "inputs": {"images": ["decode", 0], "fps": 8.0}},
        "steady": node("Score", discriminator=["flicker", 0], video=["video", 0]),
        "frames": node("Score", discriminator=["flicker", 0], image=["decode", 0]),
        "each": node("Score", discriminator=["sharp", 0], video=["video", 0]),
        "worst": node("Score", discriminator=["sharp", 0], video=["video", 0], frames="worst"),
    }
    result = run(url, graph)
    assert result.error == ""
    steady, frames, each, worst = (
        result.outputs[name]["aigc_scores"] for name in ("steady", "frames", "each", "worst")
    )
    assert len(steady) == 1 and steady[0]["score"] == frames[0]["score"] < 0
    assert [row["score"] for row in worst] == [min(row["score"] for row in each)] and len(each) == 4
