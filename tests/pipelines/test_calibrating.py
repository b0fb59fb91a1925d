"""Calibration of any judge: probabilities that are right, measured on what was held out; combining what came of it."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.payloads import Discriminator
from pipelines.runtime import Runtime
from pipelines.score import calibrating, closed_form, combined, scoring

CPU = Runtime("cpu")


def formula(name: str) -> Discriminator:
    return Discriminator(closed_form.spec(name), name)


def drawn(mean: float, count: int = 4000, seed: int = 0) -> list[float]:
    return (mean + torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).tolist()


def test_two_normal_sets_give_their_own_log_odds() -> None:
    """Of N(1, 1) and N(-1, 1) the log odds are 2 s, and the AUC is the normal distribution at sqrt 2."""
    found = calibrating.calibrate(formula("sharpness"), drawn(1.0), drawn(-1.0, seed=1))
    a, b = found.judge.calibration or (0, 0)
    assert a == pytest.approx(2, rel=0.05) and b == pytest.approx(0, abs=0.1)
    assert found.auc == pytest.approx(0.5 * (1 + math.erf(1.0)), abs=0.01)
    assert found.after < found.before < math.log(2)
    assert len(found.judge.real) == 101 and found.judge.real[50] == pytest.approx(1, abs=0.05)


def test_the_judge_that_came_in_is_not_changed_and_scores_alike() -> None:
    judge = formula("exposure")
    found = calibrating.calibrate(judge, drawn(1.0, 20), drawn(0.0, 20)).judge
    image = torch.rand(3, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    before, after = (scoring.score(j, image, runtime=CPU) for j in (judge, found))
    assert before.probability is None and before.values == after.values
    a, b = found.calibration or (0, 0)
    assert after.probability == pytest.approx([1 / (1 + math.exp(-(a * v + b))) for v in after.values])
    assert after.percentile is not None


def test_a_judge_that_ranks_the_wrong_way_round_says_so_and_decides_nothing() -> None:
    found = calibrating.calibrate(formula("colourfulness"), drawn(30.0, 50), drawn(40.0, 50))
    assert found.whole < 0.01 and "WRONG WAY ROUND" in calibrating.report(found)
    a, b = found.judge.calibration or (0, 0)
    assert 1 / (1 + math.exp(-(a * 50 + b))) == pytest.approx(0.5, abs=1e-3)
    right = calibrating.calibrate(formula("colourfulness"), drawn(40.0, 50), drawn(30.0, 50))
    assert "WRONG" not in calibrating.report(right) and "AUC 1.000" in calibrating.report(right)


def test_equal_input_gives_the_equal_judge() -> None:
    sets = drawn(1.0, 21), drawn(0.0, 30, seed=3)
    assert calibrating.calibrate(formula("sharpness"), *sets) == calibrating.calibrate(formula("sharpness"), *sets)


def test_too_few_and_what_is_no_number_is_refused() -> None:
    with pytest.raises(AigcError, match="at least 8 generated ones to calibrate with, got 7"):
        calibrating.calibrate(formula("sharpness"), drawn(0, 8), drawn(0, 7))
    with pytest.raises(AigcError, match="got NaN or infinity for real ones"):
        calibrating.calibrate(formula("sharpness"), [*drawn(0, 8), float("nan")], drawn(0, 8))


def test_a_combination_can_be_calibrated_and_its_parts_keep_working() -> None:
    image = torch.rand(12, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    parts = [calibrating.calibrate(formula(n), drawn(1.0, 20), drawn(0.0, 20)).judge for n in ("sharpness", "exposure")]
    both = combined.combine([(parts[0], 1.0), (parts[1], 0.5)], combined.log_odds(0.25))
    scores = scoring.score(both, image, runtime=CPU)
    (a, b), (c, d) = (part.calibration or (0, 0) for part in parts)
    one, two = (scoring.score(part, image, runtime=CPU).values for part in parts)
    by_hand = [math.log(1 / 3) + a * x + b + 0.5 * (c * y + d) for x, y in zip(one, two)]
    assert scores.values == pytest.approx(by_hand, rel=1e-4)
    again = calibrating.calibrate(both, scores.values[:10], drawn(-9.0, 10)).judge
    assert again.parts == both.parts and scoring.score(again, image, runtime=CPU).values == scores.values


@pytest.mark.parametrize("prior", (0.0, 1.0, -0.1))
def test_a_prior_that_is_certain_is_refused(prior: float) -> None:
    with pytest.raises(AigcError, match="between 0 and 1"):
        combined.log_odds(prior)
    assert combined.log_odds(0.5) == 0
