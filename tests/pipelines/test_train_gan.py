"""GAN training: losses against their formulas, augmentation, averages, and a GAN from files to a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from pipelines import gan as gans
from pipelines.data import collecting
from pipelines.errors import AigcError
from pipelines.gan import files
from pipelines.payloads import Dataset, Design
from pipelines.runtime import Runtime
from pipelines.train import augment, averages, chart, comparing, designs, losses, making, metrics, run, words
from pipelines.train.gan import GanObjective, Settings
from pipelines.train.objective import Course

LOGITS = torch.tensor([0.3, -1.2, 2.0]), torch.tensor([-0.5, 0.7, 0.1])


def test_adversarial_losses_are_their_formulas() -> None:
    real, fake = LOGITS
    sigmoid = torch.sigmoid
    expected = {
        "relativistic": (-sigmoid(real - fake).log().mean(), -sigmoid(fake - real).log().mean()),
        "non-saturating": (-sigmoid(real).log().mean() - (1 - sigmoid(fake)).log().mean(), -sigmoid(fake).log().mean()),
    }
    for name, (d, g) in losses.ADVERSARIAL.items():
        assert torch.allclose(d(real, fake), expected[name][0]) and torch.allclose(g(real, fake), expected[name][1])
    assert losses.relativistic_discriminator(real, real) == pytest.approx(math.log(2))


def test_the_gradient_penalty_is_that_of_the_slope_and_can_be_learned_from() -> None:
    weight = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    x = torch.randn(4, 3, requires_grad=True)
    found = losses.gradient_penalty((x * weight).sum(1), x)
    assert float(found.detach()) == pytest.approx(14.0)
    found.backward()
    assert torch.allclose(weight.grad, 2 * weight.detach())


def test_the_closed_form_losses_agree_with_torchs_distributions() -> None:
    mean, log_variance = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    there = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(there, torch.distributions.Normal(0.0, 1.0)).flatten(1).sum(1)
    assert torch.allclose(losses.kl_divergence(mean, log_variance), expected, atol=1e-5)
    x, y, scale = torch.rand(5, 6), torch.rand(5, 6), torch.tensor(-0.7)
    density = torch.distributions.Laplace(y, scale.exp()).log_prob(x).sum(1)
    assert torch.allclose(losses.laplace_nats(x, y, scale), -density, atol=1e-5)
    # A density that is even over -1..1 says nothing: 8 bits for each of 256 levels.
    assert losses.bits_per_dimension(10 * math.log(2), 10) == pytest.approx(math.log2(2 * 127.5))


def test_velocity_flow_and_min_snr() -> None:
    x0, noise, angle = torch.randn(3, 2, 4), torch.randn(3, 2, 4), torch.tensor([0.1, 0.8, 1.4])
    alpha, sigma = angle.cos(), angle.sin()
    x, v = losses.noised(x0, noise, alpha, sigma), losses.velocity(x0, noise, alpha, sigma)
    assert torch.allclose(losses.along(alpha, x) * x - losses.along(sigma, x) * v, x0, atol=1e-6)
    x, v = losses.flow_pair(x0, noise, torch.tensor([0.0, 0.5, 1.0]))
    assert (
        torch.equal(x[0], x0[0])
        and torch.equal(x[2], noise[2])
        and torch.allclose(x - losses.along(torch.tensor([0.0, 0.5, 1.0]), x) * v, x0, atol=1e-6)
    )
    snr = torch.tensor([0.1, 5.0, 50.0])
    assert torch.allclose(losses.min_snr(snr, "epsilon"), torch.tensor([1.0, 1.0, 0.1]))
    assert torch.allclose(losses.min_snr(snr, "v_prediction"), torch.tensor([0.1 / 1.1, 5 / 6, 5 / 51]))
    assert losses.shifted(torch.tensor(0.5), 1.0) == 0.5 and losses.shifted(torch.tensor(1.0), 3.0) == 1.0


def test_augmentation_off_is_the_picture_itself_and_on_lets_slopes_pass() -> None:
    x = torch.rand(6, 3, 16, 16) * 2 - 1
    policies = tuple(augment.POLICIES)
    assert augment.augmented(x, policies, 0.0, torch.Generator()) is x
    x = x.requires_grad_(True)
    a, b = (augment.augmented(x, policies, 1.0, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, x)
    a.sum().backward()
    assert x.grad is not None and x.grad.abs().flatten(1).sum(1).min() > 0
    half = augment.augmented(x.detach(), ("cutout",), 0.5, torch.Generator().manual_seed(1))
    changed = (half != x.detach()).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 6


def test_translation_moves_whole_pixels() -> None:
    x = torch.rand(8, 3, 16, 16)
    moved = augment.translation(x, 1.0, torch.Generator().manual_seed(0))
    for row, there in zip(x, moved):
        padded = F.pad(row, (2, 2, 2, 2))
        windows = [padded[:, i : i + 16, j : j + 16] for i in range(5) for j in range(5)]
        assert sum(torch.equal(there, window) for window in windows) == 1


def test_adaptive_augmentation_rises_when_d_knows_its_pictures() -> None:
    up, down = augment.next_chance(0.1, 0.9, 1000), augment.next_chance(0.1, 0.2, 1000)
    assert up == pytest.approx(0.11) and down == pytest.approx(0.09)
    assert augment.next_chance(0.0, 0.0, 1000) == 0.0 and augment.next_chance(0.9, 1.0, 10**6) == 0.9


def test_the_average_halves_in_its_half_life() -> None:
    net = nn.Linear(3, 2)
    average = averages.averaged(net)
    start = average.weight.clone()
    with torch.no_grad():
        net.weight += 1
    decay = averages.decay_of(400, 10**9, 100)
    for _ in range(4):
        averages.follow(average, net, decay)
    assert torch.allclose(average.weight, start + 0.5, atol=1e-6) and not average.weight.requires_grad
    assert averages.decay_of(400, 100, 100) < 1e-6  # in the beginning it forgets at once


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty pictures of two classes: discs and squares in colours."""
    folder, dice = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    for number in range(60):
        kind = ("disc", "square")[number % 2]
        y, x, size = *dice.integers(5, 11, 2), dice.integers(2, 5)
        inside = np.maximum(abs(rows - y), abs(columns - x)) <= size
        if kind == "disc":
            inside = (rows - y) ** 2 + (columns - x) ** 2 <= size**2
        picture = np.where(inside[..., None], dice.integers(0, 255, 3), 255).astype(np.uint8)
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / kind / f"{number:02}.png")
    return collecting.collect([str(folder)], Path(), labelled=True)


def small(kind: str, classes: int = 0) -> Design:
    given = {"resolution": 16, "z_dim": 8, "classes": classes, "width": 8, "most": 16}
    known = {name: value for name, value in given.items() if name in gans.options(Design("gan", kind))}
    return Design("gan", kind, known)


def trained(dataset: Dataset, folder: Path, kind: str = "dcgan", classes: int = 0, **course: int) -> making.Made:
    settings = Settings(penalty=0.1, penalty_every=2, chance=-1.0)
    return making.train_gan(
        dataset, small(kind, classes), settings, Course(**{"steps": 6, "batch": 8, "examine_every": 3, **course}), folder,
        mirror=True, runtime=Runtime("cpu"),
    )  # fmt: skip


@pytest.mark.parametrize("kind", list(gans.KINDS))
def test_every_kind_trains_and_its_file_draws_what_the_trainer_showed(
    dataset: Dataset, tmp_path: Path, kind: str
) -> None:
    made = trained(dataset, tmp_path, kind, classes=2)
    assert made.sitting.step == 6 and set(made.gan.parts) == {"generator", "average", "discriminator"}
    best = made.sitting.best[0]
    assert best in (0, 3, 6) and made.sitting.run.best == best
    objective = made.sitting.objective
    assert isinstance(objective, GanObjective)
    if best == 6:
        z, labels = objective.fixed(4)
        shown = objective.pictures(4)
        from_file = files.network(made.gan, "average")(z, labels, noise="const")
        assert torch.allclose(shown.movedim(-1, 1), ((from_file + 1) / 2).clamp(0, 1), atol=1e-6)
    assert "held-out KID" in making.told(made)
    assert chart.drawn(made.sitting, 4).width > chart.WIDE


def test_trained_in_two_sittings_equals_one(dataset: Dataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "one", "stylegan2")
    trained(dataset, tmp_path / "two", "stylegan2", steps=2)
    resumed = making.resume(tmp_path / "two", dataset, 4, 5.0, runtime=Runtime("cpu"))
    assert resumed.sitting.step == 6
    a, b = (files.weights(files.describe(tmp_path / name / making.FILE)[0]) for name in ("one", "two"))
    assert all(torch.equal(a[part][name], b[part][name]) for part in a for name in a[part])
    last, other = (metrics.read(tmp_path / name)[-1]["examined"] for name in ("one", "two"))
    assert last == other


def test_what_is_held_out_is_not_trained_on(dataset: Dataset) -> None:
    train, held = making.split(dataset, 0)
    assert len(train.items) + len(held.items) == 60 and len(held.items) == 9
    assert not {item.path for item in train.items} & {item.path for item in held.items}


def test_too_few_pictures_other_classes_or_another_design_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    few = Dataset(dataset.items[:20])
    with pytest.raises(AigcError, match="at least 32 pictures to train on, got 20"):
        trained(few, tmp_path / "few")
    with pytest.raises(AigcError, match="3 classes for this design, got 2"):
        trained(dataset, tmp_path / "classes", classes=3)
    with pytest.raises(AigcError, match="Expected a training in"):
        making.resume(tmp_path / "nothing", dataset, 1, 1.0, runtime=Runtime("cpu"))


def test_runs_are_compared_best_first(dataset: Dataset, tmp_path: Path) -> None:
    for name, steps in (("short", 1), ("long", 6)):
        trained(dataset, tmp_path / name, steps=steps)
    found = comparing.compared([tmp_path / "short", tmp_path / "long", tmp_path / "short"])
    scores = [course.best()[1] for course in found]
    assert len(found) == 2 and scores == sorted(scores)
    assert comparing.told(found).count("best held-out figure") == 2
    assert comparing.drawn(found).width == 2 * chart.WIDE


def test_words_of_the_node_become_settings() -> None:
    design = designs.gan("dcgan", 32)
    given = {"steps": 9, "minutes": 1.0, "batch": 4, "learning_rate": 0.002, "loss": "relativistic", "mirror": False}
    settings, course, mirror = words.of_gan(
        design, **given, penalty=0.0, penalty_every=2, augmentation="none", examine_every=5, training_seed=7
    )
    assert (
        settings.penalty == making.penalty_for(32) > 0
        and settings.penalty_every == 2
        and settings.augment == ()
        and settings.chance == 0
    )
    assert (course.steps, course.seed, mirror) == (9, 7, False)
    assert "million weights" in designs.told(design)
    assert run.rate_at(0, course) < 1
