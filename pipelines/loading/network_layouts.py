"""Control nets in their makers' layouts: Stability's of SD 3.5 and XLabs' of FLUX.1, as rows of patterns in order."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

Tensors = dict[str, torch.Tensor]

SD35 = {
    r"\.adaLN_modulation\.1\.": ".norm1.linear.", r"\.mlp\.fc1\.": ".ff.net.0.proj.", r"\.mlp\.fc2\.": ".ff.net.2.",
    r"\.attn\.proj\.": ".attn.to_out.0.", r"\.attn\.qkv\.": ".attn.to_{}.",
}  # fmt: skip
XLABS = {
    r"^time_in\.in_layer\.": "time_text_embed.timestep_embedder.linear_1.",
    r"^time_in\.out_layer\.": "time_text_embed.timestep_embedder.linear_2.",
    r"^vector_in\.in_layer\.": "time_text_embed.text_embedder.linear_1.",
    r"^vector_in\.out_layer\.": "time_text_embed.text_embedder.linear_2.",
    r"^guidance_in\.in_layer\.": "time_text_embed.guidance_embedder.linear_1.",
    r"^guidance_in\.out_layer\.": "time_text_embed.guidance_embedder.linear_2.",
    r"^pos_embed_input\.": "controlnet_x_embedder.", r"^img_in\.": "x_embedder.", r"^txt_in\.": "context_embedder.",
    r"^double_blocks\.": "transformer_blocks.", r"\.img_mod\.lin\.": ".norm1.linear.",
    r"\.txt_mod\.lin\.": ".norm1_context.linear.",
    r"\.img_attn\.norm\.query_norm\.scale": ".attn.norm_q.weight", r"\.img_attn\.norm\.key_norm\.scale": ".attn.norm_k.weight",
    r"\.txt_attn\.norm\.query_norm\.scale": ".attn.norm_added_q.weight",
    r"\.txt_attn\.norm\.key_norm\.scale": ".attn.norm_added_k.weight",
    r"\.img_attn\.proj\.": ".attn.to_out.0.", r"\.txt_attn\.proj\.": ".attn.to_add_out.",
    r"\.img_attn\.qkv\.": ".attn.to_{}.", r"\.txt_attn\.qkv\.": ".attn.add_{}_proj.",
    r"\.img_mlp\.0\.": ".ff.net.0.proj.", r"\.img_mlp\.2\.": ".ff.net.2.",
    r"\.txt_mlp\.0\.": ".ff_context.net.0.proj.", r"\.txt_mlp\.2\.": ".ff_context.net.2.",
    r"^input_hint_block\.0\.": "input_hint_block.conv_in.", r"^input_hint_block\.14\.": "input_hint_block.conv_out.",
    **{rf"^input_hint_block\.{2 * n + 2}\.": f"input_hint_block.blocks.{n}." for n in range(6)},
}  # fmt: skip
# A tensor that only this layout has, and its patterns; {} stands for q, k and v, which lie in one tensor.
LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "transformer_blocks.0.adaLN_modulation.1.bias": SD35,
    "double_blocks.0.img_attn.norm.key_norm.scale": XLABS,
}


def own_names(tensors: Tensors) -> Tensors:
    """The tensors of a control net (on any device, also meta) under diffusers' names; others come back as they are."""
    rows = next((rows for mark, rows in LAYOUTS.items() if mark in tensors), None)
    if rows is None:
        return tensors
    found = {}
    for key, value in tensors.items():
        for pattern, new in rows.items():
            key = re.sub(pattern, new, key)
        pieces = zip("qkv", value.chunk(3), strict=True) if "{}" in key else [("", value)]
        found |= {key.format(letter): piece for letter, piece in pieces}
    return found
