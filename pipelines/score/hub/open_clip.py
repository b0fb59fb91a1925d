"""HPS v2.1: OpenCLIP's ViT-H/14, fine-tuned, in OpenCLIP's own names; the score is the bare cosine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...payloads import Discriminator
from .clip import pictures, tokenizer, words
from .pictures import Transform
from .towers import Towers
from .weights import Tensors, filled, layers, read, renamed

HEAD, TEXT_HEAD = 80, 64  # channels of one attention head in ViT-H's two towers
_BLOCK = (
    (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.attn\.", ".self_attn."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
# OpenCLIP's names to those of transformers' CLIPModel.
NAMES = (
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    *_BLOCK,
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^text_projection$", "text_projection.weight"),
)


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> Towers:
    from transformers import CLIPModel

    assert discriminator.path is not None
    released = read(discriminator.path)
    size = config(released)
    model = filled(CLIPModel, size, converted(released), dtype, discriminator.spec.id)
    # The whole picture, its long side 224, on black; resized as a tensor, so that nothing is cut off.
    seen = Transform(side=size.vision_config.image_size, crop=None, whole=True, clipped=False)
    say = words(model, tokenizer(discriminator))
    return Towers(discriminator.spec, model, pictures(model, seen), say, lambda cosine: cosine)


def config(released: Mapping[str, torch.Tensor]) -> Any:
    """The CLIPConfig of released weights, from their shapes; only the heads' width is not in them. Raises KeyError."""
    from transformers import CLIPConfig

    patch, vision = released["visual.conv1.weight"], released["visual.positional_embedding"]
    width, words = released["visual.conv1.weight"].shape[0], released["token_embedding.weight"]
    side = round((len(vision) - 1) ** 0.5) * patch.shape[-1]
    return CLIPConfig(
        projection_dim=released["visual.proj"].shape[1],
        vision_config={
            "hidden_size": width,
            "intermediate_size": released["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            "num_hidden_layers": layers(released, r"visual\.transformer\.resblocks\.(\d+)\."),
            "num_attention_heads": width // HEAD,
            "patch_size": patch.shape[-1],
            "image_size": side,
            "projection_dim": released["visual.proj"].shape[1],
            "hidden_act": "gelu",
        },
        text_config={
            "vocab_size": words.shape[0],
            "hidden_size": words.shape[1],
            "intermediate_size": released["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            "num_hidden_layers": layers(released, r"transformer\.resblocks\.(\d+)\."),
            "num_attention_heads": words.shape[1] // TEXT_HEAD,
            "max_position_embeddings": released["positional_embedding"].shape[0],
            "projection_dim": released["visual.proj"].shape[1],
            "hidden_act": "gelu",
            "bos_token_id": words.shape[0] - 2,
            "eos_token_id": words.shape[0] - 1,
        },
    )


def converted(released: Mapping[str, torch.Tensor]) -> Tensors:
    """OpenCLIP's tensors as CLIPModel has them: names, q, k and v apart, projections the other way round."""
    found: Tensors = {}
    for name, value in renamed(released, NAMES).items():
        if ".in_proj_" in name:
            for letter, third in zip("qkv", value.chunk(3)):
                found[name.replace("in_proj_", f"{letter}_proj.")] = third.contiguous()
        elif name in ("visual_projection.weight", "text_projection.weight"):
            found[name] = value.T.contiguous()
        else:
            found[name] = value
    return found
