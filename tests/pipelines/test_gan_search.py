"""Projection finds what the GAN can draw and keeps the best when stopped; rejection follows the exact ratio."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.gan import files, generate, opening, project, rejection, styles
from pipelines.payloads import Gan, Style

from .gans import CPU, design, drawn, made, networks


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    opening.release_all(CPU)


@pytest.fixture
def stylegan(tmp_path: Path) -> Gan:
    return made(tmp_path)


@pytest.fixture
def dcgan(tmp_path: Path) -> Gan:
    return made(tmp_path, "dcgan")


@pytest.mark.parametrize("space", project.SPACES)
def test_the_descent_improves_on_where_it_began(stylegan, space):
    """These weights are random, and harder to descend on than trained ones: those are in test_gan_wheels."""
    image = drawn(stylegan, styles.sample(stylegan, seed=123, count=2))
    first = project.project(stylegan, image, space=space, steps=1, runtime=CPU)
    found = project.project(stylegan, image, space=space, steps=20, highest=0.1, runtime=CPU)
    assert all(after > before for after, before in zip(found.psnr, first.psnr)), (found.psnr, first.psnr)
    assert found.steps == 20 and not found.stopped
    assert torch.allclose(drawn(stylegan, found.style), found.image, atol=1e-5)
    assert project.psnr(found.image, image) == pytest.approx(found.psnr, abs=1e-3)
    if space == "w":
        assert torch.equal(found.style.w[:, :1].expand(-1, 8, -1), found.style.w)


@pytest.mark.parametrize("space", project.SPACES)
def test_a_picture_of_a_style_that_is_tried_first_is_found(stylegan, space):
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))[[5, 40]]
    image = drawn(stylegan, Style(z, None, (-1, -1), (0, 0)))
    found = project.project(stylegan, image, space=space, steps=30, highest=0.01, runtime=CPU)
    assert min(found.psnr) > 25, found.psnr


def test_projecting_a_batch_equals_its_singles(dcgan):
    image = drawn(dcgan, styles.sample(dcgan, seed=5, count=2))
    both = project.project(dcgan, image, steps=10, runtime=CPU)
    for i in range(2):
        alone = project.project(dcgan, image[i : i + 1], steps=10, runtime=CPU)
        assert torch.allclose(both.style.z[i], alone.style.z[0], atol=1e-4)


def test_stopping_keeps_the_best_so_far_and_shows_it(stylegan):
    class Stop(Exception):
        pass

    seen = []

    def on_step(step: int, total: int, preview) -> None:
        seen.append((step, total, preview().size))
        if step == 5:
            raise Stop

    image = drawn(stylegan, styles.sample(stylegan, seed=123, count=1))
    found = project.project(stylegan, image, steps=50, runtime=CPU, on_step=on_step, stops=(Stop,))
    assert seen == [(i, 50, (64, 32)) for i in range(1, 6)]
    assert found.stopped and found.steps == 5 and "stopped by you after 5 steps" in project.told(found, "w+")
    with pytest.raises(Stop):
        project.project(stylegan, image, steps=50, runtime=CPU, on_step=on_step)
    start = project.project(stylegan, image, steps=1, runtime=CPU)
    assert found.psnr[0] >= start.psnr[0] > 5


def test_projection_of_other_shapes_takes_the_middle_square_and_wants_a_class(tmp_path: Path):
    image = torch.rand(1, 40, 64, 3, generator=torch.Generator().manual_seed(0))
    x = generate.from_image(image, 40)
    assert torch.equal(x, 2 * image[:, :, 12:52].movedim(-1, 1) - 1)
    gan = made(tmp_path, classes=2)
    with pytest.raises(AigcError, match="class of the picture, 0 to 1, got -1"):
        project.project(gan, image, runtime=CPU)
    assert project.project(gan, image, label=1, steps=1, runtime=CPU).style.labels == (1,)


def test_acceptance_is_the_density_ratio_over_its_largest():
    """Without gamma sigmoid(F) is exp(D - D_M): the rejection sampling of the paper's equation 2."""
    logit, largest = torch.linspace(-4, 2, 7).double(), torch.tensor(2.5, dtype=torch.float64)
    assert torch.allclose(rejection.acceptance(logit, largest, 0.0), (logit - largest).exp(), rtol=1e-6)
    assert rejection.acceptance(largest, largest, 0.0) > 0.999
    assert (rejection.acceptance(logit, largest, 3.0) < rejection.acceptance(logit, largest, 1.0)).all()


def test_rejected_sets_move_to_the_real_distribution(monkeypatch, dcgan):
    """A generator of brightness N(0, 1) and the exact log ratio to N(0.8, 0.5^2): the kept ones have that mean and spread."""
    score = torch.distributions.Normal(0.8, 0.5), torch.distributions.Normal(0.0, 1.0)
    monkeypatch.setattr(rejection, "drawn", lambda g, gan, style, rows, noise, runtime: style.z[:, :1])
    monkeypatch.setattr(
        rejection, "_scorer", lambda *_: lambda x, labels: (score[0].log_prob(x) - score[1].log_prob(x))[:, 0]
    )
    monkeypatch.setattr(rejection, "images", lambda gan, style, runtime: torch.zeros(len(style.z), 1, 1, 3))
    found = rejection.reject(dcgan, seed=0, keep=400, percentile=0, runtime=CPU)
    kept = found.style.z[:, 0]
    assert found.filled == 0 and 0 < found.rate < 1
    assert float(kept.mean()) == pytest.approx(0.8, abs=0.1) and float(kept.std()) == pytest.approx(0.5, abs=0.08)


def test_rejection_keeps_what_is_asked_by_its_own_discriminator_and_repeats(stylegan):
    one = rejection.reject(stylegan, seed=0, keep=5, runtime=CPU)
    again = rejection.reject(stylegan, seed=0, keep=5, runtime=CPU)
    assert len(one.style.z) == 5 and one.style.seeds == again.style.seeds and torch.equal(one.image, again.image)
    assert torch.allclose(one.image, drawn(stylegan, one.style), atol=1e-6)
    assert f"5 kept of {one.tried} tried" in rejection.told(one)
    few = rejection.reject(stylegan, seed=0, keep=5, most=5, percentile=100, runtime=CPU)
    assert few.filled > 0 and len(few.style.z) == 5 and "since the tries ran out" in rejection.told(few)


def test_rejection_without_a_discriminator_is_refused(tmp_path: Path):
    g, _ = networks("dcgan")
    gan = files.save(tmp_path / "g.safetensors", design("dcgan"), {"generator": g})
    with pytest.raises(AigcError, match="with generator only: connect a judge"):
        rejection.reject(gan, seed=0, keep=1, runtime=CPU)
