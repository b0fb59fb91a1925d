"""The course of a judge's training as a picture: the loss while it runs, the held-out AUC when it is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from .training import Report

SIZE = (640, 360)
PAPER, INK, FAINT, LINE, POINTS = (250, 250, 248), (40, 40, 40), (210, 210, 205), (196, 78, 52), (46, 110, 160)
TOP, BOTTOM, LEFT, RIGHT = 44, 40, 52, 20
GUESSING = math.log(2)


def smoothed(loss: Sequence[tuple[int, float]], points: int = 160) -> list[tuple[int, float]]:
    """The mean of each of `points` equal parts, so that a long run is a line and not a cloud."""
    part = max(1, len(loss) // points)
    groups = [loss[i : i + part] for i in range(0, len(loss), part)]
    return [(group[-1][0], sum(v for _, v in group) / len(group)) for group in groups if group]


def drawn(report: Report) -> Image:
    """Left the loss in nats by step, log 2 (guessing) marked; right, once examined, the AUC at each noise level."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    middle = SIZE[0] * 3 // 5 if report.auc else SIZE[0]
    _loss(pen, smoothed(report.loss), (LEFT, TOP, middle - RIGHT, SIZE[1] - BOTTOM))
    if report.auc:
        _areas(pen, report.auc, (middle + LEFT, TOP, SIZE[0] - RIGHT, SIZE[1] - BOTTOM))
    return image


def image(report: Report) -> torch.Tensor:
    """The same as an IMAGE [1, H, W, 3] in 0..1."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(drawn(report)))[None].float() / 255


def _frame(pen: Any, box: tuple[int, int, int, int], title: str, low: str, high: str) -> None:
    left, top, right, bottom = box
    pen.line([(left, top), (left, bottom), (right, bottom)], fill=INK)
    pen.text((left, top - 26), title, fill=INK, font_size=15)
    for words, y in ((high, top), (low, bottom)):
        pen.text((left - 6, y), words, fill=INK, anchor="rm", font_size=12)


def _loss(pen: Any, line: Sequence[tuple[int, float]], box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    most = max([GUESSING * 1.15, *(v for _, v in line)])
    steps = max(1, line[-1][0]) if line else 1

    def at(step: float, value: float) -> tuple[float, float]:
        return left + (right - left) * step / steps, bottom - (bottom - top) * value / most

    _frame(pen, box, "loss (nats)", "0", f"{most:.2f}")
    pen.line([at(0, GUESSING), at(steps, GUESSING)], fill=FAINT)
    pen.text(at(steps, GUESSING), "guessing", fill=INK, anchor="rb", font_size=12)
    pen.text((right, bottom + 8), f"step {steps}", fill=INK, anchor="ra", font_size=12)
    if len(line) > 1:
        pen.line([at(*point) for point in line], fill=LINE, width=2)


def _areas(pen: Any, areas: Sequence[tuple[float, float]], box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    _frame(pen, box, "held-out AUC by noise", "0.5", "1.0")
    width = (right - left) / len(areas)
    for index, (sigma, area) in enumerate(areas):
        x, y = left + width * (index + 0.5), bottom - (bottom - top) * (max(area, 0.5) - 0.5) / 0.5
        pen.rectangle([x - width * 0.32, y, x + width * 0.32, bottom], fill=POINTS)
        pen.text((x, bottom + 8), f"{sigma:g}", fill=INK, anchor="ma", font_size=12)
        pen.text((x, y - 3), f"{area:.2f}", fill=INK, anchor="mb", font_size=12)
