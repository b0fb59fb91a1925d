"""LATENT is the host's LATENT: what one side encodes or samples, the other side decodes to the same picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipelines import stages
from pipelines.payloads import Model
from pipelines.runtime import Runtime

from . import models
from .peer import Peer

FAMILIES = ("sd15", "sdxl", "sd3", "flux")
LIMIT = 1e-5
PROMPT = "a photo of an astronaut riding horse on mars"
CPU = Runtime("cpu")
pytestmark = [pytest.mark.host, pytest.mark.slow]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(family: str, model_of: Callable[..., Model]) -> Model:
    """The family with its published autoencoder; pytest runs all tests of one family before the next."""
    return model_of(models.with_full_vae, family)


def vae_file(model: Model) -> str:
    return str(model.path / "vae" / "diffusion_pytorch_model.safetensors")


def pictures() -> torch.Tensor:
    """A picture [1, 64, 64, 3] in 0..1: soft colours with some grain."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    soft = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic", align_corners=False)
    grain = 0.05 * torch.randn(soft.shape, generator=torch.Generator().manual_seed(2))
    return (soft + grain).clamp(0, 1).permute(0, 2, 3, 1).contiguous()


def latents_of(family: str) -> torch.Tensor:
    """Two latents as the host holds them: of the size and spread that sampling leaves."""
    vae = models.VAES[family]
    unit = torch.randn(2, vae["latent_channels"], 8, 8, generator=torch.Generator().manual_seed(3))
    return unit / vae["scaling_factor"] + vae.get("shift_factor", 0.0)


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


def ours(model: Model, samples: torch.Tensor) -> torch.Tensor:
    return stages.decode_image(model, {"samples": samples}, runtime=CPU)


def hosts(peer: Peer, model: Model, samples: torch.Tensor) -> torch.Tensor:
    reply = peer.ask("decode", weights=vae_file(model), samples=samples)
    assert reply["dtype"] == "torch.float32"
    return reply["image"]


def test_both_sides_decode_a_latent_to_the_same_picture(
    family: str, model: Model, peer: Peer, figure: Callable[[str], None]
) -> None:
    samples = latents_of(family)
    ours_, hosts_ = ours(model, samples), hosts(peer, model, samples)
    figure(f"{family}: decode, max difference of a picture in 0..1: {gap(ours_, hosts_):.1e} (at most {LIMIT:.0e})")
    assert 0 < ours_.min() and ours_.max() < 1 and ours_.std() > 0.03  # a picture, and nothing of it clipped
    assert gap(ours_, hosts_) <= LIMIT
    # The comparison can tell a wrong scale: the denoiser's own latents give another picture.
    assert gap(ours(model, samples * models.VAES[family]["scaling_factor"]), hosts_) > 1000 * LIMIT


def test_an_image_encoded_on_one_side_decodes_the_same_on_the_other(
    family: str, model: Model, peer: Peer, figure: Callable[[str], None]
) -> None:
    image = pictures()
    mine = stages.encode_image(model, image, runtime=CPU)
    theirs = peer.ask("encode", weights=vae_file(model), image=image)["samples"]
    own = stages.decode_image(model, mine, runtime=CPU)
    across = {
        "ours to host": gap(hosts(peer, model, mine["samples"]), own),
        "host to ours": gap(ours(model, theirs), own),
    }
    figure(
        f"{family}: encode then decode, against ours to ours: "
        + ", ".join(f"{way} {value:.1e}" for way, value in across.items())
        + f"; latents differ by {gap(mine['samples'], theirs):.1e} of {float(theirs.std()):.2g}"
    )
    assert max(across.values()) <= LIMIT


def test_the_host_decodes_what_our_sampler_made(
    family: str, model: Model, peer: Peer, figure: Callable[[str], None]
) -> None:
    made: dict[str, Any] = stages.sample(
        model,
        stages.encode_prompt(model, [PROMPT], runtime=CPU),
        stages.empty_latents(model, width=64, height=64),
        seed=7,
        steps=3,
        runtime=CPU,
    )
    own = stages.decode_image(model, made, runtime=CPU)
    apart = gap(hosts(peer, model, made["samples"]), own)
    figure(f"{family}: our Sample decoded by the host against our decode: {apart:.1e}")
    assert own.shape == (1, 64, 64, 3)
    assert apart <= LIMIT
