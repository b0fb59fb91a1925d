"""CLIPScore, PickScore and SigLIP 2: folders as transformers saves them, two towers and a scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...errors import AigcError
from ...payloads import Discriminator
from .pictures import Transform, transform_of
from .towers import Encode, Towers
from .weights import filled, read_folder

WEIGHT, BEFORE = 2.5, "A photo depicts "  # Hessel et al. 2021, arXiv 2104.08718, section 3
SIGLIP_WORDS = 64  # SigLIP 2 was trained on prompts of exactly this length
SIGLIP = Transform(side=(384, 384), crop=None, mode="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> Towers:
    folder = discriminator.path
    assert folder is not None
    if discriminator.kind == "hub/siglip2":
        return _siglip(discriminator, folder, dtype)
    from transformers import CLIPConfig, CLIPModel

    model = filled(
        CLIPModel,
        CLIPConfig.from_pretrained(folder),
        read_folder(folder),
        dtype,
        discriminator.spec.id,
        spare=r".*position_ids$",
    )
    embed = pictures(model, transform_of(folder, Transform()))
    if discriminator.kind == "hub/clipscore":
        say = words(model, tokenizer(discriminator), before=BEFORE)
        return Towers(discriminator.spec, model, embed, say, lambda cosine: WEIGHT * cosine, lambda s: s.clamp_min(0))
    say = words(model, tokenizer(discriminator))
    return Towers(discriminator.spec, model, embed, say, lambda cosine: model.logit_scale.exp() * cosine)


def tokenizer(discriminator: Discriminator) -> Any:
    """CLIP's tokenizer from vocab.json and merges.txt, or tokenizer.json, in the folder that was found."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(dict(discriminator.files)["tokenizer"].parent)


def pictures(model: Any, transform: Transform) -> Encode:
    """[B, 3, H, W] in 0..1 -> embeddings [B, D]."""
    return lambda x: model.get_image_features(pixel_values=transform(x).to(model.dtype)).pooler_output


def words(model: Any, tokens: Any, *, before: str = "") -> Encode:
    """Prompts -> embeddings [P, D]; cut at 77 tokens."""

    def say(prompts: Any) -> torch.Tensor:
        text = [before + prompt for prompt in prompts]
        found = tokens(text, padding=True, truncation=True, max_length=77, return_tensors="pt").to(model.device)
        return model.get_text_features(**found).pooler_output

    return say


def _siglip(discriminator: Discriminator, folder: Path, dtype: torch.dtype) -> Towers:
    from transformers import AutoConfig, AutoTokenizer, SiglipConfig, SiglipModel

    config = AutoConfig.from_pretrained(folder)
    if not isinstance(config, SiglipConfig):
        raise AigcError(
            f"Expected a SigLIP 2 of a fixed size (model_type siglip), got {config.model_type} in {folder.name}: take one "
            "whose name ends in its size, such as google/siglip2-so400m-patch14-384."
        )
    model = filled(SiglipModel, config, read_folder(folder), dtype, discriminator.spec.id, spare=r".*position_ids$")
    tokens = AutoTokenizer.from_pretrained(dict(discriminator.files)["tokenizer"].parent)

    def say(prompts: Any) -> torch.Tensor:
        text = [prompt.lower() for prompt in prompts]  # as it was trained
        found = tokens(text, padding="max_length", truncation=True, max_length=SIGLIP_WORDS, return_tensors="pt")
        return model.get_text_features(input_ids=found["input_ids"].to(model.device)).pooler_output

    def number(cosine: torch.Tensor) -> torch.Tensor:
        return model.logit_scale.exp() * cosine + model.logit_bias

    embed = pictures(model, transform_of(folder, SIGLIP))
    return Towers(discriminator.spec, model, embed, say, number, torch.sigmoid)
