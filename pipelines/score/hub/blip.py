"""ImageReward: BLIP's picture and text encoders crossed, and linear layers on the first word (arXiv 2304.05977)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...payloads import Discriminator, JudgeSpec
from ..judge import Beside, Judge
from .heads import Linears, linears
from .pictures import Transform
from .weights import Tensors, below, filled, layers, read, renamed

HEAD = 64  # channels of one attention head, in both encoders
AVERAGE, SPREAD = 0.16717362830052426, 1.0333394966054072  # of the rewards that it was trained on
WORDS = 35
# The released names of the vision transformer to those of BlipVisionModel; the text encoder's are the same already.
VISION = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"encoder.layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."),
    (r"^norm\.", "post_layernorm."),
)


class ImageReward(Judge):
    def __init__(self, spec: JudgeSpec, vision: Any, text: Any, head: Linears, tokens: Any) -> None:
        self.spec, self.vision, self.text, self.head, self.tokens = spec, vision, text, head, tokens
        side = vision.config.image_size
        self.transform = Transform(side=side, crop=(side, side))

    def parts(self) -> list[nn.Module]:
        return [self.vision, self.text, self.head]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        seen = self.vision(pixel_values=self.transform(x).to(self.vision.dtype)).last_hidden_state  # [B, N, D]
        words = self.tokens(
            list(beside.prompts), padding="max_length", truncation=True, max_length=WORDS, return_tensors="pt"
        ).to(seen.device)
        crossed = self.text(
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
        ).last_hidden_state
        return (self.head(crossed[:, 0].float()) - AVERAGE) / SPREAD


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> ImageReward:
    from transformers import BertTokenizer
    from transformers.models.blip.modeling_blip import BlipVisionModel
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    path, name = discriminator.path, discriminator.spec.id
    assert path is not None
    released = read(path)
    vision, text = converted(released)
    seen, said = configs(vision, text)
    return ImageReward(
        discriminator.spec,
        filled(BlipVisionModel, seen, vision, dtype, name),
        filled(_text_model(BlipTextModel), said, text, dtype, name, spare=r".*position_ids$"),
        linears(released, "mlp.layers.", name),
        BertTokenizer.from_pretrained(dict(discriminator.files)["tokenizer"].parent),
    )


def _text_model(made: Any) -> Any:
    """BLIP's text encoder without its pooler, which the released weights do not have."""

    class Unpooled(made):
        def __init__(self, config: Any) -> None:
            super().__init__(config, add_pooling_layer=False)

    return Unpooled


def converted(released: Mapping[str, torch.Tensor]) -> tuple[Tensors, Tensors]:
    """The released tensors of the vision transformer and of the text encoder, as transformers names them."""
    return (
        renamed(below(released, "blip.visual_encoder."), VISION),
        below(released, "blip.text_encoder."),
    )


def configs(vision: Mapping[str, torch.Tensor], text: Mapping[str, torch.Tensor]) -> tuple[Any, Any]:
    """BlipVisionConfig and BlipTextConfig from the tensors' shapes; the heads' width is not in them."""
    from transformers import BlipTextConfig, BlipVisionConfig

    patch, places = vision["embeddings.patch_embedding.weight"], vision["embeddings.position_embedding"].shape[1]
    width, hidden = patch.shape[0], text["embeddings.word_embeddings.weight"].shape[1]
    seen = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=vision["encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=layers(vision, r"encoder\.layers\.(\d+)\."),
        num_attention_heads=width // HEAD,
        patch_size=patch.shape[-1],
        image_size=round((places - 1) ** 0.5) * patch.shape[-1],
        hidden_act="gelu",
        layer_norm_eps=1e-6,
    )
    said = BlipTextConfig(
        vocab_size=text["embeddings.word_embeddings.weight"].shape[0],
        hidden_size=hidden,
        encoder_hidden_size=width,
        intermediate_size=text["encoder.layer.0.intermediate.dense.weight"].shape[0],
        num_hidden_layers=layers(text, r"encoder\.layer\.(\d+)\."),
        num_attention_heads=hidden // HEAD,
        max_position_embeddings=text["embeddings.position_embeddings.weight"].shape[0],
        hidden_act="gelu",
        layer_norm_eps=1e-12,
        is_decoder=True,  # gives the layers their cross attention; attention itself looks both ways
    )
    return seen, said
