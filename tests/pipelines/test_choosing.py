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
        "files": tuple(f"{i}.png" for i in range(count)),
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
        assert got.files == tuple(f"{i}.png" for i in places)
        assert choosing.taken(image, places, count)[:, 0, 0, 0].tolist() == places
        assert choosing.taken(mask, places, count)[:, 0, 0].tolist() == places
        assert choosing.taken(audio, places, count)["waveform"][:, 0, 0].tolist() == places
        taken = choosing.taken(latent, places, count)
        assert taken["samples"][:, 0, 0, 0].tolist() == places and taken["noise_mask"][:, 0, 0, 0].tolist() == places
        assert taken["batch_index"] == [10 + i for i in places]
        assert torch.equal(taken["aigc"].raw, taken["samples"] * 2) and taken["aigc"].samples is taken["samples"]
    assert latent["batch_index"] == [10 + i for i in range(count)] and latent["samples"] is samples
    assert all(scores.values[a] >= scores.values[b] for a in best for b in rest)


@pytest.mark.parametrize("seed", range(60))
def test_a_gate_parts_a_batch_at_the_bar_whatever_its_order(seed):
    """Over random batches with ties and what is no number, thresholds, figures and orders of the same items."""
    dice = random.Random(seed)
    count = dice.randint(0, 12)
    values = [dice.choice([float(dice.randint(0, 4)), float("nan")] if dice.random() < 0.2 else [dice.random()])
              for _ in range(count)]  # fmt: skip
    by = dice.choice(("score", "probability", "percentile"))
    top = {"score": 4, "probability": 1, "percentile": 100}[by]
    figures = tuple(v if by == "score" else top * dice.randint(0, 4) / 4 for v in values)
    scores = made(values, **({} if by == "score" else {by: figures}))
    bar = dice.choice([*figures, top * dice.random()])
    bar = top / 2 if bar != bar else bar
    passed, rest = choosing.gated(scores, bar, by, "block")
    assert sorted(passed + rest) == list(range(count)) and passed == sorted(passed) and rest == sorted(rest)
    assert all(figures[i] >= bar for i in passed) and not any(figures[i] >= bar for i in rest)
    image = torch.arange(count).view(-1, 1, 1, 1)
    assert choosing.taken(image, passed, count).flatten().tolist() == passed
    assert choosing.taken(scores, passed, count).seeds == tuple(passed)
    # The same items in another order: the same ones pass.
    order = dice.sample(range(count), count)
    mixed = choosing.taken(scores, order, count)
    assert {mixed.seeds[i] for i in choosing.gated(mixed, bar, by, "block")[0]} == set(passed)
    # Rank, likewise: every batch, every order, the same scores in the same places.
    best = [mixed.values[i] for i in choosing.ranked(mixed)]
    assert repr(best) == repr([values[i] for i in choosing.ranked(scores)])
    numbers = [i for i in choosing.ranked(scores) if values[i] == values[i]]
    if not passed:
        assert choosing.gated(scores, bar, by, "best")[0] == numbers[:1]
        with pytest.raises(AigcError, match=f"Expected at least one of {count} with a {by} of"):
            choosing.gated(scores, bar, by, "error")
    else:
        assert choosing.gated(scores, bar, by, dice.choice(("best", "error"))) == (passed, rest)


def test_of_no_items_none_passes_and_the_best_is_none_either():
    assert choosing.gated(made([]), 0.0, "score", "best") == ([], [])
    assert choosing.gated(made([float("nan")]), 0.0, "score", "best") == ([], [0])
    assert choosing.gated(made([1.0, 3.0, 3.0]), 5.0, "score", "best") == ([1], [0, 2])


def test_a_threshold_that_the_figure_never_has_is_refused():
    with pytest.raises(AigcError, match="a probability of 0 to 1 as the threshold, got 50"):
        choosing.over(made([1.0], probability=(0.5,)), 50, "probability")


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
    assert text.splitlines()[1].split() == ["1.", "#1", "2", "75.0", "%", "seed", "1", "p1", "1.png"]


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
