"""Styles: one picture at truncation 0, parents at both ends of a mix, walks without a seam, edits that cancel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines import gan as gans
from pipelines.errors import AigcError
from pipelines.gan import directions, generate, opening, styles
from pipelines.payloads import Gan, Style

from .gans import CPU, drawn, made


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
    assert torch.equal(drawn(stylegan, mixed("8-")), from_a)  # crossed over behind the last layer
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
    for layers, says in (
        ("8", "0 to 7"),
        ("9-", "0 to 7"),
        ("3-1", "0 to 7"),
        ("a", "Expected layers such as"),
        ("1-2-3", "such as"),
    ):
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


def test_styles_of_another_gan_are_refused(stylegan, tmp_path: Path):
    other = made(tmp_path / "other", z_dim=6, w_dim=6)
    style = styles.sample(other, seed=0, count=1)
    with pytest.raises(AigcError, match="another GAN's"):
        drawn(stylegan, style)
    with pytest.raises(AigcError, match="another GAN's"):
        drawn(stylegan, styles.mapped(other, style, runtime=CPU))
