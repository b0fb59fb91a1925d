"""UNets and what goes with them, by class."""

from __future__ import annotations

from typing import Any

from pipelines.stages.selftest.shrink import TEXT

from .pieces import CONTROL, MOTION, UNET

CLASSES: dict[str, dict[str, Any]] = {
    "UNet2DConditionModel": UNET,
    "UNetMotionModel": MOTION,
    "ControlNetModel": CONTROL,
    "ControlNetUnionModel": {**CONTROL, "num_trans_channel": 16, "num_trans_head": 2, "num_proj_channel": 16},
    "SparseControlNetModel": {
        **CONTROL,
        "down_block_types": MOTION["down_block_types"],
        "motion_num_attention_heads": 2,
    },
    "MotionAdapter": {"block_out_channels": (16, 32), "motion_num_attention_heads": 2, "motion_norm_num_groups": 4},
    "T2IAdapter": {"channels": [16, 32], "num_res_blocks": 1, "downscale_factor": 8},
    "UNet2DModel": {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "sample_size": 8,
    },
    "Kandinsky3UNet": {
        "time_embedding_dim": 16,
        "groups": 4,
        "attention_head_dim": 8,
        "layers_per_block": 2,
        "block_out_channels": (16, 32, 32, 32),
        "cross_attention_dim": TEXT,
    },
    "DreamLiteUNetModel": {"cross_attention_dim": TEXT, "attention_head_dim": 8},
    "AudioLDM2UNet2DConditionModel": {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": (None, TEXT),
    },
    "PriorTransformer": {"attention_head_dim": 8, "embedding_dim": TEXT, "num_layers": 1},
}
