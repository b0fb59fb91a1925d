"""What a pipeline draws beside the noise that it is given a generator for: the run's seed decides it too."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines import stages
from pipelines.stages.pipe import stage

from . import controls, tiny
from .controls import CPU


@pytest.fixture
def shaky(tmp_path):
    """A model whose denoiser adds noise from torch's own generator."""
    model = controls.opened(tiny.build("sd15", tmp_path))
    with stage(model, "denoiser", CPU) as pipe:
        noisy = lambda module, args, out: (out[0] + 0.1 * torch.randn_like(out[0]),)  # noqa: E731
        pipe.unet.register_forward_hook(noisy)
    yield model
    stages.release_all()


def run(model: Any, seed: int) -> torch.Tensor:
    cond, latents = controls.conditioned(model), stages.empty_latents(model, width=32, height=32)
    return stages.sample(model, cond, latents, seed=seed, steps=2, cfg=5.0, runtime=CPU)["samples"]


def test_a_seed_repeats_what_is_drawn_from_torchs_own_generator(shaky):
    once = run(shaky, 1)
    torch.rand(3)
    assert torch.equal(once, run(shaky, 1)) and not torch.equal(once, run(shaky, 2))


def test_a_run_leaves_torchs_own_generator_as_it_was(shaky):
    before = torch.get_rng_state()
    run(shaky, 1)
    assert torch.equal(before, torch.get_rng_state())
