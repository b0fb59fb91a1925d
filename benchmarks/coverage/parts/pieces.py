"""What several rows of the tables share."""

from __future__ import annotations

from typing import Any

from pipelines.stages.selftest.shrink import TEXT

from ..words import CLIP_WORDS, IMAGE_TOKEN, VIDEO_TOKEN, VISION_START

UNET = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 8,
    "cross_attention_dim": TEXT,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
MOTION = {
    **UNET,
    "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
    "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
    "num_attention_heads": 2,
    "motion_num_attention_heads": 2,
}
CONTROL = {**UNET, "conditioning_embedding_out_channels": (8, 8, 8, 8)}
XL = {
    "cross_attention_dim": 2 * TEXT,
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "transformer_layers_per_block": (1, 2),
    "projection_class_embeddings_input_dim": TEXT + 6 * 8,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}
CLIP = {"vocab_size": CLIP_WORDS, "bos_token_id": CLIP_WORDS - 2, "eos_token_id": CLIP_WORDS - 1, "pad_token_id": 1}
T5 = {"feed_forward_proj": "gated-gelu"}
ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6}
QWEN = {"rope_scaling": ROPE, "rope_parameters": ROPE, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
QWEN_VL = {
    "text_config": QWEN,
    "vision_config": {
        "out_hidden_size": TEXT,
        "hidden_size": TEXT,
        "depth": 2,
        "num_heads": 2,
        "fullatt_block_indexes": [1],
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
        "embed_dim": TEXT,
    },
    "image_token_id": IMAGE_TOKEN,
    "video_token_id": VIDEO_TOKEN,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_START + 1,
}
GEMMA = {"sliding_window": 512}
VIDEO_LEVELS = {"block_out_channels": (8, 16, 32, 64, 64)}
Z16 = {"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}
WAN22_VAE = {
    "z_dim": 48,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "is_residual": True,
    "scale_factor_spatial": 16,
    "latents_mean": [0.01 * i for i in range(48)],
    "latents_std": [1 + 0.01 * i for i in range(48)],
}
DYNAMIC = {"use_dynamic_shifting": True}

# (start of the pipeline's name, part, its class or "" for the annotated one or None for no part, config laid over).
Row = tuple[str | tuple[str, ...], str, str | None, dict[str, Any]]
