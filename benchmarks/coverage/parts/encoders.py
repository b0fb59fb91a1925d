"""Encoders of transformers, by class."""

from __future__ import annotations

from typing import Any

from pipelines.stages.selftest.shrink import TEXT, VOCABULARY

from ..words import GLM_IMAGE_TOKEN, GLM_START
from .pieces import CLIP, GEMMA, QWEN, QWEN_VL, T5

CLASSES: dict[str, dict[str, Any]] = {
    "CLIPTextModel": CLIP,
    "CLIPTextModelWithProjection": CLIP,
    "CLIPVisionModel": {"patch_size": 8},
    "CLIPVisionModelWithProjection": {"patch_size": 8},
    "SiglipVisionModel": {"patch_size": 8},
    "Siglip2VisionModel": {"num_patches": 256},
    "T5EncoderModel": T5,
    "UMT5EncoderModel": T5,
    "Qwen2_5_VLForConditionalGeneration": QWEN_VL,
    "Qwen2VLForConditionalGeneration": QWEN_VL,
    "Qwen3VLForConditionalGeneration": QWEN_VL,
    "Qwen3VLModel": QWEN_VL,
    "Qwen2_5_VLTextModel": QWEN,
    "Gemma2Model": GEMMA,
    "Gemma3ForConditionalGeneration": {
        "vision_config": {"patch_size": 8},
        "mm_tokens_per_image": 4,
        "image_token_index": 4,
        "boi_token_index": 5,
        "eoi_token_index": 6,
    },
    "GlmImageForConditionalGeneration": {
        "image_token_id": GLM_IMAGE_TOKEN,
        "image_start_token_id": GLM_START,
        "image_end_token_id": GLM_START + 1,
        "text_config": {
            "vision_vocab_size": 128,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": (4, 2, 2)},
            "pad_token_id": 0,
            "eos_token_id": GLM_START + 1,
        },
        "vision_config": {"patch_size": 32, "image_size": 64},
        "vq_config": {"embed_dim": TEXT, "num_embeddings": 128, "latent_channels": TEXT},
    },
    "ChatGLMModel": {
        "num_layers": 2,
        "padded_vocab_size": VOCABULARY,
        "hidden_size": TEXT,
        "ffn_hidden_size": TEXT,
        "kv_channels": 16,
        "num_attention_heads": 2,
        "seq_length": 512,
        "original_rope": True,
    },
    "BertModel": {"pad_token_id": 0},
    "SpeechT5HifiGan": {
        "model_in_dim": 8,
        "upsample_initial_channel": 16,
        "upsample_rates": [2, 2],
        "upsample_kernel_sizes": [4, 4],
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]],
    },
    "MultilingualCLIP": {"transformerDimensions": TEXT, "numDims": TEXT, "vocab_size": VOCABULARY},
    "LlavaForConditionalGeneration": {
        "pad_token_id": 0,
        "vision_config": {"patch_size": 8},
        "image_token_index": 7,
        "vision_feature_layer": -1,
    },
    "Mistral3ForConditionalGeneration": {"vision_config": {"patch_size": 16, "image_size": 64}, "image_token_index": 1},
    "Mistral3Model": {"vision_config": {"patch_size": 16, "image_size": 64}, "image_token_index": 1},
    "SmolLM3ForCausalLM": {"pad_token_id": 0},
    "DPTForDepthEstimation": {
        "patch_size": 8,
        "backbone_out_indices": [0, 1, 1, 1],
        "neck_hidden_sizes": [8, 8, 8, 8],
        "fusion_hidden_size": 8,
        "is_hybrid": False,
    },
    "ClapModel": {},
}
