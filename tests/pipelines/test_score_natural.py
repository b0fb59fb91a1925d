"""Natural-scene statistics: fits find what samples were drawn from, the definition is the paper's, what is spoiled scores lower."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.score import judges, natural, scoring, spectrum
from pipelines.score import scene_statistics as scene
from pipelines.score.formulas import luma
from pipelines.sources import Roots

CPU = Runtime("cpu")


def generalised(shape: float, left: float, right: float, count: int = 200_000) -> torch.Tensor:
    """Samples of an asymmetric generalised Gaussian with these scales, by powers of Gamma variables."""
    dice = np.random.default_rng(0)
    size = dice.gamma(1 / shape, size=count) ** (1 / shape)
    sides = dice.random(count) < left / (left + right)
    return torch.from_numpy(np.where(sides, -left * size, right * size)).float()


def leaves(side: int = 192, seed: int = 0) -> torch.Tensor:
    """A dead-leaves picture [3, s, s]: discs that hide one another, which have the statistics of photographs (Lee et al. 2001)."""
    dice = np.random.default_rng(seed)
    rows, columns = np.mgrid[: 2 * side, : 2 * side]
    x = np.full((3, 2 * side, 2 * side), 0.5, dtype=np.float32)
    for _ in range(900):
        radius = 2 * (3**-2 - dice.random() * (3**-2 - 60**-2)) ** -0.5
        y, z = dice.random(2) * 2 * side
        x[:, (rows - y) ** 2 + (columns - z) ** 2 < radius**2] = dice.random((3, 1)) * 0.8 + 0.1
    x = F.interpolate(torch.from_numpy(x)[None], (side, side), mode="bicubic", antialias=True)[0]
    grain = 0.006 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + grain).clamp(0, 1)


def test_the_fit_finds_the_shape_that_samples_were_drawn_with():
    for shape in (0.5, 1.0, 2.0, 4.0):
        x = generalised(shape, 1.5, 1.5)
        found, power = scene.symmetric_fit(x)
        variance = 1.5**2 * math.gamma(3 / shape) / math.gamma(1 / shape)
        assert float(found) == pytest.approx(shape, rel=0.03) and float(power) == pytest.approx(variance, rel=0.03)
    assert float(scene.symmetric_fit(torch.linspace(-1, 1, 1001))[0]) > 9.9  # uniform: the table's end


@pytest.mark.parametrize("shape", (0.7, 1.0, 2.0))
def test_the_asymmetric_fit_finds_both_sides_and_the_mean(shape):
    left, right = 0.4, 1.0
    found, mean, below, above = scene.asymmetric_fit(generalised(shape, left, right))
    spread = math.gamma(3 / shape) / math.gamma(1 / shape)
    assert float(found) == pytest.approx(shape, rel=0.05)
    assert float(below) == pytest.approx(left**2 * spread, rel=0.05)
    assert float(above) == pytest.approx(right**2 * spread, rel=0.05)
    assert float(mean) == pytest.approx((right - left) * math.gamma(2 / shape) / math.gamma(1 / shape), rel=0.05)


def test_the_coefficients_are_the_papers_equation_at_every_pixel():
    grey = luma(leaves(40)[None])
    at = np.arange(7) - 3
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    i = 255 * grey[0, 0].double().numpy()
    found = scene.mscn(grey)[0, 0]
    assert found.shape == (34, 34)
    for row, column in ((0, 0), (10, 3), (33, 33), (17, 20)):
        part = i[row : row + 7, column : column + 7]
        mean = (window * part).sum()
        deviation = math.sqrt((window * (part - mean) ** 2).sum() + 1e-6)
        assert float(found[row, column]) == pytest.approx((i[row + 3, column + 3] - mean) / (deviation + 1), abs=1e-3)


def test_neighbours_are_right_below_and_both_diagonals():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert scene.neighbours(x)[0].tolist() == [
        [1 * 2, 2 * 3, 5 * 6, 6 * 7],
        [1 * 5, 2 * 6, 5 * 9, 6 * 10],
        [1 * 6, 2 * 7, 5 * 10, 6 * 11],
        [1 * 4, 2 * 5, 5 * 8, 6 * 9],
    ]


def test_the_head_is_what_its_file_says():
    x = scene.brisque_features(torch.stack([leaves(64, seed) for seed in range(2)]))
    assert x.shape == (2, scene.FEATURES)
    head = {k: np.array(v) for k, v in natural.figures()["head"].items()}
    for row, found in zip(x.double().numpy(), natural.Natural().head(x)):
        variances = [i % 18 in natural.VARIANCES for i in range(36)]
        even = np.where(variances, np.log(np.maximum(row, 0) + 1e-4), row)
        inside = np.clip((even - head["mean"]) / head["std"], -4, 4)
        expected = np.tanh(head["weight"] @ inside + head["bias"]) @ head["out"] + head["offset"]
        assert float(found) == pytest.approx(float(expected), abs=1e-4)


def spoiled(x: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    board = (torch.arange(x.shape[2])[:, None] + torch.arange(x.shape[3])) % 2 - 0.5
    return {
        "blurred": F.avg_pool2d(F.pad(x, (2,) * 4, mode="reflect"), 5, 1),
        "noisy": (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1),
        "gridded": (x + 0.08 * board).clamp(0, 1),
        "enlarged": F.interpolate(F.avg_pool2d(x, 3), x.shape[2:], mode="bicubic").clamp(0, 1),
    }


def test_a_natural_picture_scores_above_the_same_one_spoiled_and_has_a_probability():
    judge = judges.open_discriminator("natural", roots=Roots())
    x = torch.stack([leaves(seed=seed) for seed in range(3)])
    clean = scoring.score(judge, x.movedim(1, -1), runtime=CPU)
    assert clean.probability is not None and clean.percentile is not None and min(clean.probability) > 0.5
    for name, worse in spoiled(x).items():
        found = scoring.score(judge, worse.movedim(1, -1), runtime=CPU)
        assert all(a > b for a, b in zip(clean.values, found.values)), name


@pytest.mark.parametrize("power", (1.0, 2.0, 3.0))
def test_the_spectrum_finds_the_exponent_of_a_field_and_not_its_contrast_or_size(power):
    found = []
    for side, contrast in ((128, 0.1), (256, 0.02)):
        f = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.fftfreq(side)[None]).clamp_min(1 / side)
        noise = torch.randn(side, side, generator=torch.Generator().manual_seed(1))
        field = torch.fft.ifft2(torch.fft.fft2(noise) * f ** (-power / 2)).real
        x = (0.5 + contrast * field / field.std()).expand(1, 3, side, side)
        line = spectrum.profile(x)[0]
        assert float(line[0]) == pytest.approx(power, abs=0.15) and float(line[1:].abs().max()) < 0.6
        found.append(line)
    assert float((found[0] - found[1]).abs().max()) < 0.7


def test_an_enlarged_picture_falls_off_otherwise_than_a_photograph():
    judge = judges.open_discriminator("spectrum", roots=Roots())
    x = torch.stack([leaves(seed=seed) for seed in range(3)])
    clean = scoring.score(judge, x.movedim(1, -1), runtime=CPU).values
    for name in ("blurred", "enlarged"):
        worse = scoring.score(judge, spoiled(x)[name].movedim(1, -1), runtime=CPU).values
        assert all(a > b for a, b in zip(clean, worse)), name


@pytest.mark.parametrize("name", ("natural", "spectrum"))
def test_a_batch_equals_its_singles_and_the_slope_is_finite_even_of_flat_pictures(name):
    judge = judges.open_discriminator(name, roots=Roots())
    x = torch.cat([torch.stack([leaves(96, 1), leaves(96, 2)]), torch.zeros(1, 3, 96, 96), torch.ones(1, 3, 96, 96)])
    image = x.movedim(1, -1)
    whole = scoring.score(judge, image, runtime=CPU).values
    singles = [scoring.score(judge, image[i : i + 1], runtime=CPU).values[0] for i in range(4)]
    assert whole == pytest.approx(singles, rel=1e-3, abs=1e-4)
    maps = scoring.heatmap(judge, image, runtime=CPU)
    assert maps.shape == (4, 96, 96) and torch.isfinite(maps).all() and bool(maps[:2].any())
    assert scoring.score(judge, image[:0], runtime=CPU).values == ()
    with pytest.raises(AigcError, match="at least"):
        scoring.score(judge, image[:, :24, :24], runtime=CPU)
