"""The way back into the original layout for transformers and video autoencoders: rows of patterns, in order."""

from __future__ import annotations

import re
from typing import Any

import torch

from tests.pipelines.original_layout import (
    FLUX_DOUBLE,
    FLUX_DOUBLE_STACKS,
    FLUX_REST,
    FLUX_SINGLE,
    FLUX_SINGLE_STACKS,
    halves_swapped,
    renamed,
    stacked,
)

Rows = dict[str, str]
WAN: Rows = {
    r"^condition_embedder\.time_embedder\.linear_1": "time_embedding.0",
    r"^condition_embedder\.time_embedder\.linear_2": "time_embedding.2",
    r"^condition_embedder\.text_embedder\.linear_1": "text_embedding.0",
    r"^condition_embedder\.text_embedder\.linear_2": "text_embedding.2",
    r"^condition_embedder\.time_proj": "time_projection.1",
    r"^condition_embedder\.image_embedder\.norm1": "img_emb.proj.0",
    r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj": "img_emb.proj.1",
    r"^condition_embedder\.image_embedder\.ff\.net\.2": "img_emb.proj.3",
    r"^condition_embedder\.image_embedder\.norm2": "img_emb.proj.4",
    r"^scale_shift_table": "head.modulation", r"^proj_out": "head.head", r"scale_shift_table": "modulation",
    r"\.norm2\.": ".norm3.", r"\.attn1\.": ".self_attn.", r"\.attn2\.": ".cross_attn.",
    r"\.norm_added_k\.": ".norm_k_img.", r"\.to_([qkv])\.": r".\1.", r"\.add_([kv])_proj\.": r".\1_img.",
    r"\.to_out\.0\.": ".o.", r"\.ffn\.net\.0\.proj": ".ffn.0", r"\.ffn\.net\.2": ".ffn.2",
}  # fmt: skip
WAN_BLOCK: Rows = {
    r"\.norm1\.": ".residual.0.", r"\.conv1\.": ".residual.2.", r"\.norm2\.": ".residual.3.",
    r"\.conv2\.": ".residual.6.", r"\.conv_shortcut\.": ".shortcut.",
}  # fmt: skip
WAN_ENDS: Rows = {
    r"^quant_conv": "conv1", r"^post_quant_conv": "conv2", r"coder\.conv_in": "coder.conv1",
    r"\.norm_out": ".head.0", r"\.conv_out": ".head.2", r"\.mid_block\.resnets\.0": ".middle.0",
    r"\.mid_block\.resnets\.1": ".middle.2", r"\.mid_block\.attentions\.0": ".middle.1",
}  # fmt: skip
WAN22_VAE: Rows = {
    **WAN_BLOCK,
    r"\.down_blocks\.(\d)\.resnets": r".downsamples.\1.downsamples",
    r"\.up_blocks\.(\d)\.resnets": r".upsamples.\1.upsamples",
    r"\.down_blocks\.(\d)\.downsampler": r".downsamples.\1.downsamples.2",
    r"\.up_blocks\.(\d)\.upsampler": r".upsamples.\1.upsamples.3",
    **WAN_ENDS,
}
WAN21_VAE: Rows = {
    **WAN_BLOCK, r"\.down_blocks": ".downsamples",
    **{rf"\.up_blocks\.{b}\.resnets\.{r}\.": f".upsamples.{4 * b + r}." for b in range(4) for r in range(3)},
    **{rf"\.up_blocks\.{b}\.upsamplers\.0\.": f".upsamples.{4 * b + 3}." for b in range(3)}, **WAN_ENDS,
}  # fmt: skip
Z_IMAGE: Rows = {
    r"^all_final_layer\.2-1": "final_layer", r"^all_x_embedder\.2-1": "x_embedder",
    r"\.attention\.to_out\.0": ".attention.out", r"\.norm_([qk])\.": r".\1_norm.",
}  # fmt: skip
LUMINA: Rows = {
    r"^time_caption_embed\.caption_embedder": "cap_embedder",
    r"^time_caption_embed\.timestep_embedder\.linear_1": "t_embedder.mlp.0",
    r"^time_caption_embed\.timestep_embedder\.linear_2": "t_embedder.mlp.2",
    r"^norm_out\.linear_1": "final_layer.adaLN_modulation.1", r"^norm_out\.linear_2": "final_layer.linear",
    r"\.attn\.to_out\.0": ".attention.out", r"\.attn\.": ".attention.", r"\.norm_([qk])\.": r".\1_norm.",
    r"\.linear_([123])\.": r".w\1.", r"\.norm1\.linear": ".adaLN_modulation.1", r"\.norm1\.norm": ".attention_norm1",
    r"\.norm1\.": ".attention_norm1.", r"\.norm2\.": ".attention_norm2.",
}  # fmt: skip
LTX: Rows = {r"^proj_in": "patchify_proj", r"^time_embed": "adaln_single", r"\.norm_([qk])\.": r".\1_norm."}
LTX_VAE: Rows = {
    r"^latents_mean": "per_channel_statistics.mean-of-means", r"^latents_std": "per_channel_statistics.std-of-means",
    r"^decoder\.time_embedder": "decoder.last_time_embedder",
    r"^decoder\.scale_shift_table": "decoder.last_scale_shift_table",
    "resnets": "res_blocks", r"conv_shortcut\.conv": "conv_shortcut", r"norm3\.": "norm3.norm.",
}  # fmt: skip
LTX_DECODER_090 = {
    "mid_block": 0, "up_blocks.1.upsamplers.0": 2, "up_blocks.2.conv_in": 4, "up_blocks.2.upsamplers.0": 5,
    "up_blocks.3.conv_in": 7, "up_blocks.3.upsamplers.0": 8, "up_blocks.0": 1, "up_blocks.1": 3, "up_blocks.2": 6,
    "up_blocks.3": 9,
}  # fmt: skip
LTX_ENCODER_090 = {
    "mid_block": 9, "down_blocks.0.downsamplers.0": 1, "down_blocks.0.conv_out": 2, "down_blocks.1.downsamplers.0": 4,
    "down_blocks.1.conv_out": 5, "down_blocks.2.downsamplers.0": 7, "down_blocks.0": 0, "down_blocks.1": 3,
    "down_blocks.2": 6, "down_blocks.3": 8,
}  # fmt: skip
PLAIN_BLOCKS = {f"up_blocks.{k}.upsamplers.0": 2 * k + 1 for k in range(4)} | {
    f"up_blocks.{k}": 2 * k + 2 for k in range(4)
}
LTX_DECODER_LATER = {"mid_block": 0, **PLAIN_BLOCKS}
LTX_ENCODER_095 = {
    "mid_block": 8, **{f"down_blocks.{k}.downsamplers.0": 2 * k + 1 for k in range(4)},
    **{f"down_blocks.{k}": 2 * k for k in range(4)},
}  # fmt: skip
AURA: Rows = {
    r"^time_step_proj\.linear_1": "t_embedder.mlp.0", r"^time_step_proj\.linear_2": "t_embedder.mlp.2",
    r"^context_embedder": "cond_seq_linear", r"^pos_embed\.pos_embed": "positional_encoding",
    r"^pos_embed\.proj": "init_x_linear", r"^proj_out": "final_linear", r"^norm_out\.linear": "modF.1",
    r"^single_transformer_blocks\.(\d+)\.ff": r"single_layers.\1.mlp",
    r"^single_transformer_blocks\.(\d+)\.norm1\.linear": r"single_layers.\1.modCX.1",
    r"^single_transformer_blocks\.(\d+)\.attn\.to_([qkv])": r"single_layers.\1.attn.w1\2",
    r"^single_transformer_blocks\.(\d+)\.attn\.to_out\.0": r"single_layers.\1.attn.w1o",
    r"^joint_transformer_blocks\.(\d+)\.": r"double_layers.\1.", r"\.ff\.": ".mlpX.", r"\.ff_context\.": ".mlpC.",
    r"\.norm1\.linear": ".modX.1", r"\.norm1_context\.linear": ".modC.1",
    r"\.to_([qkv])\.": r".w2\1.", r"\.to_out\.0\.": ".w2o.", r"\.add_([qkv])_proj\.": r".w1\1.", r"\.to_add_out\.": ".w1o.",
    r"\.linear_1\.": ".c_fc1.", r"\.linear_2\.": ".c_fc2.", r"\.out_projection\.": ".c_proj.",
}  # fmt: skip
FLUX2: Rows = {
    r"^x_embedder": "img_in", r"^context_embedder": "txt_in", r"^proj_out": "final_layer.linear",
    r"^norm_out\.linear": "final_layer.adaLN_modulation.1",
    r"^time_guidance_embed\.timestep_embedder\.linear_1": "time_in.in_layer",
    r"^time_guidance_embed\.timestep_embedder\.linear_2": "time_in.out_layer",
    r"^time_guidance_embed\.guidance_embedder\.linear_1": "guidance_in.in_layer",
    r"^time_guidance_embed\.guidance_embedder\.linear_2": "guidance_in.out_layer",
    r"_modulation(_img|_txt)?\.linear": r"_modulation\1.lin",
    r"^single_transformer_blocks": "single_blocks", r"^transformer_blocks": "double_blocks",
    r"\.attn\.to_qkv_mlp_proj": ".linear1", r"\.attn\.to_out\.weight": ".linear2.weight",
    r"^(single_blocks.*)\.attn\.norm_q\.weight": r"\1.norm.query_norm.scale",
    r"^(single_blocks.*)\.attn\.norm_k\.weight": r"\1.norm.key_norm.scale",
    r"\.attn\.norm_q\.weight": ".img_attn.norm.query_norm.scale", r"\.attn\.norm_k\.weight": ".img_attn.norm.key_norm.scale",
    r"\.attn\.norm_added_q\.weight": ".txt_attn.norm.query_norm.scale",
    r"\.attn\.norm_added_k\.weight": ".txt_attn.norm.key_norm.scale",
    r"\.attn\.to_out\.0": ".img_attn.proj", r"\.attn\.to_add_out": ".txt_attn.proj",
    r"\.attn\.qkv": ".img_attn.qkv", r"\.attn\.add_qkv": ".txt_attn.qkv",
    r"\.ff\.linear_in": ".img_mlp.0", r"\.ff\.linear_out": ".img_mlp.2",
    r"\.ff_context\.linear_in": ".txt_mlp.0", r"\.ff_context\.linear_out": ".txt_mlp.2",
}  # fmt: skip
# ComfyUI's spelling of HunyuanVideo 1.5, with q, k and v in one; HUNYUAN_OWN turns it into its makers'.
HUNYUAN: Rows = {
    r"^time_embed\.timestep_embedder\.linear_1": "time_in.in_layer",
    r"^time_embed\.timestep_embedder\.linear_2": "time_in.out_layer",
    r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_1": "txt_in.t_embedder.in_layer",
    r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_2": "txt_in.t_embedder.out_layer",
    r"^context_embedder\.time_text_embed\.text_embedder\.linear_1": "txt_in.c_embedder.in_layer",
    r"^context_embedder\.time_text_embed\.text_embedder\.linear_2": "txt_in.c_embedder.out_layer",
    r"^context_embedder\.proj_in": "txt_in.input_embedder",
    r"^context_embedder\.token_refiner\.refiner_blocks\.(\d+)": r"txt_in.individual_token_refiner.blocks.\1",
    r"^(txt_in.*)\.attn\.qkv": r"\1.self_attn.qkv", r"^(txt_in.*)\.attn\.to_out\.0": r"\1.self_attn.proj",
    r"^(txt_in.*)\.ff\.net\.0\.proj": r"\1.mlp.0", r"^(txt_in.*)\.ff\.net\.2": r"\1.mlp.2",
    r"^(txt_in.*)\.norm_out\.linear": r"\1.adaLN_modulation.1",
    r"^context_embedder_2\.norm": "byt5_in.layernorm", r"^context_embedder_2\.linear_": "byt5_in.fc",
    r"^image_embedder\.norm_in": "vision_in.proj.0", r"^image_embedder\.linear_1": "vision_in.proj.1",
    r"^image_embedder\.linear_2": "vision_in.proj.3", r"^image_embedder\.norm_out": "vision_in.proj.4",
    r"^x_embedder": "img_in", r"^cond_type_embed": "cond_type_embedding", r"^proj_out": "final_layer.linear",
    r"^norm_out\.linear": "final_layer.adaLN_modulation.1", r"^transformer_blocks": "double_blocks",
    r"\.norm1\.linear": ".img_mod.lin", r"\.norm1_context\.linear": ".txt_mod.lin",
    r"\.attn\.norm_q\.weight": ".img_attn.norm.query_norm.scale", r"\.attn\.norm_k\.weight": ".img_attn.norm.key_norm.scale",
    r"\.attn\.norm_added_q\.weight": ".txt_attn.norm.query_norm.scale",
    r"\.attn\.norm_added_k\.weight": ".txt_attn.norm.key_norm.scale",
    r"\.attn\.qkv": ".img_attn.qkv", r"\.attn\.add_qkv": ".txt_attn.qkv",
    r"\.attn\.to_out\.0": ".img_attn.proj", r"\.attn\.to_add_out": ".txt_attn.proj",
    r"\.ff\.net\.0\.proj": ".img_mlp.0", r"\.ff\.net\.2": ".img_mlp.2",
    r"\.ff_context\.net\.0\.proj": ".txt_mlp.0", r"\.ff_context\.net\.2": ".txt_mlp.2",
}  # fmt: skip
HUNYUAN_OWN: Rows = {
    r"(time_in|t_embedder)\.in_layer": r"\1.mlp.0", r"(time_in|t_embedder)\.out_layer": r"\1.mlp.2",
    r"c_embedder\.in_layer": "c_embedder.linear_1", r"c_embedder\.out_layer": "c_embedder.linear_2",
    r"(refiner\.blocks\.\d+\.|img_|txt_)mlp\.0": r"\1mlp.fc1", r"(refiner\.blocks\.\d+\.|img_|txt_)mlp\.2": r"\1mlp.fc2",
    r"_attn\.norm\.query_norm\.scale": "_attn_q_norm.weight", r"_attn\.norm\.key_norm\.scale": "_attn_k_norm.weight",
    r"_attn\.qkv": "_attn_qkv", r"_attn\.proj": "_attn_proj", r"_mod\.lin": "_mod.linear",
}  # fmt: skip
HUNYUAN_VAE: Rows = {
    r"(down|up)_blocks\.(\d+)\.resnets": r"\1.\2.block", r"down_blocks\.(\d+)\.downsamplers\.0": r"down.\1.downsample",
    r"up_blocks\.(\d+)\.upsamplers\.0": r"up.\1.upsample", r"mid_block\.resnets\.0": "mid.block_1",
    r"mid_block\.resnets\.1": "mid.block_2", r"mid_block\.attentions\.0\.to_": "mid.attn_1.",
    r"mid_block\.attentions\.0": "mid.attn_1",
}  # fmt: skip
QWEN_VL: Rows = {r"^model\.language_model\.": "model.", r"^model\.visual\.": "visual."}
INNER: Rows = {r"^": "model."}  # an encoder without its head, as the whole language model's file names it
VISION: Rows = {r"^": "vision_model."}
ROWS = {
    "WanTransformer3DModel": WAN, "AutoencoderKLQwenImage": WAN21_VAE, "ZImageTransformer2DModel": Z_IMAGE,
    "Lumina2Transformer2DModel": LUMINA, "LTXVideoTransformer3DModel": LTX, "AuraFlowTransformer2DModel": AURA,
    "Flux2Transformer2DModel": FLUX2, "HunyuanVideo15Transformer3DModel": HUNYUAN,
    "AutoencoderKLHunyuanVideo15": HUNYUAN_VAE, "Qwen2_5_VLTextModel": INNER,
    "Qwen2_5_VLForConditionalGeneration": QWEN_VL, "Qwen3Model": INNER, "Gemma2Model": INNER,
    "CLIPVisionModel": VISION, "SiglipVisionModel": VISION,
}  # fmt: skip
SWAPPED = ("modF", "final_layer.adaLN_modulation")
STACKED = {
    "Flux2Transformer2DModel": "attn",
    "HunyuanVideo15Transformer3DModel": "attn",
    "ZImageTransformer2DModel": "attention",
    "Lumina2Transformer2DModel": "attn",
}


def by_rows(state: dict[str, torch.Tensor], rows: Rows) -> dict[str, torch.Tensor]:
    found = {}
    for key, value in state.items():
        for pattern, new in rows.items():
            key = re.sub(pattern, new, key)
        found[key] = value
    return found


def newer(part: Any) -> dict[str, torch.Tensor] | None:
    """A part's tensors in the original layout; None for classes that are not here."""
    kind, state = type(part).__name__, dict(part.state_dict())
    if kind == "AutoencoderKLWan":
        return by_rows(state, WAN22_VAE if part.config.is_residual else WAN21_VAE)
    if kind == "AutoencoderKLLTXVideo":
        return _ltx_vae(part, state)
    if kind == "ChromaTransformer2DModel":
        return _chroma(state)
    if kind not in ROWS:
        return None
    if kind in STACKED:
        state = _joined(state, STACKED[kind])
    found = by_rows(state, ROWS[kind])
    swapped = SWAPPED if kind.startswith(("AuraFlow", "Flux2", "HunyuanVideo15")) else ()
    return {key: halves_swapped(value) if key.startswith(swapped) else value for key, value in found.items()}


def hunyuan_own(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """HunyuanVideo 1.5 as its makers name it, from ComfyUI's spelling: q, k and v of the large blocks apart."""
    found = {}
    for key, value in by_rows(tensors, HUNYUAN_OWN).items():
        if key.startswith("double_blocks") and "_attn_qkv." in key:
            found |= {
                key.replace("_qkv.", f"_{part}."): piece for part, piece in zip("qkv", value.chunk(3), strict=True)
            }
        else:
            found[key] = value
    return found


def _joined(state: dict[str, torch.Tensor], attention: str) -> dict[str, torch.Tensor]:
    found = dict(state)
    for key in [key for key in state if f".{attention}.to_q." in key]:
        rows = [found.pop(key.replace(".to_q.", f".to_{letter}.")) for letter in "qkv"]
        found[key.replace(".to_q.", ".qkv.")] = torch.cat(rows)
    for key in [key for key in state if f".{attention}.add_q_proj." in key]:
        rows = [found.pop(key.replace(".add_q_", f".add_{letter}_")) for letter in "qkv"]
        found[key.replace(".add_q_proj.", ".add_qkv.")] = torch.cat(rows)
    return found


def _ltx_vae(vae: Any, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    timed = vae.config.timestep_conditioning
    wide = vae.config.block_out_channels[-1] == 2048
    sides = {
        "encoder": LTX_ENCODER_095 if wide else LTX_ENCODER_090,
        "decoder": LTX_DECODER_LATER if timed else LTX_DECODER_090,
    }
    found = {}
    for key, value in state.items():
        for side, blocks in sides.items():
            up = "down_blocks" if side == "encoder" else "up_blocks"
            name = key.removeprefix(side + ".")
            number = next((new for old, new in blocks.items() if name.startswith(old + ".")), None)
            if key.startswith(side) and number is not None:
                old = next(old for old in blocks if name.startswith(old + "."))
                key = f"{side}.{up}.{number}.{name.removeprefix(old + '.')}"
                break
        found[key] = value
    return by_rows(found, LTX_VAE)


def _chroma(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = stacked(state, "transformer_blocks", "double_blocks", FLUX_DOUBLE_STACKS)
    found |= stacked(state, "single_transformer_blocks", "single_blocks", FLUX_SINGLE_STACKS)
    for key, value in state.items():
        blocks, _, rest = key.partition(".")
        number, _, rest = rest.partition(".")
        if blocks == "transformer_blocks":
            new = f"double_blocks.{number}.{renamed(rest, FLUX_DOUBLE)}"
        elif blocks == "single_transformer_blocks":
            new = f"single_blocks.{number}.{renamed(rest, FLUX_SINGLE)}"
        elif blocks == "distilled_guidance_layer":
            new = re.sub(r"norms\.(\d+)\.weight", r"norms.\1.scale", key)
            new = new.replace("linear_1", "in_layer").replace("linear_2", "out_layer")
        else:
            new = renamed(key, FLUX_REST)
        found[new] = value
    return found
