"""Comparing sets: equal ones, distant ones, and what brute force and theory say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.score import descriptor, features, pictures, prdc, sets
from pipelines.sources import Roots

from .judges import judge_file

CPU = Runtime("cpu")


def drawn(count: int, size: int = 4, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) + shift


def brute(real: torch.Tensor, fake: torch.Tensor, k: int) -> prdc.Covered:
    """The definitions, word by word."""

    def distance(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a.double() - b.double()).square().sum().sqrt().float())

    def radius(x: torch.Tensor, i: int) -> float:
        return sorted(distance(x[i], x[j]) for j in range(len(x)) if j != i)[k - 1]

    r, s = [radius(real, i) for i in range(len(real))], [radius(fake, j) for j in range(len(fake))]
    in_real = [[distance(x, y) <= r[i] * (1 + 1e-6) for i, x in enumerate(real)] for y in fake]
    in_fake = [[distance(x, y) <= s[j] * (1 + 1e-6) for j, y in enumerate(fake)] for x in real]
    return prdc.Covered(
        precision=sum(map(any, in_real)) / len(fake),
        recall=sum(map(any, in_fake)) / len(real),
        density=sum(map(sum, in_real)) / (k * len(fake)),
        coverage=sum(any(row[i] for row in in_real) for i in range(len(real))) / len(real),
    )


@pytest.mark.parametrize("seed", range(6))
def test_precision_recall_density_and_coverage_are_their_definitions(seed, monkeypatch):
    real, fake = drawn(14 + seed, 3, seed), drawn(19 - seed, 3, 50 + seed, 0.5)
    expected = brute(real, fake, 1 + seed % 4)
    assert prdc.prdc(real, fake, 1 + seed % 4) == pytest.approx(expected)
    monkeypatch.setattr(prdc, "CELLS", 1)  # a row at a time
    assert prdc.prdc(real, fake, 1 + seed % 4) == pytest.approx(expected)


def test_a_set_against_itself_and_against_one_far_away():
    real = drawn(40)
    same = prdc.prdc(real, real, 5)
    assert same == pytest.approx((1.0, 1.0, 6 / 5, 1.0))  # a ball of 5 neighbours holds its own centre too
    assert prdc.prdc(real, real + 1000, 5) == (0, 0, 0, 0)


def test_equal_distributions_have_the_density_and_coverage_that_theory_expects():
    """Naeem et al. 2020, section 3.3: density 1, coverage 1 - prod (N - i) / (M + N - i) over i = 1..k."""
    count, k = 600, 5
    found = prdc.prdc(drawn(count, 8), drawn(count, 8, 1), k)
    missed = 1.0
    for i in range(1, k + 1):
        missed *= (count - i) / (2 * count - i)
    assert found.density == pytest.approx(1, abs=0.06)
    assert found.coverage == pytest.approx(1 - missed, abs=0.02)


def test_a_mode_that_is_missing_costs_recall_and_coverage_not_precision():
    real = torch.cat([drawn(100), drawn(100, seed=1, shift=50.0)])
    found = prdc.prdc(real, drawn(100, seed=2), 5)
    assert found.precision > 0.9 and found.recall < 0.55 and 0.4 < found.coverage < 0.55


def test_twins_count_as_neighbours():
    assert prdc.radii(torch.tensor([[0.0], [0.0], [3.0]]), 1).tolist() == [0, 0, 3]


def test_the_spread_is_the_mean_distance_of_pairs():
    x = torch.tensor([[0.0], [1.0], [3.0]])
    assert prdc.spread(x) == pytest.approx((1 + 3 + 2) / 3)
    assert prdc.spread(x[:1]) == 0 == prdc.spread(x[:0])


def test_fid_of_two_normal_sets_is_the_formula():
    """Means that differ by d along one axis and equal spread: d^2. Spread s against 1 along D axes: D (s - 1)^2."""
    real = drawn(4000, 3)
    assert sets.fid(real, real) == pytest.approx(0, abs=1e-6)
    assert sets.fid(real, real + torch.tensor([2.0, 0, 0])) == pytest.approx(4, rel=1e-4)
    spread = float(real.double().var(0).sum())
    assert sets.fid(real, real.mean(0) + 3 * (real - real.mean(0))) == pytest.approx(4 * spread, rel=1e-4)


def test_kid_of_whole_sets_is_the_unbiased_estimate_and_draws_repeat():
    real, fake = drawn(30), drawn(30, seed=1, shift=1.0)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.double() @ b.double().T / a.shape[1] + 1) ** 3

    n = len(real)
    off = 1 - torch.eye(n, dtype=torch.float64)
    mmd = ((kernel(real, real) + kernel(fake, fake)) * off).sum() / (n * (n - 1)) - 2 * kernel(real, fake).mean()
    mean, std = sets.kid(real, fake, subset=n)
    assert mean == pytest.approx(float(mmd), rel=1e-6) and std == pytest.approx(0, abs=1e-9)
    state = torch.get_rng_state()
    assert sets.kid(real, fake, subset=10) == sets.kid(real, fake, subset=10)
    assert torch.equal(state, torch.get_rng_state()), "the draws leave torch's own generator alone"


def test_the_descriptor_tells_colours_directions_and_sharpness_apart():
    x = torch.rand(6, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    found = descriptor.describe(x)
    assert found.shape == (6, descriptor.SIZE)
    assert torch.allclose(found[2:3], descriptor.describe(x[2:3]), atol=1e-5), "a batch equals its singles"
    grey = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert float(descriptor.describe(grey)[:, [1, 2, 4, 5]].abs().max()) < 1e-4, "grey has no colour"
    rows = torch.arange(128).view(1, 1, -1, 1).expand(1, 3, 128, 128) / 8
    stripes = 0.5 + 0.5 * torch.sin(rows.float())
    along, across = descriptor.describe(stripes)[0, 18:26], descriptor.describe(stripes.mT)[0, 18:26]
    assert int(along.argmax()) == 4 and int(across.argmax()) == 0
    blurred = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    assert bool((descriptor.describe(blurred)[:, 26:] < found[:, 26:]).all())


def net_of(name: str = "statistics", judge=None):
    return features.opened(name, judge, roots=Roots(), runtime=CPU)


def random_images(count: int, seed: int, dark: float = 1.0) -> torch.Tensor:
    return dark * torch.rand(count, 24, 24, 3, generator=torch.Generator().manual_seed(seed))


def test_images_in_memory_and_in_a_folder_give_the_same_figures(tmp_path: Path):
    real, fake = random_images(12, 0), random_images(11, 1, 0.7)
    real = (255 * real).round() / 255
    for i, picture in enumerate(real):
        Image.fromarray((255 * picture).round().byte().numpy()).save(tmp_path / f"{i:02}.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    (tmp_path / "words.txt").write_text("no picture at all")
    with net_of() as net:
        memory = sets.compare(real, fake, net, k=3, runtime=CPU)
        folder = sets.compare(str(tmp_path), fake, net, k=3, runtime=CPU)
    assert (folder.fid, folder.kid) == pytest.approx((memory.fid, memory.kid), rel=1e-5)
    assert folder.covered == memory.covered and (memory.real, memory.generated) == (12, 11)
    assert "left out broken.png" in sets.table(folder) and "left out" not in sets.table(memory)
    assert "go by KID" in sets.table(memory) and memory.subset == 5


def test_a_learned_judge_of_latents_is_a_feature_net(tmp_path: Path):
    judge = judge_file(tmp_path / "j.safetensors")
    latents = {"samples": torch.randn(12, 4, 8, 8, generator=torch.Generator().manual_seed(0))}
    with net_of(judge=judge) as net:
        near = sets.compare(latents, latents, net, runtime=CPU)
        far = sets.compare(latents, {"samples": 3 + 2 * latents["samples"]}, net, runtime=CPU)
        with pytest.raises(AigcError, match="got a folder of pictures"):
            sets.compare(str(tmp_path), latents, net, runtime=CPU)
        with pytest.raises(AigcError, match="Expected latents for test, got pictures"):
            sets.compare(random_images(12, 0), latents, net, runtime=CPU)
    assert near.fid < 1e-3 < far.fid and near.covered.precision == 1 and "16 features" in near.net


def test_a_trunk_decides_as_the_judge_does(tmp_path: Path):
    """The head on the mean of the features is the logit: it is linear, and so is the mean."""
    from pipelines.score.judges import judging

    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with judging(judge_file(tmp_path / "j.safetensors"), CPU) as judge:
        head = judge.net.head[-1]
        by_hand = judge.features(x) @ head.weight.flatten() + head.bias
        assert torch.allclose(judge.logit(x), by_hand, atol=1e-5)


def test_an_image_encoder_in_a_folder_sees_what_transformers_shows_it(tmp_path: Path):
    from transformers import CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    CLIPVisionModel(CLIPVisionConfig(intermediate_size=16, **sizes)).save_pretrained(tmp_path / "clip")
    Dinov2Model(Dinov2Config(mlp_ratio=1, **sizes)).save_pretrained(tmp_path / "dino")
    roots = Roots(image_encoders=(tmp_path,))
    assert features.names(roots) == ["statistics", "clip", "dino"]
    images = random_images(12, 0)
    for name in ("clip", "dino"):
        with features.opened(name, None, roots=roots, runtime=CPU) as net:
            found = sets.compare(images, images, net, runtime=CPU)
            x = images.movedim(-1, 1)
            assert torch.allclose(net.points(x)[3:4], net.points(x[3:4]), atol=1e-5)
        assert found.fid < 1e-3 and "16 features" in found.net
    (tmp_path / "clip" / "config.json").write_text('{"model_type": "bert"}')
    from pipelines.score import vision

    vision.open_encoder.cache_clear()
    with pytest.raises(AigcError, match="got bert"), features.opened("clip", None, roots=roots, runtime=CPU):
        pass


def test_too_few_or_no_folder_or_a_formula_as_net_is_refused(tmp_path: Path):
    from .test_calibrating import formula

    with net_of() as net:
        with pytest.raises(AigcError, match="at least 10 generated ones to compare sets, got 9"):
            sets.compare(random_images(10, 0), random_images(9, 1), net, runtime=CPU)
        with pytest.raises(AigcError, match="which is not there"):
            sets.compare(str(tmp_path / "gone"), random_images(10, 1), net, runtime=CPU)
    with net_of(judge=formula("sharpness")) as net, pytest.raises(AigcError, match="trained judge as the feature net"):
        sets.compare(random_images(10, 0), random_images(10, 1), net, runtime=CPU)


def test_pictures_of_other_sizes_come_in_batches_of_one_size(tmp_path: Path):
    for i, size in enumerate([(8, 8), (8, 8), (8, 4), (8, 8), (8, 8), (8, 8)]):
        Image.new("RGB", size, (i, i, i)).save(tmp_path / f"{i}.png")
    got = list(pictures.batches(pictures.listed(str(tmp_path), tmp_path), 2, lambda *_: None))
    assert [[path.stem for path in paths] for paths, _ in got] == [["0", "1"], ["2"], ["3", "4"], ["5"]]
    assert got[1][1].shape == (1, 3, 4, 8) and float(got[2][1][0, 0, 0, 0] * 255) == pytest.approx(3)
    assert [p.name for p in pictures.listed("[12].png", tmp_path)] == ["1.png", "2.png"]


def test_pictures_are_letterboxed_to_the_first_ones_size():
    first, wide = torch.full((3, 8, 8), 0.5), torch.ones(3, 4, 16)
    made = pictures.letterboxed([first, wide])
    assert made.shape == (2, 8, 8, 3) and torch.equal(made[0], first.movedim(0, -1))
    assert made[1, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
