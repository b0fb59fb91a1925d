"""Choosing by score: what belongs together stays together, ties keep their order, none is no error."""

from __future__ import annotations

import random

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.payloads import Scores, Trace
from pipelines.score import choosing, heat


def made(values, **more) -> Scores:
    count = len(values)
    fields = {
        "raw": tuple(-v for v in values),
        "prompts": tuple(f"p{i}" for i in range(count)),
        "seeds": tuple(range(count)),
    }
    return Scores("test", tuple(values), **{**fields, **more})


@pytest.mark.parametrize("seed", range(20))
def test_pictures_latents_masks_sounds_seeds_and_prompts_stay_in_step(seed):
    dice = random.Random(seed)
    count = dice.randint(0, 9)
    scores = made([float(dice.randint(0, 4)) for _ in range(count)])
    mark = torch.arange(count, dtype=torch.float32)
    image = mark.view(-1, 1, 1, 1).expand(-1, 2, 2, 3)
    samples = mark.view(-1, 1, 1, 1).expand(-1, 4, 2, 2)
    trace = Trace("SD", samples, raw=samples * 2)
    latent = {
        "samples": samples,
        "noise_mask": mark.view(-1, 1, 1, 1),
        "batch_index": [10 + i for i in range(count)],
        "aigc": trace,
    }
    mask, audio = mark.view(-1, 1, 1).expand(-1, 2, 2), {"waveform": mark.view(-1, 1, 1), "sample_rate": 8}
    keep = dice.randint(0, 10)
    best, rest = choosing.best(scores, keep)
    assert sorted(best + rest) == list(range(count)) and len(best) == min(keep, count)
    for places in (best, rest):
        got = choosing.taken(scores, places, count)
        assert got.values == tuple(scores.values[i] for i in places) and got.raw == tuple(-v for v in got.values)
        assert got.prompts == tuple(f"p{i}" for i in places) and got.seeds == tuple(places)
        assert choosing.taken(image, places, count)[:, 0, 0, 0].tolist() == places
        assert choosing.taken(mask, places, count)[:, 0, 0].tolist() == places
        assert choosing.taken(audio, places, count)["waveform"][:, 0, 0].tolist() == places
        taken = choosing.taken(latent, places, count)
        assert taken["samples"][:, 0, 0, 0].tolist() == places and taken["noise_mask"][:, 0, 0, 0].tolist() == places
        assert taken["batch_index"] == [10 + i for i in places]
        assert torch.equal(taken["aigc"].raw, taken["samples"] * 2) and taken["aigc"].samples is taken["samples"]
    assert latent["batch_index"] == [10 + i for i in range(count)] and latent["samples"] is samples
    assert all(scores.values[a] >= scores.values[b] for a in best for b in rest)


def test_ties_keep_their_order_and_what_is_no_number_comes_last():
    nan = float("nan")
    assert choosing.ranked(made([1.0, nan, 2.0, 1.0, 2.0])) == [2, 4, 0, 3, 1]


def test_a_changed_latent_loses_the_trace_of_the_old_one():
    samples = torch.zeros(2, 4, 2, 2)
    latent = {"samples": samples, "aigc": Trace("SD", samples.clone(), raw=samples)}
    assert "aigc" not in choosing.taken(latent, [1], 2)


def test_a_bar_by_score_probability_or_percentile():
    scores = made([0.0, 2.0, 1.0], probability=(0.1, 0.9, 0.5), percentile=(5.0, 95.0, 50.0))
    assert choosing.over(scores, 1.0) == ([1, 2], [0])
    assert choosing.over(scores, 0.6, "probability") == ([1], [0, 2])
    assert choosing.over(scores, 99, "percentile") == ([], [0, 1, 2])
    with pytest.raises(AigcError, match="not calibrated"):
        choosing.over(made([1.0]), 0.5, "probability")


def test_what_does_not_belong_to_the_scores_is_refused():
    with pytest.raises(AigcError, match="Expected 2 pictures or masks, one a score, got 3"):
        choosing.taken(torch.zeros(3, 2, 2, 3), [0], 2)
    with pytest.raises(AigcError, match="0 or more"):
        choosing.best(made([1.0]), -1)


def test_the_table_says_what_the_scores_are_best_first():
    text = choosing.table(made([0.0, 2.0], unit="dB", note="a note", probability=(0.25, 0.75)))
    assert text.splitlines()[0] == "test (dB), higher is better; a note"
    assert text.splitlines()[1].split() == ["1.", "#1", "2", "75.0", "%", "seed", "1", "p1"]


def test_the_mask_covers_the_worst_share_and_the_best_place_is_untouched():
    coarse = torch.arange(16.0).view(1, 4, 4)
    image = torch.full((1, 16, 16, 3), 0.5)
    tinted, mask = heat.shown(coarse, image, 0.25)
    assert float(mask.mean()) == 0.25 and bool(mask[0, 0, 0]) and not bool(mask[0, -1, -1])
    assert tinted.shape == image.shape and float((tinted - image)[0, -1, -1].abs().max()) < 1e-6
    assert float(tinted[0, 0, 0, 0]) > 0.7 > 0.5 > float(tinted[0, 0, 0, 1])
    flat, nothing = heat.shown(torch.ones(1, 4, 4), image, 0.25)
    assert torch.equal(flat, image) and not bool(nothing.any())
    with pytest.raises(AigcError, match="one picture a heatmap"):
        heat.shown(coarse, image.repeat(2, 1, 1, 1), 0.25)
