"""LATENT of video families is the host's LATENT: either side decodes what the other encoded, at published size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from pipelines import stages
from pipelines.payloads import Model

from . import video_vaes
from .peer import Peer
from .test_vae import CPU, LIMIT, gap

pytestmark = [pytest.mark.host, pytest.mark.slow]
FRAMES = {"wan": 5, "qwen-image": 1, "hunyuan-video": 5, "mochi": 7, "ltx": 9, "cosmos": 9}


@pytest.fixture(scope="module", autouse=True)
def no_safety_checker() -> Iterator[None]:
    """Cosmos's pipeline makes one when it is given none, of a package that is not installed."""
    from diffusers.pipelines.cosmos import pipeline_cosmos_text2world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_cosmos_text2world, "CosmosSafetyChecker", lambda: None)
        yield


@pytest.fixture(scope="module", params=tuple(video_vaes.ROWS))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(family: str, model_of: Callable[..., Model]) -> Model:
    return model_of(video_vaes.with_published_vae, family)


@pytest.fixture(scope="module")
def weights(family: str, model: Model, peer: Peer) -> str:
    """The file that the host reads."""
    marks = video_vaes.ROWS[family].marks
    return str(video_vaes.host_file(family, model, peer.ask("vae_shapes", marks=marks) if marks else {}))


def video(family: str) -> torch.Tensor:
    """Frames [F, H, W, 3] in 0..1 as large as the family's LATENT asks for: soft colours that move, with grain."""
    side = 64 if family == "ltx" else 16
    draw = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 3, 6, 6, generator=draw)
    soft = torch.nn.functional.interpolate(coarse, size=(FRAMES[family], side, side), mode="trilinear")
    grain = 0.05 * torch.randn(soft.shape, generator=draw)
    return (soft + grain).clamp(0, 1)[0].permute(1, 2, 3, 0).contiguous()


@torch.no_grad()
def rounding(family: str, model: Model, samples: torch.Tensor) -> float:
    """How far this decoder in float32 is from itself in float64, for one LATENT: two right ones may differ by twice that.

    Of families whose LATENT is the latents times a factor.
    """
    import diffusers

    vae = getattr(diffusers, video_vaes.ROWS[family].vae).from_pretrained(model.path / "vae").eval()
    z = samples / vae.config.scaling_factor
    exact = vae.double().decode(z.double()).sample
    return float((vae.float().decode(z).sample - exact).abs().max()) / 2


def test_both_sides_decode_a_video_latent_to_the_same_frames(
    family: str, model: Model, weights: str, peer: Peer, figure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = torch.randn(video_vaes.ROWS[family].shape, generator=torch.Generator().manual_seed(3))
    reply = peer.ask("decode", weights=weights, samples=samples)
    assert reply["dtype"] == "torch.float32"
    published = stages.decode_image(model, {"samples": samples}, runtime=CPU)
    said = f"{family}: decode, max difference of frames in 0..1"
    if family in video_vaes.HOSTS_WAY:
        said += f": {gap(published, reply['image']):.1e} as published, in the host's way"
        stages.release_all()
        video_vaes.HOSTS_WAY[family](monkeypatch)
    ours = stages.decode_image(model, {"samples": samples}, runtime=CPU)
    figure(f"{said}: {gap(ours, reply['image']):.1e} (at most {LIMIT:.0e})")
    assert len(ours) == FRAMES[family]
    assert 0 < ours.min() and ours.max() < 1 and ours.std() > 0.01  # frames, and nothing of them clipped
    assert gap(ours, reply["image"]) <= LIMIT
    # The comparison can tell a wrong scale.
    assert gap(stages.decode_image(model, {"samples": samples * 0.5}, runtime=CPU), reply["image"]) > 1000 * LIMIT


def test_a_video_encoded_on_one_side_decodes_the_same_on_the_other(
    family: str, model: Model, weights: str, peer: Peer, figure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    video_vaes.HOSTS_WAY.get(family, lambda patch: None)(monkeypatch)
    stages.release_all()
    frames = video(family)
    mine = stages.encode_image(model, frames, runtime=CPU)
    theirs = peer.ask("encode", weights=weights, image=frames)["samples"]
    own = stages.decode_image(model, mine, runtime=CPU)
    across = {
        "ours to host": gap(peer.ask("decode", weights=weights, samples=mine["samples"])["image"], own),
        "host to ours": gap(stages.decode_image(model, {"samples": theirs}, runtime=CPU), own),
    }
    figure(
        f"{family}: encode then decode, against ours to ours: "
        + ", ".join(f"{way} {value:.1e}" for way, value in across.items())
        + f"; latents differ by {gap(mine['samples'], theirs):.1e} of {float(theirs.std()):.2g}"
    )
    most = max(across.values())
    if most > LIMIT:
        own_rounding = rounding(family, model, mine["samples"])
        figure(f"{family}: float32 itself is {own_rounding:.1e} from float64 there")
        assert most <= 2 * own_rounding < 10 * LIMIT
