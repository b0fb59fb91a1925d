"""From the tensors of one part in its original layout to the part, by diffusers' own converters where it has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from . import hunyuan
from .quantised import plain
from .stubs import empty_module

Tensors = dict[str, torch.Tensor]

# Classes whose converter of diffusers looks for a prefix; the others take bare names.
PREFIXES = {"UNet2DConditionModel": "model.diffusion_model.", "AutoencoderKLLTXVideo": "vae."}
# Small values that a pipeline reads from a part it does not run: a buffer, and its name in the original layout.
BUFFERS = {
    "AutoencoderKLLTXVideo": {
        "latents_mean": "per_channel_statistics.mean-of-means",
        "latents_std": "per_channel_statistics.std-of-means",
    },
    "AutoencoderKLFlux2": {"bn.running_mean": "bn.running_mean", "bn.running_var": "bn.running_var"},
}
# Wan 2.2's autoencoder, whose blocks are nested: patterns in the original layout, and what stands for them.
WAN_BLOCK = {
    r"\.residual\.0\.": ".norm1.", r"\.residual\.2\.": ".conv1.", r"\.residual\.3\.": ".norm2.",
    r"\.residual\.6\.": ".conv2.", r"\.shortcut\.": ".conv_shortcut.",
}  # fmt: skip
WAN22 = {
    r"^conv1\.": "quant_conv.", r"^conv2\.": "post_quant_conv.",
    r"coder\.conv1\.": "coder.conv_in.", r"\.head\.0\.": ".norm_out.", r"\.head\.2\.": ".conv_out.",
    r"\.middle\.0\.": ".mid_block.resnets.0.", r"\.middle\.2\.": ".mid_block.resnets.1.",
    r"\.middle\.1\.": ".mid_block.attentions.0.",
    r"\.downsamples\.(\d+)\.downsamples\.\d+\.(resample|time_conv)\.": r".down_blocks.\1.downsampler.\2.",
    r"\.upsamples\.(\d+)\.upsamples\.\d+\.(resample|time_conv)\.": r".up_blocks.\1.upsampler.\2.",
    r"\.downsamples\.(\d+)\.downsamples\.": r".down_blocks.\1.resnets.",
    r"\.upsamples\.(\d+)\.upsamples\.": r".up_blocks.\1.resnets.",
    **WAN_BLOCK,
}  # fmt: skip
WAN22_NESTED = "decoder.upsamples.0.upsamples.0.residual.2.weight"


def convert(cls: Any, tensors: Tensors, config: Path, name: str, dtype: torch.dtype, **options: Any) -> torch.nn.Module:
    """A part of diffusers' class `cls` from bare tensors in their original layout; missing ones stay on meta.

    config: the folder with the parts' configs. options: further arguments of diffusers' from_single_file.
    """
    prepare = PREPARED.get(cls.__name__, _as_it_is)
    if cls.__name__ in OWN:  # whose layers take plain numbers only
        return _assigned(cls, prepare({key: plain(value) for key, value in tensors.items()}), config / name, dtype)
    prepared = prepare(tensors)
    prefix = PREFIXES.get(cls.__name__, "")
    if prefix and set(empty_module(cls, config / name).state_dict()) <= set(prepared):
        prefix = ""  # a file in diffusers' own layout, which no converter is asked for
    prefixed = {prefix + key: value for key, value in prepared.items()}
    return cls.from_single_file(
        prefixed, config=str(config), subfolder=name, torch_dtype=dtype, local_files_only=True, **options
    )


def _as_it_is(tensors: Tensors) -> Tensors:
    return tensors


def _wan_vae(tensors: Tensors) -> Tensors:
    return renamed(tensors, WAN22) if WAN22_NESTED in tensors else tensors


def _qwen_vae(tensors: Tensors) -> Tensors:
    """Qwen-Image's autoencoder is Wan 2.1's under another class, which diffusers reads from no single file."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    return convert_wan_vae_to_diffusers(tensors) if "encoder.conv1.weight" in tensors else tensors


def _flux2_vae(tensors: Tensors) -> Tensors:
    """FLUX.2's autoencoder: the first latent diffusion's layout, with two layers inside its halves and a norm beside them."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    if "encoder.mid.block_1.norm1.weight" not in tensors:
        return tensors
    outside = renamed(tensors, {r"^(?:en|de)coder\.((?:post_)?quant_conv\.)": r"\1"})
    levels = ["level"] * len({key.split(".")[2] for key in outside if key.startswith("encoder.down.")})
    found = convert_ldm_vae_checkpoint(dict(outside), {"down_block_types": levels, "up_block_types": levels})
    return found | {key: value for key, value in outside.items() if key.startswith("bn.")}


PREPARED: Mapping[str, Callable[[Tensors], Tensors]] = {
    "AutoencoderKLWan": _wan_vae,
    "AutoencoderKLQwenImage": _qwen_vae,
    "AutoencoderKLFlux2": _flux2_vae,
    "AutoencoderKLHunyuanVideo15": hunyuan.vae,
    "HunyuanVideo15Transformer3DModel": hunyuan.transformer,
}
# Classes that diffusers reads from no single file.
OWN = (
    "AutoencoderKLQwenImage",
    "AutoencoderKLFlux2",
    "AutoencoderKLHunyuanVideo15",
    "HunyuanVideo15Transformer3DModel",
)


def renamed(tensors: Tensors, patterns: Mapping[str, str]) -> Tensors:
    """The same tensors, every pattern in their names replaced in the order of the table."""
    found = {}
    for key, value in tensors.items():
        for pattern, new in patterns.items():
            key = re.sub(pattern, new, key)
        found[key] = value
    return found


def _assigned(cls: Any, tensors: Tensors, folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """A model of diffusers that takes over tensors which bear its own names."""
    from accelerate import init_empty_weights

    with init_empty_weights():
        part = cls.from_config(cls.load_config(str(folder), local_files_only=True))
    cast = {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors.items()}
    part.load_state_dict(cast, strict=False, assign=True)
    return part
