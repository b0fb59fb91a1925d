"""Autoencoders: the bound by hand, stopped and resumed, learning, the folder in plain diffusers, the linear encoder."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributions import Laplace, Normal
from torch.distributions.kl import kl_divergence

from pipelines.errors import AigcError
from pipelines.payloads import Design
from pipelines.train import autoencoders, linear_encoder, losses, making, making_vae, run, vae
from pipelines.train.objective import Course
from pipelines.train.vae import Coded, Settings, VaeObjective

from . import trainings
from .trainings import CPU, stop_at

KL = Design("vae", "kl", {"resolution": 16, "factor": 2, "width": 8, "latent_channels": 3, "attention": False})
TINY = Design("vae", "tiny", {"resolution": 16, "factor": 4, "width": 8, "hidden": 12, "latent_channels": 6})
COURSE = Course(steps=8, batch=4, seed=3, warm_up=2, anneal=0.5, examine_every=4)
ADVERSARIAL = Settings(adversarial=0.5, adversarial_from=3, noise=0.1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return trainings.pictures(tmp_path_factory.mktemp("pictures"))


def test_the_kl_is_that_of_torch_distributions() -> None:
    rng = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(5, 3, 4, 4, generator=rng), torch.randn(5, 3, 4, 4, generator=rng)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).flatten(1).sum(1)
    assert torch.allclose(losses.kl_divergence(mean, log_variance), expected, rtol=1e-5)


def test_reconstruction_is_the_density_of_a_level_and_bits_follow() -> None:
    x, y, log_scale = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.tensor(-1.3)
    density = -Laplace(y, log_scale.exp()).log_prob(x).flatten(1).sum(1)
    assert torch.allclose(losses.laplace_nats(x, y, log_scale), density, rtol=1e-5)
    nats = vae.reconstruction_nats(x, y, log_scale)
    assert torch.allclose(nats, density + 48 * math.log(127.5), rtol=1e-5)
    assert torch.allclose(nats / (48 * math.log(2)), losses.bits_per_dimension(density, 48), rtol=1e-5)
    # One level wide and exactly right: the density of a level is 1 / (2 b) with b in levels.
    assert float(losses.bits_per_dimension(losses.laplace_nats(x, x, torch.tensor(-math.log(127.5))), 48)[0]) == (
        pytest.approx(1.0, abs=1e-4)
    )


def test_the_bound_that_is_minimised_is_reconstruction_and_beta_kl_over_the_dimensions() -> None:
    net = autoencoders.build(KL, seed=0)
    objective = VaeObjective(net, Settings(beta=0.3, edges=0.0), held_out=torch.zeros(2, 3, 16, 16))
    x, y = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    mean, log_variance = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    loss, terms = objective.loss(x, y, Coded(mean, mean, log_variance))
    assert float(loss.detach()) == pytest.approx((terms["reconstruction"] + 0.3 * terms["KL"]) / 768, rel=1e-5)
    assert terms["bits per dimension"] == pytest.approx((terms["reconstruction"] + terms["KL"]) / 768 / math.log(2))


def test_the_adaptive_weight_makes_both_slopes_equally_long() -> None:
    last = torch.randn(4, requires_grad=True)
    reconstruction, adversarial = (3 * last).sum(), (0.5 * last).sum()
    assert float(losses.adaptive_weight(reconstruction, adversarial, last)) == pytest.approx(6.0, rel=1e-3)


@pytest.mark.parametrize("design", [KL, TINY], ids=["kl", "tiny"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, data, design: Design) -> None:
    with trainings.one_thread():
        whole = making_vae.train_vae(data, design, ADVERSARIAL, COURSE, tmp_path / "whole", mirror=True, runtime=CPU)
        parts = tmp_path / "parts"
        for at in (2, 5):
            torch.manual_seed(at)
            stopped = making_vae.train_vae(data, design, ADVERSARIAL, COURSE, parts, mirror=True, **stop_at(at))
            assert stopped.sitting.stopped and stopped.sitting.step == at and stopped.vae.is_dir()
        done = making.resume(parts, data, 0, 9.0, runtime=CPU)
    trainings.same(tmp_path / "whole", parts)
    a, b = (trainings.tensors(made.vae) for made in (whole, done))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    row = next(row for row in whole.sitting.log.rows if row["step"] == 8 and "loss" in row)
    assert {"adversarial", "loss D", "D(real)"} <= row.keys()
    assert "held-out PSNR" in making.told(done) and ("bits per dimension" in making.told(done)) == (design is KL)


@pytest.mark.parametrize("design", [KL, TINY], ids=["kl", "tiny"])
def test_it_learns_a_few_pictures_and_plain_diffusers_gives_the_same(tmp_path: Path, data, design: Design) -> None:
    import diffusers

    course = Course(steps=60, batch=8, warm_up=5, examine_every=60)
    made = making_vae.train_vae(data, design, Settings(half_life=100.0, rate=3e-3), course, tmp_path, runtime=CPU)
    scores = [row["examined"]["score"] for row in made.sitting.log.rows if "examined" in row]
    assert scores[1] < scores[0] - 1
    objective = made.sitting.objective
    assert isinstance(objective, VaeObjective) and made.sitting.best[0] == 60
    name = {"kl": diffusers.AutoencoderKL, "tiny": diffusers.AutoencoderTiny}[design.kind]
    loaded = name.from_pretrained(tmp_path / "vae")
    x = objective.held_out
    with torch.no_grad():
        latents = autoencoders.encoded(loaded, x)
        again = loaded.decode(latents).sample
        everything = torch.cat([autoencoders.encoded(loaded, part) for part in _all(data).split(16)])
    shown = objective.pictures(2 * len(x))
    assert torch.allclose(((again + 1) / 2).clamp(0, 1).movedim(1, -1), shown[1::2], atol=1e-5)
    assert torch.allclose((x + 1) / 2, shown[::2].movedim(-1, 1), atol=1e-6)
    assert float((everything * loaded.config.scaling_factor).std()) == pytest.approx(1.0, abs=1e-4)


def _all(data) -> torch.Tensor:
    from pipelines.data import batches

    train, _ = making.split(data, 0)
    return making.pixels(train, batches.View((16, 16)))[0]


def test_a_linear_encoder_is_linear_centred_and_of_unit_variance_and_stays(tmp_path: Path, data) -> None:
    net, pixels = autoencoders.build(TINY, seed=0), _all(data)
    linear_encoder.set_encoder(net, pixels)
    with torch.no_grad():
        a, b = pixels[:1], pixels[1:2]
        middle = autoencoders.encoded(net, (a + b) / 2)
        mean = (autoencoders.encoded(net, a) + autoencoders.encoded(net, b)) / 2
        latents = autoencoders.encoded(net, pixels) * autoencoders.LINEAR_SCALING
    assert torch.allclose(middle, mean, atol=1e-5)
    assert float(latents.mean((0, 2, 3)).abs().max()) < 1e-3
    assert float(latents.var((0, 2, 3)).mean()) == pytest.approx(1.0, abs=0.02)
    correlated = torch.corrcoef(latents.transpose(0, 1).flatten(1)) - torch.eye(6)
    assert float(correlated.abs().max()) < 1e-3
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    objective = VaeObjective(net, Settings(), held_out=pixels[:2], frozen_encoder=True)
    objective.step(making.Ahead(data, 0, 4, making_view())(0), torch.Generator().manual_seed(0))
    assert all(torch.equal(v, before[k]) for k, v in objective.coder.net.encoder.state_dict().items())


def making_view():
    from pipelines.data import batches

    return batches.View((16, 16))


def test_what_does_not_fit_is_refused(tmp_path: Path, data) -> None:
    with pytest.raises(AigcError, match="factor of 2, 4, 8, 16 or 32, got 3"):
        autoencoders.build(replace(KL, options={"factor": 3, "resolution": 48}), seed=0)
    with pytest.raises(AigcError, match="resolution that 8 divides"):
        autoencoders.options(Design("vae", "kl", {"resolution": 20}))
    with pytest.raises(AigcError, match="got 'depth'"):
        autoencoders.options(Design("vae", "tiny", {"depth": 3}))
    with pytest.raises(AigcError, match="purpose vae"):
        autoencoders.options(Design("gan", "dcgan", {}))
    (tmp_path / run.ABOUT).write_text('{"design": {"purpose": "x"}, "steps": 3}')
    with pytest.raises(AigcError, match="got one of 'x'"):
        making.resume(tmp_path, data, 1, 1.0)
