"""Tiny random pipelines of the real classes, made from configs: `build("sd15", folder)` saves a diffusers folder.

The same name gives the same weights each time. A model takes a few MB and a fraction of a second.
"""

from __future__ import annotations

import json
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .tiny_sound import acestep, stableaudio

WORDS = "a photo of an astronaut riding horse on mars cat dog the and in red blue green music low quality song".split()
CLIP_BLOCKS = {"down": ("DownBlock2D", "CrossAttnDownBlock2D"), "up": ("CrossAttnUpBlock2D", "UpBlock2D")}
SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def clip_tokenizer_files(folder: Path) -> Path:
    """Write a small CLIP vocabulary (single letters and WORDS) as vocab.json and merges.txt."""
    letters = string.ascii_lowercase + string.digits + ".,!?'-"
    vocabulary = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters)])
    merges: dict[str, None] = {}
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            merges[f"{pieces[0]} {pieces[1]}"] = None
            pieces[:2] = [pieces[0] + pieces[1]]
            vocabulary[pieces[0]] = None
    words = [*vocabulary, "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")
    return folder


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    with tempfile.TemporaryDirectory() as folder:
        files = clip_tokenizer_files(Path(folder))
        return CLIPTokenizer(str(files / "vocab.json"), str(files / "merges.txt"), model_max_length=77)


def word_tokenizer(end: str = "</s>", length: int = 512, template: str | None = None) -> Any:
    """A whole-word tokenizer of WORDS for the T5 and Qwen families."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", end, "<unk>", *WORDS]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token=end, unk_token="<unk>", model_max_length=length
    )
    tokenizer.chat_template = template
    return tokenizer


def clip_text(words: int, *, projection: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=words, hidden_size=32, intermediate_size=37, num_hidden_layers=3, num_attention_heads=4,
        projection_dim=32, bos_token_id=words - 2, eos_token_id=words - 1, hidden_act="gelu",
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def t5(words: int, *, multilingual: bool = False) -> Any:
    from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "feed_forward_proj": "gated-gelu"}
    if multilingual:
        return UMT5EncoderModel(UMT5Config(vocab_size=words, **sizes))
    return T5EncoderModel(T5Config(vocab_size=words, **sizes))


def vae(channels: int = 4, **config: Any) -> Any:
    """AutoencoderKL that halves the sides once: 64 px are 32 latents."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16), layers_per_block=1, latent_channels=channels, norm_num_groups=4, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **config,
    )  # fmt: skip


def unet(**config: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=16, norm_num_groups=4,
        down_block_types=CLIP_BLOCKS["down"], up_block_types=CLIP_BLOCKS["up"], **config,
    )  # fmt: skip


def sd15() -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer = clip_tokenizer()
    return StableDiffusionPipeline(
        vae=vae(),
        text_encoder=clip_text(len(tokenizer)),
        tokenizer=tokenizer,
        unet=unet(cross_attention_dim=32, attention_head_dim=4),
        scheduler=DDIMScheduler(**SD_BETAS, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokenizer = clip_tokenizer()
    return StableDiffusionXLPipeline(
        vae=vae(scaling_factor=0.13025),
        text_encoder=clip_text(len(tokenizer)),
        text_encoder_2=clip_text(len(tokenizer), projection=True),
        tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            cross_attention_dim=64, attention_head_dim=(2, 4), use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=32 + 6 * 8,
        ),
        scheduler=EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=True,
    )  # fmt: skip


def sd3() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    clip, words = clip_tokenizer(), word_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=16, patch_size=1, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
            num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=64,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text(len(clip), projection=True),
        tokenizer=clip,
        text_encoder_2=clip_text(len(clip), projection=True),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5(len(words)),
        tokenizer_3=words,
    )  # fmt: skip


def flux() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    clip, words = clip_tokenizer(), word_tokenizer()
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae(shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text(len(clip)),
        tokenizer=clip,
        text_encoder_2=t5(len(words)),
        tokenizer_2=words,
        transformer=FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
    )  # fmt: skip


def zimage() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    template = (
        "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    words = word_tokenizer("<|im_end|>", template=template)
    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, qk_norm=True, cap_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip
    with torch.no_grad():  # diffusers leaves these two uninitialised
        transformer.x_pad_token.fill_(1.0)
        transformer.cap_pad_token.fill_(1.0)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(16, shift_factor=0.1159, scaling_factor=0.3611),
        text_encoder=Qwen3Model(Qwen3Config(
            vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=512, pad_token_id=0, eos_token_id=1,
            bos_token_id=1,
        )),
        tokenizer=words,
        transformer=transformer,
    )  # fmt: skip


def wan() -> Any:
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    words = word_tokenizer()
    return WanPipeline(
        tokenizer=words,
        text_encoder=t5(len(words), multilingual=True),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
            text_dim=32, ffn_dim=32, num_layers=2, rope_max_seq_len=32,
        ),
        vae=AutoencoderKLWan(
            base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )  # fmt: skip


def ltx() -> Any:
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXPipeline,
        LTXVideoTransformer3DModel,
    )

    words = word_tokenizer()
    codec = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5, patch_size=1, patch_size_t=1,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4,
    )  # fmt: skip
    codec.latents_mean.copy_(torch.linspace(-0.5, 0.5, 8))
    codec.latents_std.copy_(torch.linspace(0.5, 1.5, 8))
    return LTXPipeline(
        transformer=LTXVideoTransformer3DModel(
            in_channels=8, out_channels=8, patch_size=1, patch_size_t=1, num_attention_heads=4, attention_head_dim=8,
            cross_attention_dim=32, num_layers=1, caption_channels=32,
        ),
        vae=codec,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder=t5(len(words)),
        tokenizer=words,
    )  # fmt: skip


BUILD: dict[str, Callable[[], Any]] = {
    "sd15": sd15,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "zimage": zimage,
    "wan": wan,
    "ltx": ltx,
    "stableaudio": stableaudio,
    "acestep": acestep,
}


def made(make: Callable[[], Any]) -> Any:
    """A tiny pipeline in memory, weights always the same, all parts in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = make()
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return pipe


def pipeline(name: str) -> Any:
    """The tiny pipeline of a family."""
    return made(BUILD[name])


def saved(make: Callable[[], Any], folder: Path) -> Path:
    """Save a tiny pipeline as a diffusers folder and return that folder."""
    made(make).save_pretrained(folder)
    return Path(folder)


def build(name: str, folder: Path) -> Path:
    """Save the tiny pipeline of a family as a diffusers folder and return that folder."""
    return saved(BUILD[name], folder)
