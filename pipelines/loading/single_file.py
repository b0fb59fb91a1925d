"""Checkpoints in their original single-file layout, read offline with the config-only folders beside this file.

Which family a file is shows in its header: names and shapes of a few tensors. Only the tensors of the part that is
asked for are read; diffusers' own converters rename them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Model
from .folder import component_classes, read_json
from .weights import TensorInfo, read_header

CONFIGS = Path(__file__).parent / "configs"

# Where each part's tensors lie in the original layout.
PREFIXES = {
    "sd15": {
        "unet": "model.diffusion_model.",
        "vae": "first_stage_model.",
        "text_encoder": "cond_stage_model.transformer.",
    },
    "sdxl": {
        "unet": "model.diffusion_model.",
        "vae": "first_stage_model.",
        "text_encoder": "conditioner.embedders.0.transformer.",
        "text_encoder_2": "conditioner.embedders.1.model.",
    },
}
CLIP_L_PREFIXES = ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer.")

FIRST_CONV = "model.diffusion_model.input_blocks.0.0.weight"  # [width, in_channels, 3, 3]
SD_CONTEXT = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"  # [width, text width]
XL_CONTEXT = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"

# Families that are recognised but not read yet: a piece of a tensor's name that only they have.
OTHERS = {
    "Stable Diffusion 3": ".joint_blocks.",
    "FLUX": "double_blocks.0.img_attn.qkv.weight",
    "Wan": "blocks.0.cross_attn.norm_k.weight",
    "LTX-Video": "transformer_blocks.0.scale_shift_table",
    "PixArt or Sana": "cross_attn.kv_linear.weight",
    "a LoRA": "lora_",
    "a ControlNet": "zero_conv",
}
FOLDER = "Get the model as a diffusers folder and put it into models/diffusers."
READ_NOW = "Read now: SD 1.5 and SDXL text-to-image checkpoints, and every model as a diffusers folder."


@dataclass(frozen=True)
class CheckpointModel(Model):
    """A Model whose weights are one file; CLIP's vocab.json and merges.txt come from `clip_tokenizer`."""

    clip_tokenizer: Path | None = None


def recognise(header: Mapping[str, TensorInfo], path: Path) -> Path:
    """The config folder for a checkpoint with this header; AigcError says what was seen when it is another family."""
    if any(key.endswith(("scale_weight", "scaled_fp8", ".weight_scale")) for key in header):
        raise _not_read(path, "scaled fp8 weights", "Use the checkpoint's fp16 version.")
    if FIRST_CONV not in header:
        family = next((name for name, piece in OTHERS.items() if any(piece in key for key in header)), "")
        seen = family or f"{len(header)} tensors such as {', '.join(sorted(header)[:3])}"
        raise _not_read(path, seen, FOLDER)
    channels = header[FIRST_CONV].shape[1]
    if "v_pred" in header:
        raise _not_read(path, "a v-prediction SDXL", FOLDER)
    if channels != 4:
        raise _not_read(path, f"a UNet with {channels} input channels (inpainting or editing)", FOLDER)
    if SD_CONTEXT in header:
        width = header[SD_CONTEXT].shape[-1]
        if width == 768:
            return CONFIGS / "sd15"
        raise _not_read(path, f"a UNet for text of width {width} (SD 2 has 1024)", FOLDER)
    if XL_CONTEXT in header and header[XL_CONTEXT].shape[-1] == 2048:
        return CONFIGS / "sdxl"
    raise _not_read(path, "a UNet that is neither SD 1.5 nor SDXL (the SDXL refiner?)", "Get the base model.")


def _not_read(path: Path, seen: str, remedy: str) -> AigcError:
    return AigcError(f"Expected an SD 1.5 or SDXL checkpoint, got {seen} in {path}. {READ_NOW} {remedy}")


def part_tensors(model: Model, name: str) -> dict[str, TensorInfo]:
    """The header entries of one part by their names in the file."""
    prefix = PREFIXES[model.config.name].get(name, "")
    found = {key: info for key, info in read_header(model.path).items() if prefix and key.startswith(prefix)}
    if not found:
        raise AigcError(
            f"Expected the part {name!r} in {model.path}, but the file has no tensors named {prefix or name}*. "
            f"Get a complete checkpoint (one with its text encoder and VAE baked in)."
        )
    return found


def load_weights(model: Model, name: str, cls: Any, dtype: torch.dtype) -> torch.nn.Module:
    """One part, converted. Tensors that are only renamed stay pages of the file when `dtype` is theirs."""
    from safetensors import safe_open

    keys = part_tensors(model, name)
    with safe_open(model.path, "pt") as file:
        tensors = {_modern_name(key): file.get_tensor(key) for key in keys}
    if name.startswith("text_encoder"):
        from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

        part = create_diffusers_clip_model_from_ldm(
            cls, tensors, subfolder=name, config=str(model.config), torch_dtype=dtype, local_files_only=True
        )
    else:
        part = cls.from_single_file(
            tensors, config=str(model.config), subfolder=name, torch_dtype=dtype, local_files_only=True
        )
    missing = [key for key, value in part.named_parameters() if value.is_meta]
    if missing:
        raise AigcError(
            f"Expected every weight of {name!r} in {model.path}, but {len(missing)} are not there, e.g. {missing[0]}. "
            f"Get a complete checkpoint."
        )
    return part


def _modern_name(key: str) -> str:
    """Early files leave out CLIP's `text_model.`; the converters expect it."""
    for prefix in CLIP_L_PREFIXES:
        rest = key.removeprefix(prefix)
        if rest != key and rest.startswith(("embeddings.", "encoder.", "final_layer_norm.")):
            return f"{prefix}text_model.{rest}"
    return key


def load_tokenizer(model: Model, cls: Any, folder: Path) -> Any:
    """CLIP's tokenizer, its words from the host's files and its settings from our config (length 77, padding)."""
    files = getattr(model, "clip_tokenizer", None)
    if files is None or not all((files / name).is_file() for name in ("vocab.json", "merges.txt")):
        raise AigcError(
            f"Expected CLIP's vocab.json and merges.txt in {files or 'a folder given by the host'}, but they are not "
            f"there: {model.path.name} comes without a tokenizer. Use ComfyUI's own copy (comfy/sd1_tokenizer), or the "
            f"model as a diffusers folder."
        )
    settings = read_json(folder / "tokenizer_config.json")
    settings.pop("tokenizer_class", None)
    return cls(str(files / "vocab.json"), str(files / "merges.txt"), **settings)


def family_parts(model: Model) -> list[str]:
    """The parts of a checkpoint's family that have weights in the file."""
    return [name for name in component_classes(model) if name in PREFIXES[model.config.name]]
