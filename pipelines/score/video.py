"""Judges of a video's motion, by formula: its frames [F, 3, H, W] in 0..1 are one item and get one score [1].

After the dimensions of VBench (Huang et al. 2023, arXiv 2311.17982), each without a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .formulas import luma
from .judge import Beside, Judge

COARSE, FINE = 32, 256  # pixels of the shorter side, for flicker and for motion
CELLS, ANGLES = 8, 8  # of the descriptor


def smaller(x: torch.Tensor, side: int) -> torch.Tensor:
    """Frames whose shorter side is at most `side`, filtered against aliasing."""
    short = min(x.shape[-2:])
    if short <= side:
        return x
    size = [max(1, round(n * side / short)) for n in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def in_parts(x: torch.Tensor, side: int, check_interrupt: Callable[[], None]) -> torch.Tensor:
    """`smaller` of many frames, a few at a time."""
    parts = []
    for part in x.split(16):
        check_interrupt()
        parts.append(smaller(part, side))
    return torch.cat(parts)


def flicker(x: torch.Tensor, check_interrupt: Callable[[], None]) -> float:
    """Minus the mean second difference in time of tiny frames, in levels of 0..255: even change is none, a flash is much."""
    small = 255 * in_parts(x, COARSE, check_interrupt)
    return -float((small[1:-1] - (small[:-2] + small[2:]) / 2).abs().mean())


def _grey(x: torch.Tensor, check_interrupt: Callable[[], None]) -> list[np.ndarray]:
    """Frames as uint8 [H, W]."""
    small = luma(in_parts(x, FINE, check_interrupt))[:, 0]
    return list((255 * small.clamp(0, 1)).round().byte().cpu().numpy())


def _flows(frames: list[np.ndarray], apart: int, check_interrupt: Callable[[], None]) -> Iterator[np.ndarray]:
    """Motion [H, W, 2] in pixels from each frame to the one `apart` further, by dense inverse search (Kroeger et al. 2016)."""
    import cv2

    flows: Any = cv2
    search = flows.DISOpticalFlow_create(flows.DISOPTICAL_FLOW_PRESET_FAST)
    for before, after in zip(frames, frames[apart:]):
        check_interrupt()
        yield search.calc(before, after, None)


def smoothness(x: torch.Tensor, check_interrupt: Callable[[], None]) -> float:
    """Minus the mean difference, in levels of 0..255, between every frame and the one half-way between its neighbours.

    Half-way by moving both neighbours along half of the motion between them; VBench asks a network for it.
    """
    import cv2

    frames = _grey(x, check_interrupt)
    rows, columns = np.mgrid[: frames[0].shape[0], : frames[0].shape[1]].astype(np.float32)
    errors = []
    for i, flow in enumerate(_flows(frames, 2, check_interrupt)):
        ways = [(-0.5, frames[i]), (0.5, frames[i + 2])]
        moved = [
            cv2.remap(
                frame.astype(np.float32),
                columns + way * flow[..., 0],
                rows + way * flow[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for way, frame in ways
        ]
        errors.append(float(np.abs((moved[0] + moved[1]) / 2 - frames[i + 1]).mean()))
    return -float(np.mean(errors))


def dynamic(x: torch.Tensor, check_interrupt: Callable[[], None]) -> float:
    """The motion of the fastest twentieth of the pixels, in percent of the diagonal a frame, the mean over the video."""
    frames = _grey(x, check_interrupt)
    diagonal = math.hypot(*frames[0].shape)
    found = []
    for flow in _flows(frames, 1, check_interrupt):
        speed = np.sort(np.hypot(flow[..., 0], flow[..., 1]).ravel())
        found.append(float(speed[-max(1, len(speed) // 20) :].mean()))
    return 100 * float(np.mean(found)) / diagonal


def descriptor(x: torch.Tensor) -> torch.Tensor:
    """Coarse look of pictures [F, 3, H, W]: unit vectors [F, 8 x 8 x (8 + 3)] of edge directions and colours by cell.

    Histograms of oriented gradients (Dalal and Triggs 2005) without blocks, each picture's as long as its colours.
    """
    x = smaller(x, 128)
    grey = luma(x)
    dy, dx = (torch.gradient(grey, dim=axis)[0] for axis in (2, 3))
    size, angle = torch.hypot(dx, dy), torch.atan2(dy, dx).remainder(math.pi) / math.pi * ANGLES
    # Each pixel's edge is shared between the two nearest of the directions, which go round.
    away = torch.stack([(angle - k).abs() for k in range(ANGLES)])
    bins = (size * (1 - torch.minimum(away, ANGLES - away)).clamp_min(0))[:, :, 0].transpose(0, 1)
    edges = F.normalize(F.adaptive_avg_pool2d(bins, CELLS).flatten(1), dim=1)
    colours = F.adaptive_avg_pool2d(x, CELLS)
    colours = F.normalize((colours - 0.5).flatten(1), dim=1)
    return F.normalize(torch.cat([edges, colours], dim=1), dim=1)


def consistent(features: torch.Tensor) -> float:
    """How alike unit features [F, D] stay: the mean over frames of the cosines with the first and the one before."""
    first, before = features[1:] @ features[0], (features[1:] * features[:-1]).sum(1)
    return float(((first + before) / 2).mean())


def subject(x: torch.Tensor, check_interrupt: Callable[[], None]) -> float:
    """`consistent` of the coarse look."""
    parts = []
    for part in x.split(16):
        check_interrupt()
        parts.append(descriptor(part))
    return consistent(torch.cat(parts))


class Row(NamedTuple):
    """function: of frames and an interrupt check; least: frames it needs; unit and note as in JudgeSpec."""

    function: Callable[[torch.Tensor, Callable[[], None]], float]
    least: int
    unit: str
    note: str


TABLE = {
    "flicker": Row(flicker, 3, "levels", "brightness and colour that jump to and fro; 0 is none"),
    "motion-smoothness": Row(smoothness, 3, "levels", "frames against their neighbours moved half-way; 0 is perfect"),
    "subject-consistency": Row(subject, 2, "cosine", "edges and colours that stay as in the first frame, coarsely"),
    "dynamic-degree": Row(dynamic, 2, "% of diagonal", "how much moves: more is more motion, not more beauty"),
}


def spec(name: str) -> JudgeSpec:
    row = TABLE[name]
    return JudgeSpec(
        id=name,
        licence="Apache-2.0",
        modality="video",
        unit=row.unit,
        differentiable=False,
        note=row.note,
    )


class Motion(Judge):
    def __init__(self, name: str) -> None:
        self.spec, self.row = spec(name), TABLE[name]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        if len(x) < self.row.least:
            raise AigcError(
                f"Expected at least {self.row.least} frames for {self.spec.id}, got {len(x)}: connect a video's frames as one "
                "batch."
            )
        return torch.tensor([self.row.function(x, beside.check_interrupt)])


def open_judge(discriminator: Discriminator) -> Motion:
    return Motion(discriminator.kind)
