"""The same weights, seed, steps and conditioning give the same latents in our Sample as in the host's KSampler.

Pairs of schedules that are the same numbers:

- SD1.5: diffusers' Euler with linspace spacing is the host's "normal". With 4 steps the time steps are whole numbers
  (999, 666, 333, 0), which matters because the host rounds them and diffusers does not.
- SD3: both start from a shifted schedule and shift it a second time; the host's "normal" is diffusers' default.
- FLUX: diffusers' linear sigmas shifted by the size are the host's "simple" behind its ModelSamplingFlux node.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipelines import stages
from pipelines.payloads import Conditioning, Model, Recorded
from pipelines.runtime import Runtime

from . import models
from .peer import Peer

LEAST_DB = 40.0
SEED, STEPS = 123456789, 4
PROMPT, NEGATIVE = "a cat", "blurry"
CPU = Runtime("cpu")
pytestmark = [pytest.mark.host, pytest.mark.slow]

CASES: dict[str, dict[str, Any]] = {
    "sd15": {"ours": "euler_linspace", "hosts": "normal", "cfg": 5.0, "embeds": (77, 768), "pooled": None},
    "sd3": {"ours": "flow_euler", "hosts": "normal", "cfg": 5.0, "embeds": (77 + 32, 4096), "pooled": 2048},
    "flux": {"ours": "flow_euler", "hosts": "simple", "cfg": 3.5, "embeds": (32, 4096), "pooled": 768},
}


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def psnr(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Peak signal to noise in dB, the peak being the range of the reference."""
    error = float((reference.double() - other.double()).square().mean())
    peak = float(reference.max() - reference.min())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def sides(family: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same random embeddings as a positive and a negative conditioning of the host."""
    case, made = CASES[family], []
    for seed in (1, 2):
        side: dict[str, Any] = {"embeds": noise(1, *case["embeds"], seed=seed)}
        if case["pooled"]:
            side["pooled_output"] = noise(1, case["pooled"], seed=10 + seed)
        made.append(side)
    if family == "flux":
        made[0]["guidance"] = case["cfg"]
    return made[0], made[1]


def as_ours(family: str, positive: dict[str, Any], negative: dict[str, Any]) -> Conditioning:
    """The same embeddings as what the pipeline's own encode_prompt would have returned."""
    returned: tuple[Any, ...]
    if family == "sd15":
        returned = (positive["embeds"], negative["embeds"])
    elif family == "sd3":
        pooled = (positive["pooled_output"], negative["pooled_output"])
        returned = (positive["embeds"], negative["embeds"], *pooled)
    else:
        returned = (positive["embeds"], positive["pooled_output"], torch.zeros(positive["embeds"].shape[1], 3))
    name = {"sd15": "StableDiffusionPipeline", "sd3": "StableDiffusion3Pipeline", "flux": "FluxPipeline"}[family]
    return Conditioning(name, (Recorded("encode_prompt", PROMPT, returned),), (PROMPT,), (NEGATIVE,), True)


def both(family: str, model: Model, peer: Peer, scheduler: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    """Our latents and the host's, [1, C, 16, 16] each."""
    case, (positive, negative) = CASES[family], sides(family)
    cells = 16
    empty = stages.empty_latents(model, width=2 * cells, height=2 * cells)  # the tiny autoencoder halves the sides
    assert empty["samples"].shape[-2:] == (cells, cells)
    made = stages.sample(
        model, as_ours(family, positive, negative), empty,
        seed=SEED, steps=STEPS, cfg=case["cfg"], scheduler=scheduler or case["ours"], runtime=CPU,
    )  # fmt: skip
    stages.release_all()
    part = "unet" if family == "sd15" else "transformer"
    given: dict[str, Any] = {
        "weights": str(model.path / part / "diffusion_pytorch_model.safetensors"),
        "samples": torch.zeros_like(empty["samples"]),
        "positive": positive, "negative": negative, "seed": SEED, "steps": STEPS,
        "sampler": "euler", "scheduler": case["hosts"], "cfg": case["cfg"],
    }  # fmt: skip
    if family == "flux":
        given["cfg"] = 1.0
        given["flux_shift"] = {"max_shift": 1.15, "base_shift": 0.5, "width": 8 * cells, "height": 8 * cells}
    return made["samples"], peer.ask("sample", **given)["samples"]


@pytest.mark.parametrize("family", tuple(CASES))
def test_our_sampler_and_the_hosts_ksampler_give_the_same_latents(
    family: str, model_of: Callable[..., Model], peer: Peer, figure: Callable[[str], None]
) -> None:
    model = model_of(models.with_full_denoiser, family)
    ours, hosts = both(family, model, peer)
    decibels = psnr(hosts, ours)
    figure(
        f"{family}: Sample ({CASES[family]['ours']}) against KSampler (euler, {CASES[family]['hosts']}), "
        f"{STEPS} steps, cfg {CASES[family]['cfg']}: PSNR {decibels:.1f} dB (at least {LEAST_DB:.0f}), "
        f"max difference {float((ours - hosts).abs().max()):.1e} of {float(hosts.std()):.2g}"
    )
    assert decibels >= LEAST_DB
    # The comparison can tell: another seed's picture is far from this.
    other = noise(*hosts.shape, seed=0) * hosts.std()
    assert psnr(hosts, other) < LEAST_DB / 2


@pytest.mark.parametrize("shape", ((1, 4, 16, 16), (3, 16, 8, 8), (1, 16, 3, 8, 8), (2, 64, 32)))
@pytest.mark.parametrize("seed", (0, 123456789, 2**64 - 1))
def test_the_noise_of_a_seed_is_the_hosts_noise(shape: tuple[int, ...], seed: int, peer: Peer) -> None:
    """Every row is the host's noise of its own seed, bit for bit.

    The host seeds a batch once, so only its first row is ours: we seed each row, so that it can be made again alone.
    """
    from pipelines.stages.sample import _generators

    rows = [torch.randn((1, *shape[1:]), generator=g) for g in _generators(seed, {}, shape[0])]
    for row, mine in enumerate(rows):
        hosts = peer.ask("noise", samples=torch.zeros(1, *shape[1:]), seed=(seed + row) % 2**64)["noise"]
        assert torch.equal(mine, hosts)
    batch = peer.ask("noise", samples=torch.zeros(shape), seed=seed)["noise"]
    assert torch.equal(rows[0], batch[:1])
