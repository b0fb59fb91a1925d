# Long: one builder a judge, each writing the released layout out in full
"""Hub judges at tiny size, of the real classes, saved in folders as their authors released them.

The released names are written out here, and not taken from the tables that read them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BlipTextConfig,
    BlipVisionConfig,
    ClapConfig,
    ClapModel,
    CLIPConfig,
    CLIPModel,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    SiglipConfig,
    SiglipModel,
    WavLMConfig,
    WavLMModel,
)

from . import tiny

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SIDE = 28
CLIP_SEES = {
    "crop_size": SIDE, "size": SIDE, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3,
    "image_mean": CLIP_MEAN, "image_std": CLIP_STD, "feature_extractor_type": "CLIPFeatureExtractor",
}  # fmt: skip
SIGLIP_SEES = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    "image_processor_type": "SiglipImageProcessor", "resample": 2, "size": {"height": SIDE, "width": SIDE},
}  # fmt: skip
CHAT = (
    "{% for m in messages %}<|im_start|> {{ m['role'] }} {% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|> "
    "{% endfor %}{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def varied(model: Any, seed: int = 0) -> Any:
    """The model with every weight and bias away from what it starts as, so that each of them has a say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            around = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0
            parameter.copy_(around + 0.15 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def write(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), "utf-8")


def clip(
    folder: Path, *, vision: int = 32, text: int = 32, heads: tuple[int, int] = (4, 4), act: str = "quick_gelu"
) -> Any:
    """A CLIPModel in `folder`, with tokenizer and preprocessor_config.json."""
    tiny.clip_tokenizer_files(folder)
    words = len(json.loads((folder / "vocab.json").read_text("utf-8")))
    shared = {"intermediate_size": 37, "num_hidden_layers": 2, "hidden_act": act, "projection_dim": 16}
    model = varied(CLIPModel(CLIPConfig(
        projection_dim=16,
        vision_config={**shared, "hidden_size": vision, "num_attention_heads": heads[0], "image_size": SIDE, "patch_size": 14},
        text_config={
            **shared, "hidden_size": text, "num_attention_heads": heads[1], "vocab_size": words,
            "max_position_embeddings": 77, "bos_token_id": words - 2, "eos_token_id": words - 1,
        },
    )))  # fmt: skip
    model.logit_scale.data.fill_(3.0)
    model.save_pretrained(folder)
    write(folder / "preprocessor_config.json", CLIP_SEES)
    return model


def siglip(folder: Path) -> Any:
    tokens = tiny.word_tokenizer(length=64)
    tokens.save_pretrained(folder)
    shared = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = varied(SiglipModel(SiglipConfig(
        text_config={**shared, "vocab_size": len(tokens), "max_position_embeddings": 64, "projection_size": 32, "bos_token_id": 0,
                     "eos_token_id": 1},
        vision_config={**shared, "image_size": SIDE, "patch_size": 14},
    )))  # fmt: skip
    model.save_pretrained(folder)
    write(folder / "preprocessor_config.json", SIGLIP_SEES)
    return model


def hpsv2(folder: Path) -> Any:
    """HPS_v2.1_compressed.pt as a checkpoint of OpenCLIP's ViT-H/14: heads of 80 and of 64 channels, exact gelu."""
    model = clip(folder / "clip", vision=160, text=64, heads=(2, 1), act="gelu")
    own = model.state_dict()
    found = {
        "logit_scale": own["logit_scale"],
        "visual.proj": own["visual_projection.weight"].T.contiguous(),
        "text_projection": own["text_projection.weight"].T.contiguous(),
        "visual.class_embedding": own["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": own["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": own["vision_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": own["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": own["text_model.embeddings.position_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        found[f"visual.ln_pre.{kind}"] = own[f"vision_model.pre_layrnorm.{kind}"]
        found[f"visual.ln_post.{kind}"] = own[f"vision_model.post_layernorm.{kind}"]
        found[f"ln_final.{kind}"] = own[f"text_model.final_layer_norm.{kind}"]
        for theirs, ours in (("visual.transformer", "vision_model"), ("transformer", "text_model")):
            for n in range(2):
                to, at = f"{theirs}.resblocks.{n}", f"{ours}.encoder.layers.{n}"
                thirds = [own[f"{at}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                found[f"{to}.attn.in_proj_{kind}"] = torch.cat(thirds)
                found[f"{to}.attn.out_proj.{kind}"] = own[f"{at}.self_attn.out_proj.{kind}"]
                found[f"{to}.ln_1.{kind}"] = own[f"{at}.layer_norm1.{kind}"]
                found[f"{to}.ln_2.{kind}"] = own[f"{at}.layer_norm2.{kind}"]
                found[f"{to}.mlp.c_fc.{kind}"] = own[f"{at}.mlp.fc1.{kind}"]
                found[f"{to}.mlp.c_proj.{kind}"] = own[f"{at}.mlp.fc2.{kind}"]
    torch.save({"epoch": 1, "name": "h", "state_dict": found}, folder / "HPS_v2.1_compressed.pt")
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((folder / "clip" / name).read_bytes())
    return model


def linears(width: int, *names: int) -> dict[str, torch.Tensor]:
    """Five linear layers under the numbers that they have between dropouts, the last one with one output."""
    generator = torch.Generator().manual_seed(3)
    sizes = [width, 12, 10, 8, 6, 1]
    found = {}
    for number, inside, out in zip(names, sizes, sizes[1:]):
        found[f"layers.{number}.weight"] = 0.5 * torch.randn(out, inside, generator=generator)
        found[f"layers.{number}.bias"] = 0.5 * torch.randn(out, generator=generator)
    return found


def imagereward(folder: Path) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    """ImageReward.pt in the names of BLIP's own code, and BERT's vocab.txt; heads of 64 channels."""
    from transformers.models.blip.modeling_blip import BlipVisionModel
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tiny.WORDS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    vision = varied(BlipVisionModel(BlipVisionConfig(
        hidden_size=128, intermediate_size=37, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16,
        hidden_act="gelu", layer_norm_eps=1e-6,
    )))  # fmt: skip
    text = varied(BlipTextModel(BlipTextConfig(
        vocab_size=len(words) + 2, hidden_size=64, encoder_hidden_size=128, intermediate_size=37, num_hidden_layers=2,
        num_attention_heads=1, max_position_embeddings=40, hidden_act="gelu", layer_norm_eps=1e-12, is_decoder=True,
    ), add_pooling_layer=False), seed=1)  # fmt: skip
    own, found = vision.state_dict(), {}
    found["blip.visual_encoder.cls_token"] = own["embeddings.class_embedding"]
    found["blip.visual_encoder.pos_embed"] = own["embeddings.position_embedding"]
    for kind in ("weight", "bias"):
        found[f"blip.visual_encoder.patch_embed.proj.{kind}"] = own[f"embeddings.patch_embedding.{kind}"]
        found[f"blip.visual_encoder.norm.{kind}"] = own[f"post_layernorm.{kind}"]
        for n in range(2):
            at, to = f"encoder.layers.{n}", f"blip.visual_encoder.blocks.{n}"
            pairs = {
                "norm1": "layer_norm1", "norm2": "layer_norm2", "attn.qkv": "self_attn.qkv",
                "attn.proj": "self_attn.projection", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
            }  # fmt: skip
            found |= {f"{to}.{theirs}.{kind}": own[f"{at}.{ours}.{kind}"] for theirs, ours in pairs.items()}
    found |= {f"blip.text_encoder.{name}": value for name, value in text.state_dict().items()}
    found["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    found |= {f"blip.{name}_proj.weight": torch.zeros(4, 4) for name in ("vision", "text")}
    head = linears(64, 0, 2, 4, 6, 7)
    torch.save({**found, **{f"mlp.{name}": value for name, value in head.items()}}, folder / "ImageReward.pt")
    return vision, text, head


def qwen_words() -> Any:
    """A tokenizer of words and of Qwen2-VL's special tokens."""
    tokens = tiny.word_tokenizer("<|im_end|>", length=4096, template=CHAT)
    special = ("<|im_start|>", "<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>")
    tokens.add_special_tokens({"additional_special_tokens": list(special)})
    tokens.add_tokens(["Yes", "No", "yes", "show"])
    return tokens


def qwen(folder: Path, grown: int = 0) -> Any:
    """A Qwen2-VL in `folder` with its processor; its word embeddings are `grown` longer than the tokenizer."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    tokens = qwen_words()
    number = tokens.convert_tokens_to_ids
    Qwen2VLProcessor(Qwen2VLImageProcessor(), tokens, Qwen2VLVideoProcessor(), chat_template=CHAT).save_pretrained(
        folder
    )
    model = varied(Qwen2VLForConditionalGeneration(Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokens) + grown, "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096, "bos_token_id": 0,
            "eos_token_id": 1, "pad_token_id": 0, "rope_parameters": {
                "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0,
            },
        },
        vision_config={
            "depth": 2, "embed_dim": 32, "num_heads": 4, "hidden_size": 32, "patch_size": 14, "mlp_ratio": 2,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3,
        },
        image_token_id=number("<|image_pad|>"), video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"), vision_end_token_id=number("<|vision_end|>"),
        tie_word_embeddings=False,
    )))  # fmt: skip
    model.save_pretrained(folder)
    if not (folder / "preprocessor_config.json").is_file():  # as the released repository has it
        write(folder / "preprocessor_config.json", {"image_processor_type": "Qwen2VLImageProcessor"})
    return model


def hpsv3(folder: Path, base: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """HPSv3.safetensors with the names of transformers 4.45, and the base model's small files in `base`."""
    from safetensors.torch import save_file

    model = qwen(base, grown=1)
    (base / "model.safetensors").unlink()
    found = {}
    for name, value in model.state_dict().items():
        name = name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
        found[name] = value.contiguous()
    generator = torch.Generator().manual_seed(5)
    head = {}
    for number, (out, inside) in {0: (24, 32), 3: (16, 24), 5: (2, 16)}.items():
        head[f"rm_head.{number}.weight"] = 0.4 * torch.randn(out, inside, generator=generator)
        head[f"rm_head.{number}.bias"] = 0.4 * torch.randn(out, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({**found, **head}, str(folder / "HPSv3.safetensors"))
    return model, head


AXES = ("CE", "CU", "PC", "PQ")


def audiobox(folder: Path) -> tuple[Any, dict[str, torch.Tensor], dict[str, Any]]:
    """model.safetensors in the names of WavLM's own code, and config.json as the hub mixin writes it."""
    from safetensors.torch import save_file

    size, groups = 32, 4
    wavlm = varied(WavLMModel(WavLMConfig(
        hidden_size=size, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, conv_dim=(16,) * 7,
        conv_kernel=(10, 3, 3, 3, 3, 2, 2), conv_stride=(5, 2, 2, 2, 2, 2, 2), num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=groups, num_buckets=32, max_bucket_distance=800, feat_extract_norm="group",
    )))  # fmt: skip
    own, found = wavlm.state_dict(), {}
    found["mask_emb"] = own["masked_spec_embed"]
    for n in range(7):
        found[f"feature_extractor.conv_layers.{n}.0.weight"] = own[f"feature_extractor.conv_layers.{n}.conv.weight"]
    position = "encoder.pos_conv_embed.conv"
    found["encoder.pos_conv.0.weight_g"] = own[f"{position}.parametrizations.weight.original0"]
    found["encoder.pos_conv.0.weight_v"] = own[f"{position}.parametrizations.weight.original1"]
    found["encoder.pos_conv.0.bias"] = own[f"{position}.bias"]
    bias = "encoder.layers.0.attention.rel_attn_embed.weight"
    found["encoder.layers.0.self_attn.relative_attention_bias.weight"] = own[bias]
    for kind in ("weight", "bias"):
        found[f"feature_extractor.conv_layers.0.2.{kind}"] = own[f"feature_extractor.conv_layers.0.layer_norm.{kind}"]
        found[f"post_extract_proj.{kind}"] = own[f"feature_projection.projection.{kind}"]
        found[f"layer_norm.{kind}"] = own[f"feature_projection.layer_norm.{kind}"]
        found[f"encoder.layer_norm.{kind}"] = own[f"encoder.layer_norm.{kind}"]
        for n in range(2):
            at = f"encoder.layers.{n}"
            for letter in ("q_proj", "k_proj", "v_proj", "out_proj"):
                found[f"{at}.self_attn.{letter}.{kind}"] = own[f"{at}.attention.{letter}.{kind}"]
            found[f"{at}.self_attn.grep_linear.{kind}"] = own[f"{at}.attention.gru_rel_pos_linear.{kind}"]
            found[f"{at}.self_attn.grep_a"] = own[f"{at}.attention.gru_rel_pos_const"]
            found[f"{at}.self_attn_layer_norm.{kind}"] = own[f"{at}.layer_norm.{kind}"]
            found[f"{at}.fc1.{kind}"] = own[f"{at}.feed_forward.intermediate_dense.{kind}"]
            found[f"{at}.fc2.{kind}"] = own[f"{at}.feed_forward.output_dense.{kind}"]
            found[f"{at}.final_layer_norm.{kind}"] = own[f"{at}.final_layer_norm.{kind}"]
    generator, head = torch.Generator().manual_seed(7), {}
    for axis in AXES:
        head[f"layer_weights.{axis}"] = torch.randn(3, generator=generator)
        # linear, norm, gelu, dropout, linear: numbers 0, 1 and 4
        for number, out in ((0, size), (4, 1)):
            head[f"proj_layer.{axis}.{number}.weight"] = torch.randn(out, size, generator=generator)
            head[f"proj_layer.{axis}.{number}.bias"] = torch.randn(out, generator=generator)
        head[f"proj_layer.{axis}.1.weight"] = 1 + 0.1 * torch.randn(size, generator=generator)
        head[f"proj_layer.{axis}.1.bias"] = torch.randn(size, generator=generator)
    values = {
        "proj_num_layer": 2, "proj_ln": True, "proj_act_fn": "gelu", "proj_dropout": 0.1, "nth_layer": 3,
        "use_weighted_layer_sum": True, "precision": "32", "normalize_embed": True, "output_dim": 1,
        "target_transform": {axis: {"mean": 5.0 + n, "std": 1.0 + n / 4} for n, axis in enumerate(AXES)},
    }  # fmt: skip
    write(folder / "config.json", values)
    wave = {f"wavlm_model.{name}": value.contiguous() for name, value in found.items()}
    save_file({**wave, **head}, str(folder / "model.safetensors"))
    return wavlm, head, values


def clap(folder: Path) -> Any:
    """A ClapModel as pytorch_model.bin, with a byte-level tokenizer and the released feature extractor's settings."""
    letters = [*"abcdefghijklmnopqrstuvwxyz", "Ġ"]
    vocabulary = {word: n for n, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"])}
    write(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    write(folder / "preprocessor_config.json", {
        "feature_extractor_type": "ClapFeatureExtractor", "feature_size": 64, "fft_window_size": 1024,
        "frequency_max": 14000, "frequency_min": 50, "hop_length": 480, "max_length_s": 10, "padding": "repeatpad",
        "padding_value": 0.0, "sampling_rate": 48000, "top_db": None, "truncation": "rand_trunc",
    })  # fmt: skip
    model = varied(ClapModel(ClapConfig(
        projection_dim=16,
        text_config={
            "vocab_size": len(vocabulary), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 37, "max_position_embeddings": 90, "projection_dim": 16,
        },
        audio_config={
            "hidden_size": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [1, 2],
            "num_hidden_layers": 2, "projection_dim": 16, "num_mel_bins": 64, "spec_size": 256, "window_size": 8,
        },
    )))  # fmt: skip
    write(folder / "config.json", model.config.to_dict())
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model
