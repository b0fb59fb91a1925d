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


AURA_LENGTH = 256  # tokens of a prompt, whatever AuraFlowPipeline's tokenizer says


@dataclass(frozen=True)
class DitOptions(UnetOptions):
    """AuraFlowTransformer2DModel: blocks that read text and picture side by side, half of `layers` with weights for each of the
    two, then half with one set for both. widths: one number. A token is a latent where these are 16 a side at most, or an
    odd number, else two by two. pooled and length have no say here: the pipeline's own prompt is 256 tokens long.
    """

    widths: tuple[int, ...] = (256,)
    layers: int = 6

    @property
    def patch(self) -> int:
        return 1 if self.latent_side <= 16 or self.latent_side % 2 else 2


def _dit(o: DitOptions) -> Any:
    from diffusers import AuraFlowTransformer2DModel

    doubled = max(1, o.layers // 2)
    places = o.latent_side // o.patch
    return AuraFlowTransformer2DModel(
        sample_size=o.latent_side,
        patch_size=o.patch,
        in_channels=o.latent_channels,
        out_channels=o.latent_channels,
        num_mmdit_layers=doubled,
        num_single_dit_layers=o.layers - doubled,
        attention_head_dim=o.widths[0] // o.heads,
        num_attention_heads=o.heads,
        joint_attention_dim=o.text_width,
        caption_projection_dim=o.widths[0],
        pos_embed_max_size=places**2,
    )


@dataclass(frozen=True)
class Kind(autoencoders.Kind):
    """A denoiser beside the pipeline that samples it. part: its name there. levels: numbers of widths that it takes.

    call: (net, x, timestep 0..1000, what the encoder says) -> prediction. said: (encoder, ids, mask) -> what is passed on.
    """

    network: str
    pipeline: str
    part: str
    objectives: tuple[str, ...]
    levels: tuple[int, int]
    call: Callable[[Any, Any, Any, Any], Any]
    said: Callable[[Any, Any, Any], Any]


def _unet_call(net: Any, x: Any, timestep: Any, hidden: Any) -> Any:
    return net(x, timestep, encoder_hidden_states=hidden).sample


def _dit_call(net: Any, x: Any, timestep: Any, hidden: Any) -> Any:
    return net(x, encoder_hidden_states=hidden, timestep=(timestep / TRAIN_STEPS).to(x.dtype)).sample


def _all_said(text: Any, ids: Any, mask: Any) -> Any:
    return text(ids).last_hidden_state


def _words_said(text: Any, ids: Any, mask: Any) -> Any:
    """What is said of padding is nothing, as AuraFlowPipeline has it."""
    return text(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]


KINDS = {
    "unet": Kind(
        UnetOptions,
        _unet,
        "UNet2DConditionModel",
        "StableDiffusionPipeline",
        "unet",
        ("flow", "v", "epsilon"),
        (2, 8),
        _unet_call,
        _all_said,
    ),
    "dit": Kind(
        DitOptions,
        _dit,
        "AuraFlowTransformer2DModel",
        "AuraFlowPipeline",
        "transformer",
        ("flow",),
        (1, 1),
        _dit_call,
        _words_said,
    ),
}


def options(design: Design) -> dict[str, Any]:
    """Every option of a diffusion model's design, those that it leaves open at their defaults. Raises AigcError."""
    found = autoencoders.made(design, "diffusion", KINDS)
    least, most = KINDS[design.kind].levels
    if not least <= len(found.widths) <= most or any(width % (2 * found.heads) for width in found.widths):
        count = "one width" if most == 1 else f"{least} to {most} widths"
        raise AigcError(
            f"Expected {count} for {design.kind}, each a multiple of {2 * found.heads}, got {list(found.widths)}: change them."
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


def length_of(o: Any) -> int:
    """Tokens of a prompt, of a design or its options."""
    o = autoencoders.made(o, "diffusion", KINDS) if isinstance(o, Design) else o
    return AURA_LENGTH if isinstance(o, DitOptions) else o.length


def text_encoder(o: UnetOptions, tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=o.text_width,
            intermediate_size=4 * o.text_width,
            num_hidden_layers=o.text_layers,
            num_attention_heads=o.heads,
            max_position_embeddings=length_of(o),
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


def scheduler(objective: str, shift: float, kind: str = "unet") -> Any:
    """DPM-Solver++ (2M) for what the objective predicts; for a DiT Euler's steps along the flow, which its pipeline asks for."""
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

    if kind == "dit":
        return FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_STEPS, shift=shift)
    return DPMSolverMultistepScheduler(
        num_train_timesteps=TRAIN_STEPS, solver_order=2, final_sigmas_type="zero", steps_offset=1,
        **SCHEDULERS[objective](shift),
    )  # fmt: skip


def alphas_sigmas() -> tuple[torch.Tensor, torch.Tensor]:
    """alpha and sigma [1000] of v and epsilon: the variance-preserving schedule that their scheduler has."""
    root = torch.linspace(BETAS["beta_start"] ** 0.5, BETAS["beta_end"] ** 0.5, TRAIN_STEPS, dtype=torch.float64)
    kept = (1 - root.square()).cumprod(0)
    return kept.sqrt().float(), (1 - kept).sqrt().float()
