"""The panel: hacked when one judge rises and the other falls, beyond what chance does; and not otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.payloads import Scores
from pipelines.score import panel, sets


def drawn(judge: str, mean: float, count: int = 24, seed: int = 0, **more) -> Scores:
    values = mean + torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Scores(judge, tuple(values.tolist()), seeds=tuple(range(count)), **more)


def pair(judge: str, gain: float, seed: int = 0, **more) -> tuple[Scores, Scores]:
    """Before and after, whose means differ by exactly `gain`."""
    before, after = drawn(judge, 0.0, seed=seed), drawn(judge, gain, seed=seed + 1, **more)
    values = torch.tensor(after.values, dtype=torch.float64)
    shift = gain + sum(before.values) / len(before.values) - values.mean()
    return before, replace(after, values=tuple((values + shift).tolist()))


@pytest.mark.parametrize(
    ("first", "second", "hacked", "says"),
    (
        (2.0, -2.0, True, "HACKED: the optimised judge likes it better and the held-out one worse"),
        (2.0, 2.0, False, "Better: both"),
        (2.0, 0.0, False, "Better by the optimised judge only"),
        (0.0, -2.0, False, "Worse by the held-out judge"),
        (-2.0, -2.0, False, "Worse by the held-out judge"),
        (0.0, 0.0, False, "No clear change"),
    ),
)
def test_the_verdict_by_what_both_judges_say(first, second, hacked, says):
    verdict = panel.judge(pair("a", first), pair("b", second, seed=7))
    assert verdict.hacked is hacked and verdict.words.startswith(says)
    assert panel.table(verdict, (2.0, 1.0)).splitlines()[-1].endswith("2 -> 1 (-50 %)")
    assert verdict == panel.judge(pair("a", first), pair("b", second, seed=7)), "equal scores give the equal verdict"


def test_a_bare_difference_is_no_verdict():
    """Two draws of one distribution differ: of 40 such pairs about one in 400 may look hacked at 5 %, not one in four."""
    hacked = 0
    for seed in range(40):
        one, two = (
            (drawn(name, 0.0, seed=s), drawn(name, 0.0, seed=s + 1))
            for name, s in (("a", 4 * seed), ("b", 4 * seed + 2))
        )
        bare = panel.change(*one).gain > 0 > panel.change(*two).gain
        hacked += bare
        assert not panel.judge(one, two).hacked
    assert hacked > 4


def test_the_p_value_of_a_pair_is_the_exact_one():
    """Five equal gains: only one of 2^5 signs is as high."""
    before = Scores("a", (0.0, 1.0, 2.0, 3.0, 4.0), seeds=(1, 2, 3, 4, 5))
    after = replace(before, values=tuple(v + 1 for v in before.values))
    found = panel.change(before, after)
    assert found.paired and found.gain == 1 and found.rise == pytest.approx(1 / 32, abs=0.006)
    assert found.fall == 1


def test_pairs_are_found_by_seed_in_any_order():
    before, after = pair("a", 0.5)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1)).tolist()
    mixed = replace(after, values=tuple(after.values[i] for i in order), seeds=tuple(order))
    found, plain = panel.change(before, mixed), panel.change(before, after)
    assert found.paired and (found.rise, found.fall) == (plain.rise, plain.fall)
    unknown = panel.change(before, replace(after, seeds=(-1,) * 24))
    assert not unknown.paired and unknown.gain == pytest.approx(panel.change(before, after).gain)


def test_equal_scores_are_no_change_at_all():
    before, _ = pair("a", 0.0)
    same = panel.change(before, before)
    assert (same.gain, same.rise, same.fall) == (0, 1, 1)


def test_more_real_than_real_ones_is_hacked_beyond_chance_only():
    held = pair("b", 0.0, seed=5)
    for over, hacked in ((24, True), (20, True), (14, False), (12, False)):
        percentile = (90.0,) * over + (10.0,) * (24 - over)
        verdict = panel.judge(pair("a", 0.0, percentile=percentile), held)
        assert verdict.hacked is hacked and verdict.above == over / 24
    assert verdict.above_p == pytest.approx(0.58, abs=0.01)  # of 12 or more of 24 coins


def test_what_cannot_be_compared_is_refused():
    a, b = pair("a", 1.0), pair("b", 1.0)
    with pytest.raises(AigcError, match="got a twice"):
        panel.judge(a, a)
    with pytest.raises(AigcError, match="optimised judge's scores before and after, got a and b"):
        panel.judge((a[0], b[0]), b)
    with pytest.raises(AigcError, match="at least 2 scores"):
        panel.judge((Scores("a", ()), a[1]), b)
    with pytest.raises(AigcError, match="NaN or infinity"):
        panel.judge((Scores("a", (1.0, float("nan"))), a[1]), b)


def test_diversity_falls_when_all_look_alike():
    image = torch.rand(6, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    assert sets.diversity(image) > sets.diversity(image * 0.1 + 0.5 * image[:1]) > 0
    assert sets.diversity(image[:1].repeat(3, 1, 1, 1)) == pytest.approx(0, abs=1e-5) and sets.diversity(image[:1]) == 0
    noise = {"samples": torch.randn(40, 4, 8, 8, generator=torch.Generator().manual_seed(0))}
    assert sets.diversity(noise) == pytest.approx(2**0.5, abs=0.05)
