"""Styles: one picture at truncation 0, parents at both ends of a mix, walks without a seam, edits, projection, rejection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines import gan as gans
from pipelines.errors import AigcError
from pipelines.gan import directions, files, generate, opening, project, rejection, styles
from pipelines.payloads import Gan, Style
from pipelines.runtime import Runtime

from .gans import design, networks

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    opening.release_all(CPU)


def made(path: Path, kind: str = "stylegan2", **options) -> Gan:
    g, d = networks(kind, **options)
    if kind == "stylegan2":
        with torch.no_grad():
            z = torch.randn(512, g.z_dim, generator=torch.Generator().manual_seed(9))
            labels = torch.arange(512) % g.classes if g.classes else None
            g.w_average.copy_(g.mapping(z, labels).mean(0))
    return files.save(path / f"{kind}.safetensors", design(kind, **options), {"generator": g, "discriminator": d})


@pytest.fixture
def stylegan(tmp_path: Path) -> Gan:
    return made(tmp_path)


@pytest.fixture
def dcgan(tmp_path: Path) -> Gan:
    return made(tmp_path, "dcgan")


def drawn(gan: Gan, style: Style, noise: str = "const") -> torch.Tensor:
    return generate.images(gan, style, noise=noise, runtime=CPU)


@pytest.mark.parametrize("kind", tuple(gans.KINDS))
def test_row_i_is_made_from_seed_plus_i_and_a_batch_equals_its_singles(tmp_path: Path, kind):
    gan = made(tmp_path, kind, classes=3)
    style = styles.sample(gan, seed=5, count=4)
    assert style.seeds == (5, 6, 7, 8) and set(style.labels) <= {0, 1, 2}
    alone = styles.sample(gan, seed=7, count=1)
    assert torch.equal(style.z[2:3], alone.z) and style.labels[2] == alone.labels[0]
    for noise in ("random", "const", "none"):
        batch = drawn(gan, style, noise)
        assert batch.shape == (4, 32, 32, 3) and 0 <= batch.min() and batch.max() <= 1
        assert torch.allclose(batch[2:3], drawn(gan, alone, noise), atol=1e-5)
        assert torch.equal(batch, drawn(gan, style, noise))


def test_classes_are_drawn_set_or_refused(tmp_path: Path, stylegan):
    gan = made(tmp_path, "r3gan", classes=3)
    assert len(set(styles.sample(gan, seed=0, count=30).labels)) == 3
    assert styles.sample(gan, seed=0, count=2, label=1).labels == (1, 1)
    assert torch.equal(styles.sample(gan, seed=0, count=2, label=1).z, styles.sample(gan, seed=0, count=2).z)
    with pytest.raises(AigcError, match="classes from 0 to 2, got 3"):
        styles.sample(gan, seed=0, count=1, label=3)
    with pytest.raises(AigcError, match="no classes, got 0"):
        styles.sample(stylegan, seed=0, count=1, label=0)


def test_truncation_0_is_one_picture_for_all_seeds_and_1_is_off(stylegan):
    style = styles.sample(stylegan, seed=0, count=6)
    one = drawn(stylegan, styles.mapped(stylegan, style, truncation=0, runtime=CPU))
    other = drawn(
        stylegan, styles.mapped(stylegan, styles.sample(stylegan, seed=77, count=6), truncation=0, runtime=CPU)
    )
    assert torch.equal(one, other) and all(torch.equal(one[0], picture) for picture in one)
    plain = styles.mapped(stylegan, style, runtime=CPU)
    assert torch.equal(drawn(stylegan, plain), drawn(stylegan, style))
    assert styles.mapped(stylegan, plain, truncation=1, runtime=CPU).w is plain.w


def test_truncation_pulls_the_first_layers_towards_the_average(stylegan):
    plain = styles.mapped(stylegan, styles.sample(stylegan, seed=0, count=3), runtime=CPU)
    with opening.generating(stylegan, CPU) as g:
        average = g.w_average.clone()
    half = styles.mapped(stylegan, plain, truncation=0.5, cutoff=3, runtime=CPU)
    assert torch.allclose(half.w[:, :3], (plain.w[:, :3] + average) / 2, atol=1e-6)
    assert torch.equal(half.w[:, 3:], plain.w[:, 3:])


def test_a_gan_without_mapping_refuses_truncation_with_the_reason(dcgan):
    style = styles.sample(dcgan, seed=0, count=2)
    assert styles.mapped(dcgan, style, runtime=CPU) is style
    with pytest.raises(AigcError, match="scaling its z is not truncation"):
        styles.mapped(dcgan, style, truncation=0.7, runtime=CPU)


def test_mixing_at_both_ends_equals_the_parents_and_between_takes_layers(stylegan):
    a, b = (styles.mapped(stylegan, styles.sample(stylegan, seed=s, count=2), runtime=CPU) for s in (0, 50))
    from_a, from_b = drawn(stylegan, a), drawn(stylegan, b)

    def mixed(layers: str, strength: float = 1.0) -> Style:
        return styles.mix(stylegan, a, b, layers=layers, strength=strength, runtime=CPU)

    assert torch.equal(drawn(stylegan, mixed("0-")), from_b)
    assert torch.equal(drawn(stylegan, mixed("")), from_b)
    assert torch.equal(drawn(stylegan, mixed("", 0)), from_a)
    last = mixed("7")  # the last RGB's own layer: colours alone
    assert torch.equal(last.w[:, :7], a.w[:, :7]) and torch.equal(last.w[:, 7], b.w[:, 7])
    for layer in range(8):
        picture = drawn(stylegan, mixed(f"{layer}"))
        assert not torch.equal(picture, from_a) and not torch.equal(picture, from_b)
    part = mixed("0, 2-3:0.5", 0.5)
    share = torch.tensor([0.5, 0, 0.25, 0.25, 0, 0, 0, 0])[:, None]
    assert torch.allclose(part.w, a.w + share * (b.w - a.w), atol=1e-6)


def test_mixing_one_with_many_and_counts_that_do_not_match(stylegan):
    many, one, three = (styles.sample(stylegan, seed=0, count=n) for n in (2, 1, 3))
    assert styles.mix(stylegan, one, many, layers="4-", runtime=CPU).w.shape == (2, 8, 8)
    with pytest.raises(AigcError, match="got 2 and 3"):
        styles.mix(stylegan, many, three, runtime=CPU)
    for layers, says in (("8", "0 to 7"), ("3-1", "0 to 7"), ("a", "Expected layers such as"), ("1-2-3", "such as")):
        with pytest.raises(AigcError, match=says):
            styles.mix(stylegan, one, many, layers=layers, runtime=CPU)


def test_without_layers_z_turns_along_the_sphere(dcgan):
    a, b = (styles.sample(dcgan, seed=s, count=2) for s in (0, 50))
    assert torch.equal(styles.mix(dcgan, a, b, strength=0, runtime=CPU).z, a.z)
    assert torch.equal(styles.mix(dcgan, a, b, strength=1, runtime=CPU).z, b.z)
    half = styles.mix(dcgan, a, b, strength=0.5, runtime=CPU).z
    assert torch.allclose(half.norm(dim=1), (a.z.norm(dim=1) + b.z.norm(dim=1)) / 2)
    with pytest.raises(AigcError, match="no mapping network"):
        styles.mix(dcgan, a, b, layers="0-3", runtime=CPU)


def steps(points: torch.Tensor, loop: bool) -> torch.Tensor:
    after = torch.cat([points[1:], points[:1]]) if loop else points[1:]
    before = points if loop else points[:-1]
    return (after - before).flatten(1).norm(dim=1)


@pytest.mark.parametrize("mapped", (False, True))
@pytest.mark.parametrize("count", (2, 3, 5))
def test_a_loop_has_no_seam_and_its_second_round_is_the_first(stylegan, mapped, count):
    keys = styles.sample(stylegan, seed=3, count=count)
    keys = styles.mapped(stylegan, keys, runtime=CPU) if mapped else keys
    walk = styles.walk(stylegan, keys, frames=60, loop=True)
    points = walk.w if mapped else walk.z
    assert torch.equal(points[0], (keys.w if mapped else keys.z)[0])
    moved = steps(points, loop=True)
    assert moved[-1] <= moved.median() * 1.01 and moved.max() <= moved.median() * 1.05
    twice = torch.cat([drawn(stylegan, styles.walk(stylegan, keys, frames=60, loop=True)) for _ in range(2)])
    assert torch.equal(twice[60], twice[0])


@pytest.mark.parametrize("mapped", (False, True))
def test_an_even_walk_changes_its_picture_at_one_speed(stylegan, mapped):
    keys = styles.sample(stylegan, seed=3, count=3)
    keys = styles.mapped(stylegan, keys, runtime=CPU) if mapped else keys
    even = styles.walk(stylegan, keys, frames=96, loop=True, distance=generate.seen(stylegan, runtime=CPU))
    plain = styles.walk(stylegan, keys, frames=96, loop=True)
    seen, before = (steps(drawn(stylegan, walk), loop=True) for walk in (even, plain))
    assert torch.equal((even.w if mapped else even.z)[0], (keys.w if mapped else keys.z)[0])
    assert seen[-1] <= seen.median() * 1.1, (seen[-1], seen.median())
    assert seen.std() / seen.mean() < 0.5 * before.std() / before.mean()


def test_a_walk_that_is_no_loop_keeps_both_ends(dcgan):
    keys = styles.sample(dcgan, seed=3, count=3)
    walk = styles.walk(dcgan, keys, frames=31, loop=False)
    assert torch.equal(walk.z[0], keys.z[0]) and torch.equal(walk.z[-1], keys.z[-1]) and len(walk.z) == 31
    assert len(walk.labels) == len(walk.seeds) == 31
    norms = walk.z.norm(dim=1)
    assert norms.min() >= keys.z.norm(dim=1).min() - 1e-5  # no shortcut through the middle


@pytest.mark.parametrize(
    ("change", "frames", "says"),
    (
        (lambda s: Style(s.z[:1], None, s.labels[:1]), 10, "two key styles"),
        (lambda s: s, 1, "two frames"),
        (lambda s: replace(s, labels=(0, 1, 0)), 10, "map them first"),
        (lambda s: replace(s, z=s.z[:1].expand(3, -1), labels=(0, 0, 0)), 10, "that differ"),
        (lambda s: replace(s, z=s.z[:, :4]), 10, "another GAN's"),
    ),
)
def test_a_walk_that_cannot_be_is_refused(tmp_path: Path, change, frames, says):
    gan = made(tmp_path, classes=2)
    with pytest.raises(AigcError, match=says):
        styles.walk(gan, change(styles.sample(gan, seed=0, count=3, label=0)), frames=frames, loop=False)


def test_sefa_finds_the_directions_that_change_most_and_pca_those_that_vary_most():
    draw = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(6, 6, generator=draw))[0]
    size = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5, 0.1])
    rows, share = directions.sefa((basis * size) @ torch.eye(6))
    assert torch.allclose(rows.abs().float(), torch.eye(6), atol=1e-5)
    assert torch.allclose(share.float(), size**2 / (size**2).sum(), atol=1e-5)
    w = torch.randn(4000, 6, generator=draw) * size @ basis.T
    rows, share = directions.pca(w)
    assert ((rows.float() @ basis).abs().diagonal() > 0.99).all() and share[0] > share[-1]
    for found in (rows, directions.sefa(torch.randn(9, 6, generator=draw))[0]):
        assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("method", directions.METHODS)
def test_an_edit_of_strength_0_is_off_and_opposite_ones_cancel(stylegan, method):
    style = styles.mapped(stylegan, styles.sample(stylegan, seed=0, count=2), runtime=CPU)

    def edited(strength: float, layers: str = "", start: Style = style) -> Style:
        out, _ = directions.edit(stylegan, start, method=method, index=1, strength=strength, layers=layers, runtime=CPU)
        return out

    assert edited(0) is style
    there = edited(2.0)
    assert not torch.allclose(drawn(stylegan, there), drawn(stylegan, style), atol=1e-3)
    assert torch.allclose(edited(-2.0, start=there).w, style.w, atol=1e-5)
    some = edited(2.0, "2-3")
    assert torch.equal(some.w[:, :2], style.w[:, :2]) and torch.equal(some.w[:, 4:], style.w[:, 4:])
    assert not torch.equal(some.w[:, 2:4], style.w[:, 2:4])


def test_the_unit_of_strength_is_a_standard_deviation_of_w(stylegan):
    for method in directions.METHODS:
        found = directions.found(stylegan, method, runtime=CPU)
        w = styles.mapped(stylegan, styles.sample(stylegan, seed=1000, count=2000), runtime=CPU).w[:, 0]
        unit = found.rows[0] / found.rows[0].norm()
        assert float(found.rows[0].norm()) == pytest.approx(float((w @ unit).std()), rel=0.1)


def test_a_gan_without_mapping_has_sefa_in_z_only(dcgan):
    style = styles.sample(dcgan, seed=0, count=2)
    out, found = directions.edit(dcgan, style, method="sefa", index=0, strength=1.5, runtime=CPU)
    assert torch.allclose((out.z - style.z).norm(dim=1), torch.full((2,), 1.5))
    assert "direction 0 of" in directions.told(found, 0)
    for given in ({"method": "pca"}, {"method": "sefa", "layers": "0-1"}):
        with pytest.raises(AigcError, match="Use sefa, with no layers"):
            directions.edit(dcgan, style, index=0, strength=1, runtime=CPU, **given)
    with pytest.raises(AigcError, match="from 0 to"):
        directions.edit(dcgan, style, method="sefa", index=99, strength=1, runtime=CPU)


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
    found = project.project(stylegan, image, steps=50, runtime=CPU, on_step=on_step)
    assert seen == [(i, 50, (64, 32)) for i in range(1, 6)]
    assert found.stopped and found.steps == 5 and "stopped by you after 5 steps" in project.told(found, "w+")
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


def test_styles_of_another_gan_are_refused(stylegan, tmp_path: Path):
    other = made(tmp_path / "other", z_dim=6, w_dim=6)
    style = styles.sample(other, seed=0, count=1)
    with pytest.raises(AigcError, match="another GAN's"):
        drawn(stylegan, style)
    with pytest.raises(AigcError, match="another GAN's"):
        drawn(stylegan, styles.mapped(other, style, runtime=CPU))
