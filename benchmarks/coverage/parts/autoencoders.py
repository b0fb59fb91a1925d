"""Autoencoders and vocoders, by class."""

from __future__ import annotations

from typing import Any

from .pieces import VIDEO_LEVELS

CLASSES: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "sample_size": 64,
    },
    "AsymmetricAutoencoderKL": {"down_block_out_channels": (8,), "up_block_out_channels": (8,)},
    "VQModel": {
        "block_out_channels": (32, 32, 32, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 3 + ("AttnUpDecoderBlock2D",),
        "latent_channels": 4,
        "norm_type": "spatial",
        "num_vq_embeddings": 16,
        "vq_embed_dim": 4,
    },
    "AutoencoderTiny": {},
    "AutoencoderDC": {
        "attention_head_dim": 8,
        "encoder_block_out_channels": (32,) * 6,
        "decoder_block_out_channels": (32,) * 6,
    },
    "AutoencoderKLMochi": {
        "encoder_block_out_channels": (32,) * 4,
        "decoder_block_out_channels": (32,) * 4,
        "layers_per_block": (1,) * 5,
    },
    "AutoencoderKLWan": {"dim_mult": [1, 1, 1, 1], "base_dim": 8},
    "AutoencoderKLQwenImage": {"dim_mult": [1, 1, 1, 1], "base_dim": 8},
    "AutoencoderKLQwenImage21": {"dim_mult": [1, 1, 1, 1, 1]},
    "AutoencoderKLCosmos": {"resolution": 64, "num_layers": 1, "decode_block_out_channels": (8,) * 4},
    "AutoencoderKLHunyuanImage": {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 64,
        "block_out_channels": (32, 32, 64, 64, 128),
        "layers_per_block": 1,
        "spatial_compression_ratio": 16,
        "sample_size": 64,
    },
    "AutoencoderKLHunyuanImageRefiner": {**VIDEO_LEVELS},
    "AutoencoderKLHunyuanVideo15": {**VIDEO_LEVELS},
    "AutoencoderKLHunyuanVideo": {"block_out_channels": (8, 8, 8, 8)},
    "AutoencoderKLLTX2Audio": {"ch_mult": (1, 1, 1)},
    "AutoencoderKLLTXVideo": {},
    "AutoencoderKLLTX2Video": {
        "block_out_channels": (8, 16, 32, 64),
        "decoder_block_out_channels": (8, 16, 32),
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 8,
    },
    "AutoencoderOobleck": {
        "encoder_hidden_size": 8,
        "decoder_channels": 8,
        "downsampling_ratios": [2, 4],
        "channel_multiples": [1, 2],
        "sampling_rate": 64,
    },
    "AutoencoderSAME": {
        "encoder_channels": 8,
        "encoder_transformer_depths": (1,),
        "decoder_channels": 8,
        "decoder_transformer_depths": (1,),
        "dim_heads": 8,
        "patch_size": 8,
        "encoder_strides": (4,),
        "sampling_rate": 64,
    },
    "AutoencoderKLAllegro": {"sample_size": 64},
    "MMAudioVAE": {"hidden_channels": 16},
    "MMAudioVocoder": {"upsample_initial_channel": 64},
    "LTX2Vocoder": {"hidden_channels": 32},
    "LongCatAudioDiTVae": {"channels": 16},
}
