"""Heads: small stacks of layers between an embedding and a number, with the names that their files have."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .weights import below, fit


class Linears(nn.Module):
    """Linear layers one after another, with nothing between them: what LAION's predictor and ImageReward end in.

    The numbers in the names count dropouts too, which do nothing when a judge is asked.
    """

    def __init__(self, released: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        numbers = sorted({int(name.split(".")[0]) for name in released})
        self.layers = nn.ModuleDict({str(n): _linear(released[f"{n}.weight"]) for n in numbers})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers.values():
            x = layer(x)
        return x[:, 0]


def linears(released: Mapping[str, torch.Tensor], prefix: str, what: str) -> Linears:
    """The head whose tensors begin with `prefix`, e.g. "layers.": [B, D] -> [B]."""
    own = below(released, prefix)
    return fit(Linears(own), {f"layers.{name}": value for name, value in own.items()}, what)


def _linear(weight: torch.Tensor) -> nn.Linear:
    return nn.Linear(weight.shape[1], weight.shape[0])
