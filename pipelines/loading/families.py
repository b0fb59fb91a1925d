"""Families of single-file checkpoints, as rows: how a header shows them, and where each part's tensors lie.

A row's config folder in `configs/` was made by us from the families' public descriptions. A new family is a new row and
a new folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import AigcError
from .weights import TensorInfo

Header = Mapping[str, TensorInfo]
Dims = tuple[int | None, ...]

CONFIGS = Path(__file__).parent / "configs"

# What may stand before a denoiser's tensors: saved with the whole model, or alone.
DENOISER = ("model.diffusion_model.", "diffusion_model.", "")
VAE = ("first_stage_model.", "vae.")
SD = {"unet": DENOISER[:1], "vae": VAE, "text_encoder": ("cond_stage_model.transformer.",)}
SD2 = {**SD, "text_encoder": ("cond_stage_model.model.",)}
SDXL = {
    **SD,
    "text_encoder": ("conditioner.embedders.0.transformer.",),
    "text_encoder_2": ("conditioner.embedders.1.model.",),
}
SD3 = {
    "transformer": DENOISER,
    "vae": VAE,
    "text_encoder": ("text_encoders.clip_l.transformer.",),
    "text_encoder_2": ("text_encoders.clip_g.transformer.",),
    "text_encoder_3": ("text_encoders.t5xxl.transformer.",),
}
FLUX = {
    "transformer": DENOISER,
    "vae": VAE,
    "text_encoder": ("text_encoders.clip_l.transformer.",),
    "text_encoder_2": ("text_encoders.t5xxl.transformer.",),
}

IN = "input_blocks.0.0.weight"  # [width, in_channels, 3, 3]
SD_TEXT = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"  # [width, text width]
XL_TEXT = "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
SD3_PLACES = "pos_embed"  # [1, positions, width]
SD35_NORM = "joint_blocks.0.x_block.attn.ln_q.weight"
FLUX_IMAGE = "img_in.weight"  # [width, in_channels]
FLUX_BLOCK = "double_blocks.0.img_attn.norm.key_norm.scale"
FLUX_GUIDANCE = "guidance_in.in_layer.weight"
CHROMA = "distilled_guidance_layer.in_proj.weight"


@dataclass(frozen=True)
class Family:
    """One kind of checkpoint.

    config: its folder in `configs/`. name: what people call it.
    prefixes: part -> what may stand before its tensors' names.
    marks: denoiser tensor -> the dimensions that it has (None: any); all of them must fit. absent: must not be there.
    """

    config: str
    name: str
    prefixes: Mapping[str, tuple[str, ...]]
    marks: Mapping[str, Dims]
    absent: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return CONFIGS / self.config


FAMILIES = (
    Family("sd15", "SD 1.5", SD, {IN: (None, 4), SD_TEXT: (None, 768)}),
    Family("sd2", "SD 2", SD2, {IN: (None, 4), SD_TEXT: (None, 1024)}),
    Family("sdxl", "SDXL", SDXL, {IN: (None, 4), XL_TEXT: (None, 2048)}, absent=("v_pred",)),
    Family("sdxl_v", "SDXL (v-prediction)", SDXL, {IN: (None, 4), XL_TEXT: (None, 2048), "v_pred": ()}),
    Family("sd3_medium", "SD 3 medium", SD3, {SD3_PLACES: (1, 192 * 192, 1536)}, absent=(SD35_NORM,)),
    Family("sd35_medium", "SD 3.5 medium", SD3, {SD3_PLACES: (1, 384 * 384, 1536), SD35_NORM: ()}),
    Family("sd35_large", "SD 3.5 large", SD3, {SD3_PLACES: (1, 192 * 192, 2432), SD35_NORM: ()}),
    Family("flux_dev", "FLUX.1 dev", FLUX, {FLUX_IMAGE: (3072, 64), FLUX_BLOCK: (), FLUX_GUIDANCE: ()}),
    Family(
        "flux_schnell", "FLUX.1 schnell", FLUX, {FLUX_IMAGE: (3072, 64), FLUX_BLOCK: ()}, absent=(FLUX_GUIDANCE, CHROMA)
    ),
)
BY_CONFIG = {family.config: family for family in FAMILIES}
# The same architecture with another objective; only values tell them apart (see `single_file.settled`).
BY_CONFIG["sd2_base"] = Family("sd2_base", "SD 2 base", SD2, {})

# Kinds that are recognised and not read: a piece of a tensor's name that only they have.
OTHERS = {
    "Chroma": CHROMA,
    "a FLUX with further inputs (Fill, Canny, Depth)": FLUX_BLOCK,
    "Stable Diffusion 3": ".joint_blocks.",
    "Wan": "blocks.0.cross_attn.norm_k.weight",
    "LTX-Video": "transformer_blocks.0.scale_shift_table",
    "PixArt or Sana": "cross_attn.kv_linear.weight",
    "a LoRA": "lora_",
    "a ControlNet": "zero_conv",
}


def find(header: Header, name: str) -> TensorInfo | None:
    """A denoiser's tensor by its own name, whatever stands before it."""
    return next((header[prefix + name] for prefix in DENOISER if prefix + name in header), None)


def _fits(header: Header, name: str, dims: Dims) -> bool:
    info = find(header, name)
    return info is not None and all(want in (None, have) for want, have in zip(dims, info.shape, strict=False))


def recognise(header: Header, path: Path) -> Family:
    """The family of a checkpoint with this header; AigcError says what was seen when it is another one."""
    if any(key.endswith(("scale_weight", "scaled_fp8", ".weight_scale")) for key in header):
        raise _not_read(path, "scaled fp8 weights", "Use the checkpoint's fp16 version.")
    for family in FAMILIES:
        marked = all(_fits(header, name, dims) for name, dims in family.marks.items())
        if marked and not any(find(header, name) for name in family.absent):
            return family
    raise _not_read(path, *_seen(header))


def _seen(header: Header) -> tuple[str, str]:
    """What an unread file looks like, and what to do."""
    folder = "Get the model as a diffusers folder and put it into models/diffusers."
    first, text = find(header, IN), find(header, XL_TEXT)
    if first is not None and first.shape[1] != 4:
        return f"a UNet with {first.shape[1]} input channels (inpainting or editing)", folder
    if text is not None and text.shape[-1] == 1280:
        return "the SDXL refiner", "Get the base model."
    if first is not None:
        return "a UNet that is neither SD 1.5, SD 2 nor SDXL", folder
    other = next((name for name, piece in OTHERS.items() if any(piece in key for key in header)), "")
    return other or f"{len(header)} tensors such as {', '.join(sorted(header)[:3])}", folder


def _not_read(path: Path, seen: str, remedy: str) -> AigcError:
    names = ", ".join(family.name for family in FAMILIES)
    return AigcError(
        f"Expected a checkpoint of {names}, got {seen} in {path}. Every model is read as a diffusers folder. {remedy}"
    )
