"""Discriminator guidance: off at weight 0, the slope is the slope, the right move for every scheduler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipelines import schedulers, stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, open_model
from pipelines.payloads import Discriminator, Guide
from pipelines.runtime import Runtime
from pipelines.score import closed_form, judges, learned, scoring, steering
from pipelines.score.training import Report

from . import staged
from .judges import judge_file, spec

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_loaded():
    yield
    stages.release_all()
    judges.release_all(CPU)


def sampled(model, guide, **options):
    conditioning = stages.encode_prompt(model, [staged.PROMPT], [staged.NEGATIVE], guided=True, runtime=CPU)
    latents = stages.empty_latents(model, width=64, height=64)
    call = {"seed": 1, "steps": 4, "cfg": 4.0, "runtime": CPU, **options}
    return stages.sample(model, conditioning, latents, guide=guide, **call)["samples"]


def of_its_space(model, path: Path) -> Discriminator:
    """A judge of this model's latents as its denoiser has them."""
    config = json.loads((model.path / "vae" / "config.json").read_text())
    return judge_file(path, scale=config["scaling_factor"], shift=config.get("shift_factor") or 0.0)


def mean_logit(judge: Discriminator, samples: torch.Tensor) -> float:
    return sum(scoring.score(judge, {"samples": samples}, runtime=CPU).values) / len(samples)


@pytest.mark.parametrize("family", ("sd15", "sd3", "flux"))
def test_a_judge_steers_towards_what_it_likes_and_weight_0_is_off(family, tiny_model, tmp_path: Path):
    model = open_model(str(tiny_model(family)), roots=Roots(), dtype="float32", offload="keep")
    judge = of_its_space(model, tmp_path / "a.safetensors")
    plain, off, steered, again, away = (
        sampled(model, guide)
        for guide in (None, *(Guide(judge, weight) for weight in (0.0, 20.0, 20.0, -20.0)))
    )  # fmt: skip
    assert torch.equal(plain, off) and torch.equal(steered, again)
    liked = [mean_logit(judge, samples) for samples in (away, plain, steered)]
    assert liked[0] < liked[1] < liked[2], liked


def test_it_works_where_a_host_runs_nodes(tiny_model, tmp_path: Path):
    """In inference mode nothing has a slope unless it was made outside of it."""
    model = open_model(str(tiny_model("sd15")), roots=Roots(), dtype="float32", offload="keep")
    judge = of_its_space(model, tmp_path / "a.safetensors")
    outside, plain = sampled(model, Guide(judge, 5.0)), sampled(model, None)
    judges.release_all(CPU)
    stages.release_all()
    with torch.inference_mode():
        inside = sampled(model, Guide(judge, 5.0))
        maps = scoring.heatmap(judge, {"samples": inside}, runtime=CPU)
        shown = scoring.heatmap(
            Discriminator(closed_form.spec("sharpness"), "sharpness"), torch.rand(1, 32, 32, 3), runtime=CPU
        )
    assert (
        torch.equal(outside, inside)
        and not torch.equal(outside, plain)
        and torch.isfinite(maps).all()
        and torch.isfinite(shown).all()
    )


@pytest.mark.parametrize("sigma", (0.1, 1.0, 2.5))
def test_the_slope_is_that_of_finite_differences(sigma, tmp_path: Path):
    judge = learned.open_file(judge_file(tmp_path / "a.safetensors"))
    judge.net.double()
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    along = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    level = torch.full((2,), sigma).double()
    step = 1e-5
    with torch.no_grad():
        ahead, behind = (judge.logit(x + sign * step * along, sigma=level) for sign in (1, -1))
    wanted = (ahead - behind) / (2 * step)
    judge.net.float()
    found = (steering.slope(judge, x.float(), sigma).double() * along).flatten(1).sum(1)
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_one_judge_serves_flows_and_variance_exploding_models_alike(tmp_path: Path):
    """A flow's x is alpha times an exploding one's: the move of the clean estimate is the same."""
    discriminator = judge_file(tmp_path / "a.safetensors")
    move = steering.Steering(learned.open_file(discriminator), 1.0, discriminator.calibration)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    exploding, flow = move(x, 1.0, 1.5), move(x * 0.4, 0.4, 0.6)
    assert torch.allclose(exploding, flow, atol=1e-6) and bool(exploding.any())


def test_a_judge_in_a_space_of_another_scale_moves_the_sample_by_the_same_chain_rule(tmp_path: Path):
    """Noise is as much louder there as the sample is larger: the move is that of the judge put behind the scaling."""
    discriminator = judge_file(tmp_path / "a.safetensors")
    judge = learned.open_file(discriminator)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    scaled = steering.Steering(judge, 1.0, None, unfold=lambda x: 2.5 * x + 0.3, gain=2.5)(x, 1.0, 0.4)
    held = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(judge.logit(2.5 * held + 0.3, sigma=torch.ones(2)).sum(), held)
    assert torch.allclose(scaled, steering.taper(discriminator.spec, 1.0) * 0.4**2 * slope, atol=1e-6) and bool(
        scaled.any()
    )


def test_a_judge_in_whose_space_the_noise_differs_by_channel_is_refused(tmp_path: Path):
    known = judge_file(tmp_path / "a.safetensors", scale=(1.0, 2.0, 1.0, 1.0)).spec
    assert steering.gain_of(known, lambda x: 3 * x - 1, torch.zeros(1, 4, 2, 2)) == 3
    with pytest.raises(AigcError, match="by channel: train one with this model connected"):
        steering.gain_of(known, lambda x: scoring.to_space(known, x), torch.zeros(1, 4, 2, 2))


def test_a_videos_latents_are_judged_frame_by_frame(tmp_path: Path):
    judge = learned.open_file(judge_file(tmp_path / "a.safetensors"))
    x = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([0.0, 1.0])
    alone = torch.stack([judge.logit(x[:, :, t], sigma=level) for t in range(3)])
    assert torch.allclose(judge.logit(x, sigma=level), alone.mean(0), atol=1e-6)
    assert judge.heatmap(x).shape == (2, 4, 4)


def test_the_judge_is_followed_as_far_as_it_knows(tmp_path: Path):
    known = judge_file(tmp_path / "a.safetensors").spec
    assert [steering.taper(known, s) for s in (0.0, 1.0, 3.0, 3.1)] == pytest.approx([0.9, 0.5, 0.1, 0.0])
    assert 0.5 < steering.taper(known, 0.5) < 0.9
    guessing = spec(auc=((0.0, 0.4), (1.0, 0.5)), sigma_range=(0.0, 1.0))
    assert steering.taper(guessing, 0.5) == 0.0


def moved(own, name: str, asked: torch.Tensor) -> torch.Tensor:
    """How far the clean estimate of the second step moves when it is asked to move by `asked`."""
    seen = []

    def change(x, alpha, sigma):
        seen.append(sigma)
        return asked

    scheduler = schedulers.watched(own, name, schedulers.Watch())
    scheduler.set_timesteps(4, **({"mu": 1.0} if own.config.get("use_dynamic_shifting") else {}))
    output, x = torch.randn(2, *asked.shape, generator=torch.Generator().manual_seed(4))
    t = scheduler.timesteps[1]
    if hasattr(scheduler, "_init_step_index"):
        scheduler._init_step_index(t)
    index = getattr(scheduler, "step_index", None)
    changed = schedulers._changed(scheduler, change, output, t, x)
    before, after = (schedulers.estimate_x0(scheduler, out, t, x, index) for out in (output, changed))
    assert seen and seen[0] > 0
    return after - before


@pytest.mark.parametrize(("family", "least"), (("sd15", 20), ("flux", 8)))
def test_the_estimate_moves_by_what_was_asked_for_with_every_scheduler_that_fits(family, least, tiny_model):
    import diffusers

    own = diffusers.DiffusionPipeline.from_pretrained(tiny_model(family)).scheduler
    asked = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    names = schedulers.fitting(own)
    assert len(names) >= least
    for name in names:
        assert torch.allclose(moved(own, name, asked), asked, atol=0.02), name


def test_a_scheduler_whose_clean_estimate_is_not_known_is_refused():
    import diffusers

    with pytest.raises(AigcError, match="that a judge can steer, got EDMEulerScheduler"):
        moved(diffusers.EDMEulerScheduler(), schedulers.DEFAULT, torch.zeros(1, 4, 8, 8))


@pytest.mark.parametrize(
    ("judge", "says"),
    (
        (Discriminator(spec(modality="image"), "x"), "judges finished work"),
        (Discriminator(spec(differentiable=False, sigma_range=(0, 1)), "x"), "has no gradient"),
        (Discriminator(spec(), "x"), "clean latents only"),
    ),
)
def test_a_judge_that_cannot_steer_is_refused_before_the_first_step(judge, says, tiny_model):
    model = open_model(str(tiny_model("sd15")), roots=Roots(), dtype="float32", offload="keep")
    with pytest.raises(AigcError, match=says):
        sampled(model, Guide(judge), on_step=lambda *_: pytest.fail("it ran"))


def test_a_judge_of_other_latents_is_refused(tiny_model, tmp_path: Path):
    model = open_model(str(tiny_model("sd15")), roots=Roots(), dtype="float32", offload="keep")
    with pytest.raises(AigcError, match="Expected 16 channels"):
        sampled(model, Guide(judge_file(tmp_path / "a.safetensors", channels=16)))


def test_what_training_found_is_what_the_judge_says_of_itself():
    report = Report(auc=((0.0, 0.9), (0.4, 0.8)), calibration=(2.0, 1.0), real=(1.0, 2.0, 3.0))
    made = learned.described(spec(), report)
    assert made.spec.sigma_range == (0.0, 0.4) and made.calibration == (2.0, 1.0) and made.real[50] == 2.0
    assert learned.described(spec(), Report(auc=((0.0, 0.9),))).spec.sigma_range is None
