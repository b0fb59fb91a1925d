"""The three GANs against their papers' formulas: explicit convolutions, slopes of slopes, a batch and its singles."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipelines import gan
from pipelines.errors import AigcError
from pipelines.gan import modulated, network, resample
from pipelines.payloads import Design

from .gans import design, latents, networks

KINDS = tuple(gan.KINDS)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("classes", (0, 3))
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_a_batch_equals_its_singles(kind, classes):
    g, d = networks(kind, classes=classes)
    z, labels = latents(g, 4)
    with torch.no_grad():
        pictures = g(z, labels, rng=generators(1, 2, 3, 4))
        assert pictures.shape == (4, 3, 32, 32) and pictures.std() > 0.01
        ones = [
            g(z[i : i + 1], labels if labels is None else labels[i : i + 1], rng=generators(i + 1)) for i in range(4)
        ]
        assert torch.allclose(pictures, torch.cat(ones), atol=1e-5)
        alone = {"group": 1} if kind == "stylegan2" else {}
        logits = d(pictures, labels, **alone)
        assert logits.shape == (4,) and logits.std() > 0
        each = [d(pictures[i : i + 1], labels if labels is None else labels[i : i + 1]) for i in range(4)]
        assert torch.allclose(logits, torch.cat(each), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_changes_the_picture_and_the_logit_and_a_wrong_one_is_refused(kind):
    g, d = networks(kind, classes=3)
    z, _ = latents(g, 2)
    with torch.no_grad():
        a, b = (g(z, torch.full((2,), label), noise="none") for label in (0, 2))
        assert not torch.allclose(a, b, atol=1e-3)
        assert not torch.equal(d(a, torch.tensor([0, 0])), d(a, torch.tensor([2, 2])))
    for labels in (None, torch.tensor([0, 3]), torch.tensor([-1, 0]), torch.tensor([0])):
        with pytest.raises(AigcError, match="Expected"):
            g(z, labels)


@pytest.mark.parametrize("classes", (0, 3))
@pytest.mark.parametrize("kind", KINDS)
def test_the_penalty_on_slopes_has_the_slope_of_a_finite_difference(kind, classes):
    """R1 of the discriminator, differentiated once more: what the trainer needs, in double precision."""
    _, d = networks(kind, classes=classes)
    d.double()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    labels = torch.tensor([0, 2]) if classes else None

    def penalty() -> torch.Tensor:
        (slope,) = torch.autograd.grad(d(x, labels).sum(), x, create_graph=True)
        return slope.square().sum()

    weights = [p for p in d.parameters() if p.ndim > 1][:4]
    slopes = torch.autograd.grad(penalty(), weights)
    for weight, slope in zip(weights, slopes):
        step = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found = []
        for move in (1e-8, -2e-8):  # so little that no leaky ReLU crosses its kink
            with torch.no_grad():
                weight += move * step
            found.append(penalty().item())
        with torch.no_grad():
            weight += 1e-8 * step
        assert (found[0] - found[1]) / 2e-8 == pytest.approx(float((slope * step).sum()), rel=1e-3, abs=1e-5 * found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_weights_and_leaves_torchs_own_draws_alone(kind):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (gan.build(design(kind), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    for a, b in zip(one, two):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))
    assert not torch.equal(next(one[0].parameters()), next(other[0].parameters()))


def upfirdn(x: torch.Tensor, taps: tuple[float, ...], *, zeros: int, pad: tuple[int, int], gain: float) -> torch.Tensor:
    """Zeros between pixels, zeros around, one filter: written out."""
    b, c, h, w = x.shape
    wide = x.new_zeros(b, c, h * zeros, w * zeros)
    wide[:, :, ::zeros, ::zeros] = x
    k = torch.tensor(taps, dtype=x.dtype)
    k = k[:, None] * k / (k.sum() ** 2) * gain
    flat = F.pad(wide, (*pad, *pad)).reshape(b * c, 1, *[s * zeros + sum(pad) for s in (h, w)])
    return F.conv2d(flat, k.flip(0, 1)[None, None]).reshape(b, c, *(2 * [h * zeros + sum(pad) - len(taps) + 1]))


@pytest.mark.parametrize("twice", (False, True))
@pytest.mark.parametrize("demodulate", (False, True))
def test_modulation_equals_each_pictures_own_weights(twice, demodulate):
    draw = torch.Generator().manual_seed(0)
    x, weight, style = (torch.randn(s, generator=draw) for s in ((3, 5, 8, 8), (4, 5, 3, 3), (3, 5)))
    got = modulated.modulated(x, weight, style, demodulate=demodulate, twice=twice)
    for i in range(3):
        own = weight * style[i][None, :, None, None]  # equation 1
        if demodulate:
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()  # equation 3
        if twice:
            large = F.conv_transpose2d(x[i : i + 1], own.transpose(0, 1), stride=2)
            expected = upfirdn(large, (1, 3, 3, 1), zeros=1, pad=(1, 1), gain=4)
        else:
            expected = F.conv2d(x[i : i + 1], own, padding=1)
        assert torch.allclose(got[i : i + 1], expected, atol=1e-5)


def test_resampling_is_zeros_between_and_one_filter():
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(resample.up(x), upfirdn(x, (1, 3, 3, 1), zeros=2, pad=(2, 1), gain=4), atol=1e-6)
    assert torch.allclose(
        resample.down(x), upfirdn(x, (1, 3, 3, 1), zeros=1, pad=(1, 1), gain=1)[..., ::2, ::2], atol=1e-6
    )
    assert torch.allclose(resample.up_bilinear(x), upfirdn(x, (1, 2, 1), zeros=2, pad=(1, 1), gain=4), atol=1e-6)
    assert torch.allclose(
        resample.down_bilinear(x), upfirdn(x, (1, 2, 1), zeros=1, pad=(1, 1), gain=1)[..., ::2, ::2], atol=1e-6
    )
    inside = resample.up_bilinear(x)
    assert torch.equal(inside[..., ::2, ::2], x)


def test_a_demodulated_layer_keeps_the_variance():
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.randn(4, 64, 16, 16, generator=draw), torch.randn(64, 64, 3, 3, generator=draw)
    style = 5 * torch.rand(4, 64, generator=draw)
    out = modulated.modulated(x, weight, style, demodulate=True, twice=False)[..., 1:-1, 1:-1]
    assert out.std() == pytest.approx(1.0, rel=0.05)


def test_the_minibatch_deviation_is_within_groups_and_knows_any_batch():
    x = torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    out = modulated.spread(x, 4)  # groups of 3: pictures 0, 2, 4 and 1, 3, 5
    assert torch.equal(out[:, :2], x) and out.shape == (6, 3, 4, 4)
    for first in (0, 1):
        expected = (x[first::2].var(0, correction=0) + 1e-8).sqrt().mean()
        assert torch.allclose(out[first::2, 2], expected.expand(3, 4, 4))
    assert (modulated.spread(x, 1)[:, 2] - 1e-4).abs().max() < 1e-9


def test_stylegan_maps_then_synthesizes_and_its_noises_are_three():
    g, _ = networks("stylegan2")
    z, _ = latents(g)
    with torch.no_grad():
        w = g.map(z)
        assert w.shape == (3, g.layers, 8) == (3, 8, 8)
        for noise in ("const", "none"):
            assert torch.equal(g(z, noise=noise), g.synthesize(w, noise=noise))
        const, none = g(z, noise="const"), g(z, noise="none")
        again = [g(z, rng=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
        assert torch.equal(again[0], again[1]) and not torch.equal(again[0], again[2])
        assert not torch.equal(const, none) and not torch.equal(const, again[0])
        with pytest.raises(AigcError, match="noise of random, const, none"):
            g(z, noise="some")


def test_the_average_of_w_follows_what_is_tracked():
    g, _ = gan.build(design("stylegan2"), seed=0)
    w = torch.full((4, g.layers, 8), 2.0)
    g.track(w, decay=0.5)
    assert torch.equal(g.w_average, torch.full((8,), 1.0))
    for _ in range(40):
        g.track(w[:, 0], decay=0.5)
    assert torch.allclose(g.w_average, torch.full((8,), 2.0))


def test_r3gan_begins_with_branches_at_zero_and_the_rest_scaled_by_their_number():
    g, d = gan.build(design("r3gan", blocks=2, width=8), seed=0)
    options = gan.r3gan.Options(**design("r3gan", blocks=2, width=8).options)
    assert options.branches == 8
    for net in (g, d):
        for block in (m for m in net.modules() if isinstance(m, gan.r3gan.Block)):
            x = torch.randn(1, block.into.in_channels, 4, 4)
            assert torch.equal(block(x), x)
            size = block.across.weight.detach().std() * block.across.weight[0].numel() ** 0.5
            assert float(size) == pytest.approx(gan.r3gan.GAIN * 8**-0.25, rel=0.15)


def test_defaults_scale_with_the_resolution():
    assert network.widths(1024, 0, 0) == {
        4: 512,
        8: 512,
        16: 512,
        32: 512,
        64: 512,
        128: 256,
        256: 128,
        512: 64,
        1024: 32,
    }
    assert network.widths(64, 0, 0) == {4: 256, 8: 128, 16: 64, 32: 32, 64: 16}
    for kind in KINDS:
        g, d = gan.build(Design("gan", kind, {"resolution": 64}), seed=0)
        count = sum(p.numel() for net in (g, d) for p in net.parameters())
        assert count * 4 < 32e6, f"{kind}: {count}"  # bytes in float32, for a CPU


@pytest.mark.parametrize(
    ("given", "says"),
    (
        (Design("gan", "biggan"), "got gan 'biggan'"),
        (Design("vae", "dcgan"), "got vae 'dcgan'"),
        (Design("gan", "dcgan", {"depth": 3}), "got 'depth'"),
        (Design("gan", "r3gan", {"resolution": 48}), "got 48"),
        (Design("gan", "stylegan2", {"resolution": 32, "channels": [8, 8]}), "Expected 4 numbers"),
    ),
)
def test_a_design_that_cannot_be_built_is_refused(given, says):
    with pytest.raises(AigcError, match=says):
        gan.build(given)


def test_a_design_is_the_same_after_json():
    import json

    given = gan.options(design("stylegan2", channels=[8, 8, 4, 4]))
    again = json.loads(json.dumps(given))
    assert gan.options(Design("gan", "stylegan2", again)) == given
    g, _ = gan.build(Design("gan", "stylegan2", again), seed=0)
    assert [block.conv.weight.shape[0] for block in g.blocks] == [8, 8, 4, 4]
