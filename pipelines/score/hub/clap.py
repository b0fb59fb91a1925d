"""CLAP: how well a sound and a prompt agree (LAION's, arXiv 2211.06687)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...payloads import Discriminator, JudgeSpec
from ..judge import Beside, Judge
from .towers import each
from .weights import filled, read_folder

WORDS = 77


class Clap(Judge):
    chunk = 8

    def __init__(self, spec: JudgeSpec, model: Any, extractor: Any, tokens: Any) -> None:
        self.spec, self.model, self.extractor, self.tokens = spec, model, extractor, tokens

    def parts(self) -> list[nn.Module]:
        return [self.model]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        said = each(beside.prompts, self._said)
        pieces = [F.cosine_similarity(self._heard(piece), said) for piece in windows(x, self.extractor.nb_max_samples)]
        lengths = x.new_tensor([piece.shape[1] for piece in windows(x, self.extractor.nb_max_samples)])
        return (torch.stack(pieces, 1) * lengths).sum(1) / lengths.sum()

    def _heard(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T] -> [B, D]; the model's own feature extractor, which repeats what is shorter than 10 s."""
        sounds = list(x.detach().cpu().numpy())
        made = self.extractor(sounds, sampling_rate=self.extractor.sampling_rate, return_tensors="pt")
        features = made["input_features"].to(self.model.device, self.model.dtype)
        longer = torch.zeros(len(x), 1, dtype=torch.bool, device=features.device)
        return self.model.get_audio_features(input_features=features, is_longer=longer).pooler_output.float()

    def _said(self, prompts: list[str]) -> torch.Tensor:
        found = self.tokens(prompts, padding=True, truncation=True, max_length=WORDS, return_tensors="pt")
        return self.model.get_text_features(**found.to(self.model.device)).pooler_output.float()


def windows(x: torch.Tensor, length: int) -> Iterator[torch.Tensor]:
    """A sound [B, T] in pieces of at most `length` samples; a rest under a tenth of it is left out."""
    for start in range(0, max(x.shape[1], 1), length):
        piece = x[:, start : start + length]
        if start == 0 or piece.shape[1] >= length // 10:
            yield piece


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> Clap:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizer

    folder = discriminator.path
    assert folder is not None
    config = ClapConfig.from_pretrained(folder)
    tensors, name = read_folder(folder), discriminator.spec.id
    model = filled(ClapModel, config, tensors, dtype, name, spare=r".*(position_ids|token_type_ids)$")
    extractor = ClapFeatureExtractor.from_pretrained(folder)
    return Clap(discriminator.spec, model, extractor, RobertaTokenizer.from_pretrained(folder))
