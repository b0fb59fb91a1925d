"""Tiny random models of the families that exist only as blocks: `build("anima", folder)` saves a modular folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.coverage import blocks

from . import tiny


def qwen_tokenizer(template: str | None = None) -> Any:
    """Qwen's byte-level tokenizer, one token a byte and one a special word."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    letters = {letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}
    vocabulary = {
        **letters,
        "<|endoftext|>": len(letters),
        "<|im_start|>": len(letters) + 1,
        "<|im_end|>": len(letters) + 2,
    }
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=512)
    tokenizer.chat_template = template
    return tokenizer


def t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *[(f"▁{word}", -1.0) for word in tiny.WORDS]]
    return T5Tokenizer(vocab=words, extra_ids=0, model_max_length=512)


def qwen3(words: int, width: int = 16) -> Any:
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(Qwen3Config(
        vocab_size=words, hidden_size=width, intermediate_size=width, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=512, pad_token_id=0, eos_token_id=1, bos_token_id=1,
    ))  # fmt: skip


def anima() -> dict[str, Any]:
    from diffusers import (
        AnimaTextConditioner,
        AutoencoderKLQwenImage,
        CosmosTransformer3DModel,
        FlowMatchEulerDiscreteScheduler,
    )

    tokenizer, t5 = qwen_tokenizer(), t5_tokenizer()
    return {
        "text_encoder": qwen3(len(tokenizer)),
        "tokenizer": tokenizer,
        "t5_tokenizer": t5,
        "text_conditioner": AnimaTextConditioner(
            source_dim=16, target_dim=16, model_dim=16, num_layers=1, num_attention_heads=2,
            target_vocab_size=len(t5), min_sequence_length=16,
        ),
        "transformer": CosmosTransformer3DModel(
            in_channels=16, out_channels=16, num_attention_heads=2, attention_head_dim=16, num_layers=2, mlp_ratio=2,
            text_embed_dim=16, adaln_lora_dim=4, max_size=(4, 32, 32), rope_scale=(1.0, 1.0, 1.0),
            extra_pos_embed_type=None, concat_padding_mask=True,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        "vae": AutoencoderKLQwenImage(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
    }  # fmt: skip


def flux3() -> dict[str, Any]:
    from diffusers import AutoencoderKLFlux2, Flux3Transformer2DModel
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    tokenizer = qwen_tokenizer("{% for m in messages %}{{ m['role'] }} {{ m['content'] }}<|im_end|>{% endfor %}")
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer) + 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 33,
            "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        },
        vision_config={
            "depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": 8, "patch_size": 4,
            "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
        },
    )  # fmt: skip
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    vae.bn.running_mean.copy_(torch.linspace(-0.5, 0.5, 16))
    vae.bn.running_var.copy_(torch.linspace(0.5, 1.5, 16))
    return {
        "text_encoder": Qwen3VLForConditionalGeneration(config),
        "tokenizer": Qwen3VLProcessor(
            image_processor=Qwen2VLImageProcessor(), tokenizer=tokenizer, video_processor=Qwen3VLVideoProcessor()
        ),
        "transformer": Flux3Transformer2DModel(
            in_channels=16, cond_in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=64, timestep_channels=16, axes_dims_rope=(4, 4, 4, 4),
        ),
        "vae": vae,
    }  # fmt: skip


BUILD: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "anima": ("AnimaModularPipeline", anima),
    "flux3": ("Flux3ModularPipeline", flux3),
}


def build(name: str, folder: Path) -> Path:
    """Save a family's parts and a modular index that names them as one from the hub does; returns the folder."""
    pipeline, make = BUILD[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = make()
    blocks.save_parts(pipeline, parts, folder)
    return folder
