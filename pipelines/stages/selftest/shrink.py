"""A model class at its smallest: its own defaults, with every size that is named below made small.

Channels of latents, patch sizes and head widths stay as released, so that parts which fit each other still do.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

TEXT = 32  # width of every text encoder
VOCABULARY = 640

_TWO = (
    "num_layers num_single_layers n_layers depth num_hidden_layers num_mmdit_layers num_single_dit_layers mmdit_layers "
    "num_visual_blocks dit_depth transformer_num_layers num_attention_heads n_heads n_kv_heads num_kv_heads num_heads "
    "num_key_value_heads dit_heads num_key_value_attention_heads num_cross_attention_heads audio_num_attention_heads "
    "video_connector_num_attention_heads audio_connector_num_attention_heads text_num_attention_heads "
    "text_num_key_value_heads face_encoder_num_heads num_experts num_routed_experts"
)
_ONE = (
    "num_refiner_layers n_refiner_layers num_text_blocks num_lyric_encoder_hidden_layers "
    "num_timbre_encoder_hidden_layers num_attention_pooler_hidden_layers perceiver_num_layers approximator_layers "
    "video_connector_num_layers audio_connector_num_layers num_res_blocks num_layerwise_text_blocks "
    "num_refiner_text_blocks motion_layers_per_block"
)
_TEXT = (
    "joint_attention_dim caption_channels text_dim text_embed_dim cap_feat_dim context_in_dim in_text_dim in_text_dim2 "
    "text_in_dim text_hidden_dim pooled_projection_dim text_embed_2_dim image_embed_dim image_proj_dim text_emb_dim "
    "dit_text_dim text_encoder_dim cross_attention_dim_t5 encoder_hid_dim"
)
_SMALL = (
    "ffn_dim ff_dim ffn_hidden_size intermediate_size moe_intermediate_dim freq_dim time_embed_dim approximator_hidden_dim "
    "approximator_num_channels text_intermediate_size adaln_lora_dim condition_dim time_proj_dim timestep_embed_dim"
)

# By parameter name, for whatever class has it.
DIFFUSERS: dict[str, Any] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_ONE.split(), 1),
    **dict.fromkeys(_TEXT.split(), TEXT),
    **dict.fromkeys(_SMALL.split(), 32),
    "norm_num_groups": 4,
    "base_dim": 8,
    "decoder_base_dim": 8,
}
# Widths of a stack of blocks, each made this wide.
WIDTHS = ("block_out_channels", "encoder_block_out_channels", "decoder_block_out_channels", "decode_block_out_channels")
DEPTHS = ("layers_per_block", "encoder_layers_per_block", "decoder_layers_per_block")

TRANSFORMERS: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": TEXT, "intermediate_size": TEXT, "num_hidden_layers": 2, "num_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 2, "num_heads": 2, "head_dim": 16, "d_model": TEXT, "d_kv": 16,
    "d_ff": TEXT, "projection_dim": TEXT, "image_size": 32, "max_position_embeddings": 4096, "depth": 2,
    "num_local_experts": 2, "moe_intermediate_size": 32,
}  # fmt: skip


def diffusers_config(cls: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """What to call a diffusers model class with; `row` overrides. "inner" stands for heads times their width."""
    parameters = inspect.signature(cls.__init__).parameters
    config: dict[str, Any] = {}
    for name, parameter in parameters.items():
        small = _small(name, parameter.default)
        if small is not None:
            config[name] = small
    config.update({k: v for k, v in row.items() if k in parameters})
    heads = config.get("num_attention_heads", _default(parameters, "num_attention_heads"))
    width = config.get("attention_head_dim", _default(parameters, "attention_head_dim"))
    return {k: heads * width if isinstance(v, str) and v == "inner" else v for k, v in config.items()}


def _default(parameters: Mapping[str, inspect.Parameter], name: str) -> Any:
    return parameters[name].default if name in parameters else None


def _small(name: str, default: Any) -> Any:
    if default is None or default is inspect.Parameter.empty:
        return None
    if name in WIDTHS:
        return type(default)([8] * len(default))
    if name in DEPTHS:
        return 1 if isinstance(default, int) else type(default)([1] * len(default))
    return DIFFUSERS.get(name)


def transformers_config(cls: Any, row: Mapping[str, Any]) -> Any:
    """A small config of a transformers model class; `row` may hold dicts for its inner configs.

    "_config" in the row names the class of the config where the model's own says another.
    """
    import transformers

    row = dict(row)
    named = row.pop("_config", "")
    row.pop("_within", None)
    return _shrunk(getattr(transformers, named) if named else cls.config_class, row)


def _shrunk(config_class: Any, row: Mapping[str, Any]) -> Any:
    default = config_class()
    wanted = {k: v for k, v in TRANSFORMERS.items() if isinstance(getattr(default, k, None), int)}
    for name in getattr(config_class, "sub_configs", {}):
        if hasattr(getattr(default, name, None), "to_dict"):
            own = type(getattr(default, name))
            wanted[name] = _shrunk(own, row.get(name, {})).to_dict()
    return config_class(**{**wanted, **{k: v for k, v in row.items() if k not in wanted or not isinstance(v, dict)}})


# Where a text encoder's config says how wide its answer is.
TEXT_WIDTHS = ("hidden_size", "d_model", "projection_dim")
# What a model's tokenizer, pictures and special words hang on stays as it is.
_KEPT = {"vocab_size", "image_size", "max_position_embeddings"}
_TAKE_TEXT = {*_TEXT.split(), "cross_attention_dim", "image_dim"}
_UNET = {"attention_head_dim": 2, "num_attention_heads": 2, "transformer_layers_per_block": 1}


def own_diffusers_config(cls: Any, config: Mapping[str, Any], texts: Mapping[int, int]) -> dict[str, Any]:
    """A model's own config made small. texts: what each width that takes texts becomes."""
    parameters = inspect.signature(cls.__init__).parameters
    small = {k: s for k, v in config.items() if (s := _small(k, v)) is not None}
    unet = "cross_attention_dim" in config and "block_out_channels" in config
    small.update({k: _alike(config[k], v) for k, v in _UNET.items() if unet and config.get(k) is not None})
    inner = _inner(config)
    for name, value in config.items():
        if name.endswith("_dim") and isinstance(value, int) and value == inner:  # the stack's own width
            small[name] = _inner({**config, **small})
        elif name in _TAKE_TEXT and isinstance(value, int) and value in texts:
            small[name] = texts[value]
    merged = {k: v for k, v in {**config, **small}.items() if k in parameters}
    if isinstance(merged.get("projection_class_embeddings_input_dim"), int):  # SDXL: sizes and a pooled text in one
        merged["projection_class_embeddings_input_dim"] += TEXT - max(
            (w for w in texts if texts[w] == TEXT and w < merged["projection_class_embeddings_input_dim"]), default=TEXT
        )
    return merged


def _inner(config: Mapping[str, Any]) -> int:
    heads, width = config.get("num_attention_heads"), config.get("attention_head_dim")
    return heads * width if isinstance(heads, int) and isinstance(width, int) else 0


def _alike(value: Any, small: int) -> Any:
    return [small] * len(value) if isinstance(value, list | tuple) else small


def own_transformers_config(cls: Any, config: Mapping[str, Any]) -> Any:
    """A model's own config made small, with its inner ones."""
    return _own(cls.config_class, config)


def _own(config_class: Any, config: Mapping[str, Any]) -> Any:
    given = config_class(**config)
    wanted = {k: v for k, v in TRANSFORMERS.items() if k not in _KEPT and isinstance(getattr(given, k, None), int)}
    for name in getattr(config_class, "sub_configs", {}):
        inner: Any = getattr(given, name, None)
        if hasattr(inner, "to_dict"):
            wanted[name] = _own(type(inner), inner.to_dict()).to_dict()
    if isinstance(getattr(given, "layer_types", None), list):
        wanted["layer_types"] = given.layer_types[: TRANSFORMERS["num_hidden_layers"]]
    for name in ("rope_scaling", "rope_parameters"):
        rope = getattr(given, name, None)
        if isinstance(rope, dict) and "mrope_section" in rope:
            wanted[name] = {**rope, "mrope_section": [2, 3, 3]}  # half a head of 16
    return config_class(**{**given.to_dict(), **wanted})
