"""Judges by formula: each moves the way its name says, is blind to what it should be blind to, and has a slope."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipelines.payloads import Discriminator
from pipelines.runtime import Runtime
from pipelines.score import closed_form, formulas, judges, scoring
from pipelines.sources import Roots


def picture(side: int = 128, seed: int = 0) -> torch.Tensor:
    """Smooth blobs with edges: noise at three scales, in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(1, 3, n, n, generator=generator), (side, side), mode="bicubic", align_corners=False)
        for n in (4, 16, 64)
    ]
    return sum(w * layer for w, layer in zip((0.6, 0.3, 0.1), layers)).clamp(0, 1)  # type: ignore[union-attr]


def blurred(x: torch.Tensor, size: int = 5) -> torch.Tensor:
    return F.avg_pool2d(F.pad(x, (size // 2,) * 4, mode="reflect"), size, 1)


def test_a_blurred_picture_is_less_sharp_and_contrast_alone_is_not_sharpness():
    x = picture()
    sharp, soft, softer = (float(formulas.sharpness(v)) for v in (x, blurred(x), blurred(x, 9)))
    assert sharp > soft > softer
    assert float(formulas.sharpness(0.25 + 0.5 * x)) == pytest.approx(sharp, abs=0.01)


def test_mid_grey_is_well_exposed_and_black_or_white_is_not():
    levels = [float(formulas.exposure(torch.full((1, 3, 8, 8), v))) for v in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert levels[2] == 1.0 and levels[1] == pytest.approx(levels[3]) and levels[0] < 0.001 > levels[4]


def test_grey_is_colourless_and_more_saturation_is_more_colour():
    x = picture()
    grey = formulas.luma(x).expand(-1, 3, -1, -1)
    strengths = [float(formulas.colourfulness(grey + s * (x - grey))) for s in (0.0, 0.5, 1.0)]
    assert strengths[0] < 0.1 and strengths[1] == pytest.approx(strengths[2] / 2, rel=0.02)


@pytest.mark.parametrize("period", (2, 4, 8))
@pytest.mark.parametrize("phase", (0, 1))
def test_a_grid_is_seen_at_every_period_and_phase(period, phase):
    x, grid = picture(), picture()
    grid[:, :, phase::period] += 0.03
    clean, marked = (float(formulas.regularity(v)) for v in (x, grid))
    assert marked < clean - 2


def test_noise_has_no_grid_and_a_small_picture_says_nothing():
    noise = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert float(formulas.regularity(noise)) > -2
    assert float(formulas.regularity(noise[..., :24, :24])) == 0


@pytest.mark.parametrize("name", closed_form.TABLE)
def test_each_is_a_judge_by_name_a_batch_equals_its_singles_and_it_has_a_slope(name):
    judge = judges.open_discriminator(name, roots=Roots())
    x = torch.cat([picture(seed=i) for i in range(3)])
    image = x.movedim(1, -1)
    whole = scoring.score(judge, image, runtime=Runtime("cpu"))
    singles = [scoring.score(judge, image[i : i + 1], runtime=Runtime("cpu")).values[0] for i in range(3)]
    assert whole.values == pytest.approx(singles, rel=1e-5) and whole.probability is None and whole.unit
    maps = scoring.heatmap(judge, image, runtime=Runtime("cpu"))
    assert maps.shape == (3, 128, 128) and torch.isfinite(maps).all() and bool(maps.any())


@pytest.mark.parametrize("name", closed_form.TABLE)
def test_flat_black_and_white_pictures_have_a_score_and_a_finite_slope(name):
    judge = closed_form.open_judge(Discriminator(closed_form.spec(name), name))
    x = torch.stack([torch.zeros(3, 64, 64), torch.ones(3, 64, 64)]).requires_grad_()
    values = judge.logit(x)
    (slope,) = torch.autograd.grad(values.sum(), x)
    assert torch.isfinite(values).all() and torch.isfinite(slope).all()
