"""Training a judge: it learns what tells real from generated, says how well, and repeats itself."""

from __future__ import annotations

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.score.net import NetConfig
from pipelines.score.training import SIGMAS, Examples, Trainer, logits, split, train

SMALL = NetConfig(channels=4, widths=(16, 16), depth=1)


def examples(count: int = 160) -> tuple[Examples, Examples]:
    """Real ones are smooth, generated ones are not; both of unit variance, in groups of two."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2 * count, 4, 8, 8, generator=generator)
    smooth = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(noise[:count], (1, 1, 1, 1), mode="circular"), 3, 1)
    group = torch.arange(count) // 2
    return Examples(smooth / smooth.std(), group), Examples(noise[count:], group)


def test_held_out_real_ones_are_told_from_generated_ones():
    net, report = train(*examples(), SMALL, steps=120, seed=0)
    assert [sigma for sigma, _ in report.auc] == [0.0] and report.auc[0][1] > 0.95
    real, _ = examples()
    a, b = report.calibration
    assert a > 0 and float(torch.sigmoid(a * logits(net, real.x, 0.0) + b).mean()) > 0.7
    assert report.loss[0][1] > report.loss[-1][1] and report.steps == 120


def test_a_noise_aware_judge_knows_less_the_more_noise_there_is():
    _, report = train(*examples(), NetConfig(4, 1, (16, 16), 1, noise_aware=True), steps=200, seed=0)
    areas = dict(report.auc)
    assert tuple(areas) == SIGMAS
    assert areas[0.0] > 0.9 and areas[0.0] >= areas[0.8] - 0.03 and areas[0.8] > areas[3.2]


def test_equal_seeds_make_equal_judges_and_leave_the_global_one_alone():
    before = torch.random.get_rng_state()
    one, two, other = (train(*examples(40), SMALL, steps=3, seed=seed)[0].state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_group_is_trained_on_or_held_out_never_both():
    real, fake = examples(100)
    marked = [Examples(e.group[:, None, None, None].float().expand(-1, 4, 8, 8), e.group) for e in (real, fake)]
    kept, held = split(*marked, seed=3)
    on_one_side = [set(x[:, 0, 0, 0].tolist()) for x in (*kept, *held)]
    assert on_one_side[0] == on_one_side[1] and on_one_side[2] == on_one_side[3]
    assert not on_one_side[0] & on_one_side[2] and len(on_one_side[2]) == 10


def test_both_halves_of_a_batch_have_the_same_noise():
    real, _ = examples(40)
    trainer = Trainer([real.x, real.x], NetConfig(4, 1, (8, 8), 1, True), seed=0, rate=1e-3, batch=8)
    trainer.fake = trainer.real = real.x[:1]
    seen: list[torch.Tensor] = []
    trainer.net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    trainer.step(0.0)
    assert torch.equal(seen[0][:4], seen[0][4:]) and not torch.equal(seen[0][0], seen[0][1])


def test_too_few_examples_are_refused():
    with pytest.raises(AigcError, match="at least 16 real"):
        train(*examples(10), SMALL, steps=1)


def test_time_can_end_a_training_as_well_as_steps():
    _, report = train(*examples(40), SMALL, steps=10**9, seconds=0.5)
    assert 0 < report.steps < 10**6 and report.seconds < 20
