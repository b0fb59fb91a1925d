"""What judges of two towers share: embeddings of items and of prompts, and their cosine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...payloads import JudgeSpec
from ..judge import Beside, Judge

Encode = Callable[[Any], torch.Tensor]


class Towers(Judge):
    """The cosine of an item's embedding and its prompt's, made a number.

    embed: items as the judge takes them -> [B, D]. say: a list of prompts -> [P, D]. number: cosines [B] to scores [B].
    shown: scores to the raw value.
    """

    def __init__(
        self, spec: JudgeSpec, model: nn.Module, embed: Encode, say: Encode, number: Encode, shown: Encode | None = None
    ) -> None:
        self.spec, self.model = spec, model
        self._embed, self._say, self._number, self._shown = embed, say, number, shown

    def parts(self) -> list[nn.Module]:
        return [self.model]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        cosine = F.cosine_similarity(self._embed(x).float(), each(beside.prompts, self._say).float())
        return self._number(cosine)

    def raw(self, logit: torch.Tensor) -> torch.Tensor:
        return self._shown(logit) if self._shown else logit


def each(prompts: Sequence[str], say: Encode) -> torch.Tensor:
    """One embedding a prompt, [B, D]; equal prompts are encoded once, without a slope."""
    once = list(dict.fromkeys(prompts))
    with torch.no_grad():
        found = say(once)
    return found[[once.index(prompt) for prompt in prompts]]
