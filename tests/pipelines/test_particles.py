"""Sampling that stops and goes on is the same as sampling at once, and each row stands alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, open_model
from pipelines.payloads import Guide
from pipelines.runtime import Runtime
from pipelines.stages.frozen import Frozen, join
from pipelines.stages.particles import Sampler, spread
from pipelines.stages.pipe import stage

from .judges import judge_file

CPU = Runtime("cpu")
WITH_MEMORY = (
    "model default", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2s", "uni_pc", "deis", "lms", "pndm", "heun", "dpm_2_ancestral",
    "euler_ancestral", "sa_solver", "ddpm", "lcm", "tcd",
)  # fmt: skip
OF_FLOWS = ("flow_euler", "flow_heun", "dpmpp_2m", "uni_pc", "flow_lcm")
SIZES = {"wan": {"frames": 5}, "ltx": {"frames": 9}}


@pytest.fixture(autouse=True)
def nothing_loaded():
    yield
    stages.release_all()


def made(tiny_model, family: str = "sd15", prompts=("a cat",), each: int = 3, **options):
    """A sampler, its batch and its rows."""
    model = open_model(str(tiny_model(family)), roots=Roots(), dtype="float32", offload="keep")
    low = ["low quality"] * len(prompts)
    conditioning = stages.encode_prompt(model, list(prompts), low, guided=True, runtime=CPU)
    size = {} if family == "stableaudio" else {"width": 32, "height": 32}
    latent_size: dict[str, Any] = {**size, **SIZES.get(family, {})}
    empty = stages.empty_latents(model, **latent_size)
    batch, rows = spread(model, conditioning, empty, each, CPU)
    return Sampler(model, conditioning, CPU, **{"seed": 3, "steps": 5, "cfg": 4.0, **options}), batch, rows


def at_once(sampler: Sampler, batch) -> torch.Tensor:
    names = ("seed", "steps", "cfg", "scheduler", "denoise", "guide")
    options = {name: getattr(sampler, name) for name in names}
    return stages.sample(sampler.model, sampler.conditioning, batch, runtime=CPU, **options)["samples"]


def in_pieces(sampler: Sampler, batch, rows) -> torch.Tensor:
    """Stopped twice."""
    early = sampler.start(batch, rows, 0.4)
    assert isinstance(early, Frozen) and 0 < early.done < early.total
    late = sampler.go_on(early, 0.8)
    assert isinstance(late, Frozen) and late.done > early.done
    end = sampler.go_on(late)
    assert isinstance(end, dict)
    return end["samples"]


@pytest.mark.parametrize("scheduler", WITH_MEMORY)
def test_stopping_and_going_on_changes_no_bit_and_a_row_goes_on_alone(scheduler, tiny_model):
    sampler, batch, rows = made(tiny_model, scheduler=scheduler)
    whole = at_once(sampler, batch)
    assert torch.equal(in_pieces(sampler, batch, rows), whole)
    two = sampler.go_on(sampler.start(batch, rows, 0.4).take([2, 0]))["samples"]
    assert torch.allclose(two, whole[[2, 0]], atol=2e-5 * float(whole.std()), rtol=1e-4)


@pytest.mark.parametrize("scheduler", OF_FLOWS)
def test_so_does_it_with_flows(scheduler, tiny_model):
    sampler, batch, rows = made(tiny_model, "flux", scheduler=scheduler)
    assert torch.equal(in_pieces(sampler, batch, rows), at_once(sampler, batch))


@pytest.mark.parametrize("family", ("sdxl", "sd3", "zimage", "wan", "ltx", "stableaudio"))
def test_so_does_it_in_every_kind_of_family(family, tiny_model):
    sampler, batch, rows = made(tiny_model, family, each=2)
    assert torch.equal(in_pieces(sampler, batch, rows), at_once(sampler, batch))


def test_what_was_begun_in_pieces_goes_on_together_and_the_other_way(tiny_model):
    sampler, batch, rows = made(tiny_model, prompts=("a cat", "a dog"), each=2, scheduler="dpmpp_2m_sde")
    whole = at_once(sampler, batch)
    state = sampler.start(batch, rows, 0.4)
    parts = [state.take([0]), state.take([1, 2]), state.take([3])]
    again = join(parts)
    assert again.rows == state.rows == (0, 0, 1, 1) and again.places == [0, 1, 2, 3]
    assert torch.allclose(sampler.go_on(again)["samples"], whole, atol=2e-5 * float(whole.std()), rtol=1e-4)
    dog = sampler.go_on(parts[2])
    assert dog["batch_index"] == [3]
    assert torch.allclose(dog["samples"], whole[3:], atol=2e-5 * float(whole.std()), rtol=1e-4)
    with pytest.raises(AigcError, match="stopped at step 2"):
        join([state, sampler.go_on(state, 0.8)])


def test_a_repeated_row_stays_the_same_and_what_is_frozen_can_be_gone_on_with_twice(tiny_model):
    sampler, batch, rows = made(tiny_model, scheduler="euler_ancestral")
    state = sampler.start(batch, rows, 0.4)
    assert state.fresh
    twice = sampler.go_on(state.take([1, 1]))["samples"]
    assert torch.equal(twice[0], twice[1])
    assert torch.equal(sampler.go_on(state.take([1, 1]))["samples"], twice)


def test_a_mask_partial_denoising_and_a_judge_beside_it_go_on_as_they_were(tiny_model, tmp_path):
    guide = Guide(judge_file(tmp_path / "a.safetensors"), 5.0)
    sampler, batch, rows = made(tiny_model, denoise=0.6, guide=guide, scheduler="dpmpp_2m_sde")
    batch["samples"] = torch.randn(batch["samples"].shape, generator=torch.Generator().manual_seed(0))
    batch["noise_mask"] = (torch.arange(16) < 8).float().expand(3, 1, 16, 16).clone()
    whole = at_once(sampler, batch)
    assert torch.equal(in_pieces(sampler, batch, rows), whole)
    one = sampler.go_on(sampler.start(batch, rows, 0.4).take([1]))["samples"]
    assert torch.allclose(one, whole[1:2], atol=2e-5 * float(whole.std()), rtol=1e-4)


def test_the_estimate_near_the_end_is_nearly_the_end(tiny_model):
    for family in ("sd15", "flux"):
        sampler, batch, rows = made(tiny_model, family, steps=30, estimates=True)
        state = sampler.start(batch, rows, 0.97)
        end = sampler.go_on(state)["samples"]
        assert state.estimate.shape == end.shape
        assert float((state.estimate - end).std()) < 0.2 * float(end.std())


def test_nothing_that_is_done_asks_the_denoiser_again(tiny_model):
    sampler, batch, rows = made(tiny_model)
    state = sampler.start(batch, rows, 0.6)
    asked = []
    with stage(sampler.model, "denoiser", CPU) as pipe:
        handle = pipe.unet.conv_in.register_forward_hook(lambda *_: asked.append(1))
        sampler.go_on(state)
        handle.remove()
    assert state.done == 3 and len(asked) == 2


@pytest.mark.parametrize("family", ("flux", "sd3"))
def test_noise_that_a_family_draws_for_the_whole_batch_ties_its_rows_together(family, tiny_model):
    sampler, batch, rows = made(tiny_model, family, scheduler="dpmpp_2m_sde")
    assert torch.equal(in_pieces(sampler, batch, rows), at_once(sampler, batch))
    with pytest.raises(AigcError, match="drew some for the whole batch at once"):
        sampler.start(batch, rows, 0.4).take([0])
    alone, _, _ = made(tiny_model, family, scheduler="dpmpp_2m_sde", own_noise=True)
    state = alone.start(batch, rows, 0.4)
    whole = alone.go_on(state)["samples"]
    one = alone.go_on(state.take([2]))["samples"]
    assert torch.allclose(one, whole[2:], atol=2e-5 * float(whole.std()), rtol=1e-4)


def test_a_scheduler_whose_noise_is_one_path_of_the_whole_run_is_refused(tiny_model):
    sampler, batch, rows = made(tiny_model, scheduler="dpmpp_sde")
    with pytest.raises(AigcError, match="got DPMSolverSDEScheduler, whose noise is a BrownianTreeNoiseSampler"):
        sampler.start(batch, rows, 0.4)


def test_a_share_that_is_none_and_a_batch_that_fits_no_prompt_are_refused(tiny_model):
    sampler, batch, rows = made(tiny_model)
    with pytest.raises(AigcError, match="share of the steps"):
        sampler.start(batch, rows, 0.0)
    with pytest.raises(AigcError, match="one row, or one for each of the 1 prompts, got 3"):
        spread(sampler.model, sampler.conditioning, batch, 2, CPU)
