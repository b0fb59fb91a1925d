"""Judges of pictures by a formula: no weights, nothing to download."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from ..payloads import Discriminator, JudgeSpec
from . import formulas
from .judge import Beside, Judge


class Row(NamedTuple):
    """function: pictures [B, 3, H, W] in 0..1 to scores [B]; unit and note as in JudgeSpec."""

    function: Callable[[torch.Tensor], torch.Tensor]
    unit: str
    note: str


TABLE = {
    "sharpness": Row(formulas.sharpness, "log energy", "edges against contrast; a texture counts as sharp"),
    "exposure": Row(formulas.exposure, "0 to 1", "mid tones against black and white; says nothing of taste"),
    "colourfulness": Row(formulas.colourfulness, "M", "0 for grey, about 33 moderate, 109 extreme"),
    "regularity": Row(formulas.regularity, "dB", "grids of 2, 4 or 8 pixels as generators leave them; 0 is none"),
}


def spec(name: str) -> JudgeSpec:
    row = TABLE[name]
    return JudgeSpec(id=name, licence="Apache-2.0", unit=row.unit, note=row.note)


class ClosedForm(Judge):
    def __init__(self, discriminator: Discriminator) -> None:
        self.spec, self.function = discriminator.spec, TABLE[discriminator.kind].function

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        return self.function(x)


def open_judge(discriminator: Discriminator) -> ClosedForm:
    return ClosedForm(discriminator)
