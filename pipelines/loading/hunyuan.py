"""HunyuanVideo 1.5's original layout, and ComfyUI's of the same weights: rows of patterns, in order."""

from __future__ import annotations

import re

import torch

Tensors = dict[str, torch.Tensor]

MARK = "cond_type_embedding.weight"
# First into one spelling: the makers' names and ComfyUI's differ in these.
SPELLING = {
    r"_attn\.norm\.query_norm\.scale": "_attn_q_norm.weight", r"_attn\.norm\.key_norm\.scale": "_attn_k_norm.weight",
    r"(img|txt|self)_attn\.(qkv|proj)\.": r"\1_attn_\2.", r"_mod\.lin\.": "_mod.linear.",
    r"mlp\.0\.(?=weight|bias)": "mlp.fc1.", r"mlp\.2\.(?=weight|bias)": "mlp.fc2.",
    r"(time_in|time_r_in|t_embedder)\.(in_layer|mlp\.fc1)\.": r"\1.mlp.0.",
    r"(time_in|time_r_in|t_embedder)\.(out_layer|mlp\.fc2)\.": r"\1.mlp.2.",
    r"c_embedder\.in_layer\.": "c_embedder.linear_1.", r"c_embedder\.out_layer\.": "c_embedder.linear_2.",
}  # fmt: skip
NAMES = {
    r"^time_in\.mlp\.0\.": "time_embed.timestep_embedder.linear_1.",
    r"^time_in\.mlp\.2\.": "time_embed.timestep_embedder.linear_2.",
    r"^time_r_in\.mlp\.0\.": "time_embed.timestep_embedder_r.linear_1.",
    r"^time_r_in\.mlp\.2\.": "time_embed.timestep_embedder_r.linear_2.",
    r"^txt_in\.t_embedder\.mlp\.0\.": "context_embedder.time_text_embed.timestep_embedder.linear_1.",
    r"^txt_in\.t_embedder\.mlp\.2\.": "context_embedder.time_text_embed.timestep_embedder.linear_2.",
    r"^txt_in\.c_embedder\.": "context_embedder.time_text_embed.text_embedder.",
    r"^txt_in\.input_embedder\.": "context_embedder.proj_in.",
    r"^txt_in\.individual_token_refiner\.blocks\.": "context_embedder.token_refiner.refiner_blocks.",
    r"\.self_attn_([qkv])\.": r".attn.to_\1.", r"\.self_attn_proj\.": ".attn.to_out.0.",
    r"(refiner_blocks\.\d+)\.mlp\.fc1\.": r"\1.ff.net.0.proj.", r"(refiner_blocks\.\d+)\.mlp\.fc2\.": r"\1.ff.net.2.",
    r"(refiner_blocks\.\d+)\.adaLN_modulation\.1\.": r"\1.norm_out.linear.",
    r"^byt5_in\.layernorm\.": "context_embedder_2.norm.", r"^byt5_in\.fc(\d)\.": r"context_embedder_2.linear_\1.",
    r"^vision_in\.proj\.0\.": "image_embedder.norm_in.", r"^vision_in\.proj\.1\.": "image_embedder.linear_1.",
    r"^vision_in\.proj\.3\.": "image_embedder.linear_2.", r"^vision_in\.proj\.4\.": "image_embedder.norm_out.",
    r"^img_in\.": "x_embedder.", r"^cond_type_embedding\.": "cond_type_embed.",
    r"^final_layer\.linear\.": "proj_out.", r"^final_layer\.adaLN_modulation\.1\.": "norm_out.linear.",
    r"^double_blocks\.": "transformer_blocks.",
    r"\.img_mod\.": ".norm1.", r"\.txt_mod\.": ".norm1_context.",
    r"\.img_attn_([qk])_norm\.": r".attn.norm_\1.", r"\.txt_attn_([qk])_norm\.": r".attn.norm_added_\1.",
    r"\.img_attn_([qkv])\.": r".attn.to_\1.", r"\.txt_attn_([qkv])\.": r".attn.add_\1_proj.",
    r"\.img_attn_proj\.": ".attn.to_out.0.", r"\.txt_attn_proj\.": ".attn.to_add_out.",
    r"\.img_mlp\.fc1\.": ".ff.net.0.proj.", r"\.img_mlp\.fc2\.": ".ff.net.2.",
    r"\.txt_mlp\.fc1\.": ".ff_context.net.0.proj.", r"\.txt_mlp\.fc2\.": ".ff_context.net.2.",
}  # fmt: skip
VAE = {
    r"\.(down|up)\.(\d+)\.block\.": r".\1_blocks.\2.resnets.",
    r"\.down\.(\d+)\.downsample\.": r".down_blocks.\1.downsamplers.0.",
    r"\.up\.(\d+)\.upsample\.": r".up_blocks.\1.upsamplers.0.",
    r"\.mid\.block_1\.": ".mid_block.resnets.0.", r"\.mid\.block_2\.": ".mid_block.resnets.1.",
    r"\.mid\.attn_1\.([qkv])\.": r".mid_block.attentions.0.to_\1.", r"\.mid\.attn_1\.": ".mid_block.attentions.0.",
}  # fmt: skip


def transformer(tensors: Tensors) -> Tensors:
    """The denoiser's tensors under diffusers' names; those that bear them already come back as they are."""
    if MARK not in tensors:
        return tensors
    found = {}
    for key, value in tensors.items():
        name = _renamed(_renamed(key, SPELLING), NAMES)
        if "_attn_qkv." in name:
            found |= {_renamed(name.replace("_attn_qkv.", f"_attn_{part}."), NAMES): piece
                      for part, piece in zip("qkv", value.chunk(3), strict=True)}  # fmt: skip
        else:  # scale and shift of the last norm stand the other way round
            found[name] = torch.cat(value.chunk(2)[::-1]) if name.startswith("norm_out.") else value
    return found


def vae(tensors: Tensors) -> Tensors:
    """The autoencoder's tensors under diffusers' names."""
    return {_renamed(key, VAE): value for key, value in tensors.items()}


def _renamed(key: str, patterns: dict[str, str]) -> str:
    for pattern, new in patterns.items():
        key = re.sub(pattern, new, key)
    return key
