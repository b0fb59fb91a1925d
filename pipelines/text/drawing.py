"""The next word: logits in, logits out, the largest of them is taken."""

from __future__ import annotations

from typing import Any

import torch

from .asking import Sampling


class Drawn:
    """Adds Gumbel noise, so that the largest logit is a draw from softmax(logits) (Gumbel 1954; Maddison et al. 2014,
    arXiv 1411.0030, section 2).

    The noise comes from a generator of its own on the CPU: a seed gives the same words on every device, and torch's own
    random state stays as it was. Called as transformers calls a logits processor, with tokens [B, T] and logits [B, V].
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.float()
        left = scores > -torch.inf  # after the limits a few of many thousands
        waits = torch.empty(int(left.sum())).exponential_(generator=self.generator).clamp_min(1e-30)
        return scores.masked_scatter(left, scores[left] - waits.log().to(scores.device))


def processors(sampling: Sampling, prompt_length: int) -> Any:
    """What changes the logits before the largest is taken, in transformers' order, with the draw as the last one."""
    from transformers import LogitsProcessorList
    from transformers.generation import logits_process as lp

    found: list[Any] = []
    if sampling.repetition_penalty != 1:
        found.append(lp.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty, prompt_length))
    if sampling.temperature == 0:
        return LogitsProcessorList(found)
    found.append(lp.TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.top_k > 0:
        found.append(lp.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        found.append(lp.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p > 0:
        found.append(lp.MinPLogitsWarper(sampling.min_p))
    return LogitsProcessorList([*found, Drawn(sampling.seed)])
