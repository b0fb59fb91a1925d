"""`natural`: is this a photograph as cameras take them, or blurred, noisy, blocky, banded, gridded, sharpened too far?

Our own head on BRISQUE's 36 features; fitted by `training.natural.fit`, whose card says on what and how well.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .judge import Beside, Judge
from .scene_statistics import LEAST, brisque_features

FILE = Path(__file__).with_name("natural_head.json")
HIDDEN = 16
BOUND = 4.0  # standard deviations: a feature that is further out than any seen must not decide alone
VARIANCES = [1, *(2 + 4 * i + k for i in range(4) for k in (2, 3))]  # their places among a scale's 18 features


class Head(NamedTuple):
    """Features [B, 36] to the logit of "natural" [B]: evened, standardised, one hidden layer of tanh."""

    mean: torch.Tensor  # [36]
    std: torch.Tensor  # [36]
    weight: torch.Tensor  # [HIDDEN, 36]
    bias: torch.Tensor  # [HIDDEN]
    out: torch.Tensor  # [HIDDEN]
    offset: torch.Tensor  # []

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        mean, std, weight, bias, out, offset = (v.to(features) for v in self)
        x = ((even(features) - mean) / std).clamp(-BOUND, BOUND)
        return torch.tanh(x @ weight.T + bias) @ out + offset


def even(features: torch.Tensor) -> torch.Tensor:
    """Variances as logarithms: they spread over orders of magnitude."""
    places = torch.zeros(36, dtype=torch.bool, device=features.device)
    places[[*VARIANCES, *(18 + v for v in VARIANCES)]] = True
    return torch.where(places, (features.clamp_min(0) + 1e-4).log(), features)


@lru_cache(maxsize=1)
def figures() -> dict[str, Any]:
    """What the fit wrote: head, calibration, scores of held-out photographs, the law of the spectrum."""
    return json.loads(FILE.read_text("utf-8"))


SPEC = JudgeSpec(
    id="natural",
    licence="Apache-2.0",
    note="photographs against spoiled ones (blur, noise, JPEG, grids); a drawing is no photograph and says little",
)


def discriminator(name: str) -> Discriminator:
    """The judge with its calibration."""
    found = figures()
    a, b = found["calibration"]
    return Discriminator(SPEC, name, calibration=(a, b), real=tuple(found["real"]))


class Natural(Judge):
    spec = SPEC

    def __init__(self) -> None:
        self.head = Head(*(torch.tensor(figures()["head"][name]) for name in Head._fields))

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        if min(x.shape[-2:]) < LEAST:
            raise AigcError(
                f"Expected pictures of at least {LEAST} pixels a side for {self.spec.id}, got {list(x.shape[-2:])}: use larger "
                "ones."
            )
        return self.head(brisque_features(x))


def open_judge(discriminator: Discriminator) -> Natural:
    return Natural()
