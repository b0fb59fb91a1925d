"""Denoisers and their text encoders by their designs, and the scheduler that samples what an objective trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Design
from . import autoencoders

TRAIN_STEPS = 1000
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@dataclass(frozen=True)
class UnetOptions:
    """UNet2DConditionModel on latents, with a CLIPTextModel and a tokenizer of the dataset's own captions.

    widths: channels of each level; all but the first attend to the text. layers: residual blocks a level. heads: of every
    attention. pooled: a summary of the text is added to the time embedding. text_width, text_layers: of the text encoder.
    vocabulary: entries of the tokenizer at most; length: tokens of a prompt. latent_channels, latent_side: of the autoencoder
    that it is trained on, 0 until then.
    """

    resolution: int = 64
    widths: tuple[int, ...] = (64, 128)
    layers: int = 1
    heads: int = 4
    pooled: bool = True
    text_width: int = 128
    text_layers: int = 2
    vocabulary: int = 6000
    length: int = 24
    latent_channels: int = 0
    latent_side: int = 0


def _unet(o: UnetOptions) -> Any:
    from diffusers import UNet2DConditionModel

    more = {"addition_embed_type": "text", "addition_embed_type_num_heads": o.heads} if o.pooled else {}
    attending = len(o.widths) - 1
    return UNet2DConditionModel(
        sample_size=o.latent_side,
        in_channels=o.latent_channels,
        out_channels=o.latent_channels,
        block_out_channels=o.widths,  # type: ignore[arg-type]
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * attending),  # type: ignore[arg-type]
        up_block_types=(*("CrossAttnUpBlock2D",) * attending, "UpBlock2D"),  # type: ignore[arg-type]
        layers_per_block=o.layers,
        cross_attention_dim=o.text_width,
        attention_head_dim=o.heads,  # the number of heads, by diffusers' historical naming
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=math.gcd(16, *o.widths),
        **more,
    )


KINDS = {"unet": autoencoders.Kind(UnetOptions, _unet)}


def options(design: Design) -> dict[str, Any]:
    """Every option of a diffusion model's design, those that it leaves open at their defaults. Raises AigcError."""
    found = autoencoders.made(design, "diffusion", KINDS)
    if len(found.widths) < 2 or any(width % (2 * found.heads) for width in found.widths):
        raise AigcError(
            f"Expected two widths or more, each a multiple of {2 * found.heads}, got {list(found.widths)}: change them."
        )
    if found.text_width % found.heads:
        raise AigcError(
            f"Expected a width of the text encoder that {found.heads} heads divide, got {found.text_width}."
        )
    return autoencoders.plain(found)


def build(design: Design, tokenizer: Any, *, seed: int) -> tuple[Any, Any]:
    """(denoiser, text encoder) with fresh weights, on the CPU."""
    options(design)
    made = autoencoders.made(design, "diffusion", KINDS)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        torch.manual_seed(seed)
        return KINDS[design.kind].build(made), text_encoder(made, tokenizer)


def text_encoder(o: UnetOptions, tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=o.text_width,
            intermediate_size=4 * o.text_width,
            num_hidden_layers=o.text_layers,
            num_attention_heads=o.heads,
            max_position_embeddings=o.length,
            projection_dim=o.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


@dataclass(frozen=True)
class Words:
    """As much of a tokenizer as a text encoder's size depends on, before there are captions."""

    count: int
    bos_token_id: int = 0
    eos_token_id: int = 1
    pad_token_id: int = 2

    def __len__(self) -> int:
        return self.count


def _flow_scheduler(shift: float) -> dict[str, Any]:
    return {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}


SCHEDULERS: dict[str, Callable[[float], dict[str, Any]]] = {
    "flow": _flow_scheduler,
    "v": lambda shift: {"prediction_type": "v_prediction", **BETAS},
    "epsilon": lambda shift: {"prediction_type": "epsilon", **BETAS},
}


def scheduler(objective: str, shift: float) -> Any:
    """DPM-Solver++ (2M) for what the objective predicts."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        num_train_timesteps=TRAIN_STEPS, solver_order=2, final_sigmas_type="zero", steps_offset=1,
        **SCHEDULERS[objective](shift),
    )  # fmt: skip


def alphas_sigmas() -> tuple[torch.Tensor, torch.Tensor]:
    """alpha and sigma [1000] of v and epsilon: the variance-preserving schedule that their scheduler has."""
    root = torch.linspace(BETAS["beta_start"] ** 0.5, BETAS["beta_end"] ** 0.5, TRAIN_STEPS, dtype=torch.float64)
    kept = (1 - root.square()).cumprod(0)
    return kept.sqrt().float(), (1 - kept).sqrt().float()
