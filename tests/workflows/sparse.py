"""Writes a Stable Diffusion 1.5 checkpoint whose weights are all 0, as a file with a hole: 2 GB that occupy nothing.

Usage: python sparse.py HOST_FOLDER FILE     In a process of its own, because it imports the host's model classes.
"""

from __future__ import annotations

import json
import struct
import sys


def main(host: str, path: str) -> None:
    sys.argv = ["main.py", "--cpu"]
    sys.path.insert(0, host)
    import comfy.options

    comfy.options.enable_args_parsing()
    import torch
    from comfy import ops, supported_models
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from transformers import CLIPTextConfig, CLIPTextModel

    config = {
        **supported_models.SD15.unet_config,
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 320,
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "num_heads": 8,
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "use_spatial_transformer": True,
        "legacy": False,
    }
    config.pop("use_temporal_attention", None)
    picture = {
        "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
        "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
    }  # fmt: skip
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    with torch.device("meta"):
        parts = {
            "model.diffusion_model.": UNetModel(**config, operations=ops.disable_weight_init).state_dict(),
            "first_stage_model.": AutoencoderKL(ddconfig=picture, embed_dim=4).state_dict(),
            "cond_stage_model.transformer.": CLIPTextModel(text).state_dict(),
        }
    write_zeros(path, {prefix + name: tuple(w.shape) for prefix, ws in parts.items() for name, w in ws.items()})


def write_zeros(path: str, shapes: dict[str, tuple[int, ...]]) -> None:
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        if not name.endswith("position_ids"):
            header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)


if __name__ == "__main__":
    main(*sys.argv[1:3])
