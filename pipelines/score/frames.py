"""A judge of pictures over the frames of a video: one score for all of them, their mean or the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import Discriminator
from .judge import Beside, Judge

HOW = ("mean", "worst")


def over_frames(judge: Discriminator, how: str) -> Discriminator:
    """The judge of pictures as a judge of video. Raises AigcError for a judge of anything else."""
    if judge.spec.modality != "image" or how not in HOW:
        raise AigcError(
            f"Expected a judge of pictures and mean or worst over frames, got {judge.spec.id} ({judge.spec.modality}) and {how!r}: "
            "set frames to each."
        )
    spec = replace(judge.spec, id=f"{judge.spec.id} ({how} of frames)", modality="video", differentiable=False)
    # The calibration is of single pictures; the mean and the worst of many lie otherwise.
    return Discriminator(spec, "frames", parts=((judge, float(HOW.index(how))),))


class OverFrames(Judge):
    def __init__(self, discriminator: Discriminator, judge: Judge) -> None:
        self.spec, self.judge = discriminator.spec, judge
        self.how = HOW[int(discriminator.parts[0][1])]

    def parts(self) -> list[nn.Module]:
        return self.judge.parts()

    def raw(self, logit: torch.Tensor) -> torch.Tensor:
        return self.judge.raw(logit)

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        weights = next((p for part in self.parts() for p in part.parameters()), None)
        device = x.device if weights is None else weights.device
        found = []
        for start in range(0, len(x), self.judge.chunk):
            beside.check_interrupt()
            part = x[start : start + self.judge.chunk].to(device)
            reference = beside.reference
            if reference is not None:
                reference = (reference if len(reference) == 1 else reference[start : start + len(part)]).to(device)
            found.append(self.judge.judged(part, Beside(None, list(beside.prompts) * len(part), reference)))
        scores = torch.cat(found)
        return (scores.mean() if self.how == "mean" else scores.min())[None]


def open_judge(discriminator: Discriminator, judges: Sequence[Judge]) -> OverFrames:
    return OverFrames(discriminator, judges[0])
