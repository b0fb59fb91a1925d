"""Networks beside a model: control nets and T2I-Adapters, each a diffusers folder or one .safetensors file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import AigcError
from .folder import part_class, read_json
from .network_layouts import own_names
from .parts import _load_weights
from .stubs import empty_module
from .weights import part_weights, read_header, refuse_pickle

Shapes = Mapping[str, tuple[int, ...]]
ORIGINAL = "control_model."  # what the first control nets put before the names of their tensors
NAMES = ("ControlNet", "T2IAdapter")
HINT_OUT = "input_hint_block.conv_out.weight"
# What differs from SD 1.5 in SD 2 and SDXL, by the width of their text.
WIDTHS: dict[int, dict[str, Any]] = {
    1024: {"attention_head_dim": (5, 10, 20, 20)},
    2048: {
        "attention_head_dim": (5, 10, 20),
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


class Recognised(NamedTuple):
    """What a single file is: its diffusers class and config."""

    cls: type
    config: dict[str, Any]


def class_of(path: Path) -> type:
    """The diffusers class of a control net. Raises AigcError for files that are none, damaged, or a pickle."""
    if path.is_file():
        return recognised(path).cls
    name = str(read_json(path / "config.json").get("_class_name"))
    if not any(word in name for word in NAMES) or "Multi" in name:
        raise AigcError(
            f"Expected a control net or a T2I-Adapter in {path}, got {name}: choose one from models/controlnet."
        )
    part_weights(path)
    return part_class("diffusers", name)


def config_of(path: Path) -> Mapping[str, Any]:
    """The config of a control net, without reading its weights."""
    if path.is_file():
        return recognised(path).config
    return empty_module(class_of(path), path).config  # pyright: ignore[reportReturnType]


def load_network(path: Path, dtype: torch.dtype) -> nn.Module:
    """A control net on the CPU, in eval mode and without gradients."""
    cls = class_of(path)
    with torch.inference_mode(False):
        net = _load_weights(cls, path, dtype) if path.is_dir() else _load_file(path, dtype)
    return net.eval().requires_grad_(False)


def _load_file(path: Path, dtype: torch.dtype) -> nn.Module:
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
    from safetensors.torch import load_file

    cls, config = recognised(path)
    tensors = load_file(path)
    tensors = (
        convert_controlnet_checkpoint(tensors, config) if cls.__name__ == "ControlNetModel" else own_names(tensors)
    )
    with torch.device("meta"):
        net = cls.from_config(config)  # pyright: ignore[reportAttributeAccessIssue]
    missing = sorted(set(net.state_dict()) - set(tensors))
    if missing:
        raise AigcError(
            f"Expected every weight of {cls.__name__} in {path.name}, but {len(missing)} are missing, e.g. {missing[0]}. "
            "Use the control net as a diffusers folder, with its config.json."
        )
    net.load_state_dict({key: value.to(dtype) for key, value in tensors.items()}, assign=True, strict=False)
    return net


def recognised(path: Path) -> Recognised:
    """Class and config of a control net in one file, by the names and shapes of its tensors.

    Raises AigcError for layouts that are not known here.
    """
    refuse_pickle(path)
    header = {key.removeprefix(ORIGINAL): info.shape for key, info in read_header(path).items()}
    empty = own_names({key: torch.empty(shape, device="meta") for key, shape in header.items()})
    return kind_of({key: tuple(value.shape) for key, value in empty.items()}, path.name)


def kind_of(shapes: Shapes, file: str) -> Recognised:
    """Class and config by the shapes of the tensors; `file` is what an error calls them."""
    import diffusers

    for mark, name, config in KINDS:
        if any(key.startswith(mark) for key in shapes):
            return Recognised(getattr(diffusers, name), config(shapes))
    raise AigcError(
        f"Expected a control net of SD 1.5, SD 2, SDXL, SD 3, FLUX or Qwen-Image in {file}, got a file with tensors such as "
        f"{next(iter(shapes), 'none')}: use it as a diffusers folder, with its config.json."
    )


def _count(shapes: Shapes, prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})


def _flux(shapes: Shapes) -> dict[str, Any]:
    """FluxControlNetModel: everything but the size of a head can be read off."""
    mode = shapes.get("controlnet_mode_embedder.weight")
    inner, channels = shapes["x_embedder.weight"]
    return {
        "in_channels": channels,
        "num_layers": _count(shapes, "transformer_blocks."),
        "num_single_layers": _count(shapes, "single_transformer_blocks."),
        "num_attention_heads": inner // 128,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in shapes,
        "num_mode": mode[0] if mode else None,
        "conditioning_embedding_channels": shapes[HINT_OUT][0] if HINT_OUT in shapes else None,
    }


def _sd3(shapes: Shapes) -> dict[str, Any]:
    """SD3ControlNetModel: heads of 64 as in the released ones; one without text has no zeroed pooled text either."""
    inner, channels, patch, _ = shapes["pos_embed_input.proj.weight"]
    own = shapes["pos_embed.proj.weight"][1] if "pos_embed.proj.weight" in shapes else min(channels, 16)
    places, text = shapes.get("pos_embed.pos_embed"), shapes.get("context_embedder.weight")
    blocks = _count(shapes, "transformer_blocks.")
    return {
        "patch_size": patch,
        "in_channels": own,
        "out_channels": own,
        "extra_conditioning_channels": channels - own,
        "num_layers": blocks,
        "attention_head_dim": 64,
        "num_attention_heads": inner // 64,
        "joint_attention_dim": text[1] if text else None,
        "caption_projection_dim": text[0] if text else inner,
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
        "use_pos_embed": "pos_embed.proj.weight" in shapes,
        "pos_embed_type": "sincos" if places else None,
        "pos_embed_max_size": round(places[1] ** 0.5) if places else None,
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
        "dual_attention_layers": tuple(
            n for n in range(blocks) if f"transformer_blocks.{n}.attn2.to_q.weight" in shapes
        ),
        "force_zeros_for_pooled_projection": text is not None,
    }


def _qwen(shapes: Shapes) -> dict[str, Any]:
    """QwenImageControlNetModel; one that inpaints has inputs more."""
    inner, channels = shapes["img_in.weight"]
    return {
        "in_channels": channels,
        "num_layers": _count(shapes, "transformer_blocks."),
        "num_attention_heads": inner // 128,
        "joint_attention_dim": shapes["txt_in.weight"][1],
        "extra_condition_channels": shapes["controlnet_x_embedder.weight"][1] - channels,
    }


def _unet(shapes: Shapes) -> dict[str, Any]:
    """ControlNetModel in diffusers' layout or the original one: SD 1.5, SD 2 and SDXL differ in the width of the text."""
    text = next(shape[1] for key, shape in shapes.items() if key.endswith("attn2.to_k.weight"))
    linear = next(len(shape) == 2 for key, shape in shapes.items() if key.endswith("proj_in.weight"))
    config: dict[str, Any] = {"cross_attention_dim": text, "use_linear_projection": linear}
    if "task_embedding" in shapes:
        config["num_control_type"] = shapes["task_embedding"][0]
    config.update(WIDTHS.get(text, {}))
    if text == 2048:
        config["transformer_layers_per_block"] = _depths(shapes)
    return config


def _depths(shapes: Shapes) -> tuple[int, ...]:
    """How many transformer layers each block of an SDXL control net has: its small ones have fewer."""
    layouts = [(f"down_blocks.{i}.attentions.0.", f"input_blocks.{3 * i + 1}.1.") for i in range(3)]
    return tuple(max(*(_count(shapes, f"{start}transformer_blocks.") for start in starts), 1) for starts in layouts)


# A tensor that only this kind has, the class, and how its config is read. The first that fits counts.
KINDS: tuple[tuple[str, str, Callable[[Shapes], dict[str, Any]]], ...] = (
    ("task_embedding", "ControlNetUnionModel", _unet),
    ("transformer_blocks.0.img_mlp.", "QwenImageControlNetModel", _qwen),
    ("pos_embed_input.proj.", "SD3ControlNetModel", _sd3),
    ("controlnet_x_embedder.", "FluxControlNetModel", _flux),
    ("controlnet_cond_embedding.", "ControlNetModel", _unet),
    ("input_hint_block.0.", "ControlNetModel", _unet),
)
