"""Models of published size with random weights, so that the host and diffusers both recognise them.

Weights are one block of normal numbers laid down again and again, scaled as PyTorch scales fresh layers: as good as
independent ones for comparing two programs, and made at the speed of a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.payloads import Model

from ..pipelines import tiny

_BLOCK = 1_000_003  # a prime: repeats never line up with a row

# The autoencoders of the published models: latent channels and what stands in their config.json.
VAES: dict[str, dict[str, Any]] = {
    "sd15": {"latent_channels": 4, "scaling_factor": 0.18215},
    "sdxl": {"latent_channels": 4, "scaling_factor": 0.13025},
    "sd3": {
        "latent_channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609,
        "use_quant_conv": False, "use_post_quant_conv": False,
    },
    "flux": {
        "latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159,
        "use_quant_conv": False, "use_post_quant_conv": False,
    },
}  # fmt: skip


@contextmanager
def _uninitialised() -> Iterator[None]:
    """Build layers without drawing their initial weights; they are filled afterwards."""
    layers = (nn.Linear, nn.modules.conv._ConvNd)
    originals = [layer.reset_parameters for layer in layers]
    for layer in layers:
        layer.reset_parameters = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer, original in zip(layers, originals):
            layer.reset_parameters = original  # type: ignore[method-assign]


@torch.no_grad()
def filled(make: Callable[[], nn.Module], seed: int = 0) -> Any:
    """The module that `make` builds, its weights random."""
    with _uninitialised():
        module = make()
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(seed))
    for place, (name, weight) in enumerate(module.named_parameters()):
        flat, mine = weight.view(-1), block.roll(7919 * place)
        for start in range(0, flat.numel(), _BLOCK):
            piece = flat[start : start + _BLOCK]
            piece.copy_(mine[: piece.numel()])
        if weight.ndim > 1:
            weight.mul_((3 * weight[0].numel()) ** -0.5)
        else:
            weight.mul_(0.05).add_(0.0 if name.endswith("bias") else 1.0)
    return module.eval()


def full_vae(family: str) -> Any:
    """The family's autoencoder at its published size (84 M parameters), PyTorch's own random weights.

    Its last layer is turned down so that pictures stay inside 0..1: clipping would hide differences.
    """
    from diffusers import AutoencoderKL

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, **VAES[family],
        )  # fmt: skip
        for weight in vae.decoder.conv_out.parameters():
            weight.mul_(0.4)
    return vae.eval()


def _with_channels(pipe: Any, channels: int) -> None:
    """Let a tiny denoiser work on latents of another number of channels."""
    part = pipe.components.get("transformer") or pipe.unet
    wanted = {"in_channels": channels}
    if "out_channels" in part.config and part.config.out_channels is not None:
        wanted["out_channels"] = channels
    torch.manual_seed(0)
    changed = type(part).from_config({**part.config, **wanted}).eval()
    pipe.register_modules(**{"transformer" if "transformer" in pipe.components else "unet": changed})


def with_full_vae(family: str, folder: Path) -> Model:
    """A diffusers folder with the published autoencoder; every other part is tiny."""
    pipe = tiny.pipeline(family)
    pipe.register_modules(vae=full_vae(family))
    if VAES[family]["latent_channels"] != 4:
        _with_channels(pipe, 64 if family == "flux" else 16)
    pipe.save_pretrained(folder)
    return as_model(folder, pipe)


def as_model(folder: Path, pipe: Any) -> Model:
    return Model(path=folder, config=folder, pipeline_class=type(pipe).__name__, dtype="float32", offload="stage")


def _tiny_vae(family: str) -> Any:
    """A tiny autoencoder with the family's channels and scale."""
    config = {k: v for k, v in VAES[family].items() if k != "latent_channels"}
    return tiny.vae(VAES[family]["latent_channels"], **config).eval()


def sd15_unet() -> nn.Module:
    """Stable Diffusion 1.5's UNet, 860 M parameters."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)


def sd3_transformer() -> nn.Module:
    """SD3's MMDiT at width 512: the host reads the depth off the width (64 a block), so both shrink together."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=8, attention_head_dim=64,
        num_attention_heads=8, caption_projection_dim=512, joint_attention_dim=4096, pooled_projection_dim=2048,
        pos_embed_max_size=64,
    )  # fmt: skip


def flux_transformer() -> nn.Module:
    """FLUX.1 dev at full width with one block of each kind instead of 19 and 38."""
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(num_layers=1, num_single_layers=1, guidance_embeds=True)


DENOISERS: dict[str, Callable[[], nn.Module]] = {
    "sd15": sd15_unet,
    "sd3": sd3_transformer,
    "flux": flux_transformer,
}


def with_full_denoiser(family: str, folder: Path) -> Model:
    """A diffusers folder with a denoiser that the host recognises; every other part is tiny."""
    pipe = tiny.pipeline(family)
    part = filled(DENOISERS[family])
    pipe.register_modules(**{"unet" if family == "sd15" else "transformer": part})
    pipe.register_modules(vae=_tiny_vae(family))
    pipe.save_pretrained(folder)
    return as_model(folder, pipe)
