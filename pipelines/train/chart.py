"""A run as a picture: its losses, its held-out figure, and samples; drawn while it goes and for the outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import metrics

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from .run import Sitting

Points = Sequence[tuple[int, float]]
PAPER, INK, FAINT = (250, 250, 248), (40, 40, 40), (214, 214, 209)
LINES = ((196, 78, 52), (46, 110, 160), (88, 140, 70), (140, 96, 160), (190, 140, 40), (90, 90, 90))
WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 480, 200, 56, 14, 30, 30
SIDE = 400


def smoothed(points: Points, most: int = 160) -> list[tuple[int, float]]:
    """The mean of each of `most` equal parts, so that a long run is a line and not a cloud."""
    part = max(1, len(points) // most)
    groups = [points[i : i + part] for i in range(0, len(points), part)]
    return [(group[-1][0], sum(v for _, v in group) / len(group)) for group in groups if group]


def panel(title: str, lines: Mapping[str, Points]) -> Image:
    """One chart of several courses with a common scale, logarithmic when all are positive and span much."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDE, HIGH), PAPER)
    pen = ImageDraw.Draw(image)
    drawn = {name: smoothed(points) for name, points in lines.items() if points}
    values = [v for points in drawn.values() for _, v in points] or [0.0, 1.0]
    logarithmic = min(values) > 0 and max(values) > 30 * min(values)

    def height(value: float) -> float:
        return math.log10(value) if logarithmic else value

    low, high = height(min(values)), height(max(values))
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-9 else (low, high)
    last = max([1, *(points[-1][0] for points in drawn.values())])

    def at(step: float, value: float) -> tuple[float, float]:
        share = (height(value) - low) / (high - low)
        return LEFT + (WIDE - LEFT - RIGHT) * step / last, HIGH - BOTTOM - (HIGH - BOTTOM - TOP) * share

    pen.text((LEFT, 8), title + (" (logarithmic)" if logarithmic else ""), fill=INK, font_size=13)
    for value in (min(values), max(values)):
        y = at(0, value)[1]
        pen.line([(LEFT, y), (WIDE - RIGHT, y)], fill=FAINT)
        pen.text((LEFT - 6, y), f"{value:.3g}", fill=INK, anchor="rm", font_size=11)
    pen.text((WIDE - RIGHT, HIGH - 8), f"step {last}", fill=INK, anchor="rb", font_size=11)
    place = LEFT
    for number, (name, points) in enumerate(drawn.items()):
        colour = LINES[number % len(LINES)]
        line = [at(*point) for point in points]
        if len(line) > 1:
            pen.line(line, fill=colour, width=2)
        else:
            pen.ellipse([line[0][0] - 2, line[0][1] - 2, line[0][0] + 2, line[0][1] + 2], fill=colour)
        pen.text((place, HIGH - 8), name, fill=colour, anchor="lb", font_size=11)
        place += pen.textlength(name, font_size=11) + 12
    return image


def grid(pictures: torch.Tensor, side: int = SIDE) -> Image:
    """Pictures [N, H, W, 3] in 0..1 as a square of rows, `side` pixels wide, each enlarged by whole pixels where it can be."""
    from PIL import Image

    count = max(1, math.ceil(math.sqrt(len(pictures))))
    rows = math.ceil(len(pictures) / count)
    height, width = pictures.shape[1:3]
    sheet = Image.new("RGB", (count * width, rows * height), PAPER)
    for number, picture in enumerate((pictures * 255).round().byte().cpu().numpy()):
        sheet.paste(Image.fromarray(picture), (number % count * width, number // count * height))
    factor = side / sheet.width
    filter = Image.Resampling.NEAREST if factor >= 2 else Image.Resampling.LANCZOS
    return sheet.resize((side, max(1, round(sheet.height * factor))), filter)


def charts(rows: Sequence[dict[str, Any]]) -> Image:
    """Losses, what D says, and the held-out figures, below one another."""
    from PIL import Image

    found = metrics.series(rows)
    losses = {name: points for name, points in found.items() if not name.startswith("held-out ") and name in LOSSES}
    says = {name: points for name, points in found.items() if name in SAYS}
    held = {name.removeprefix("held-out "): p for name, p in found.items() if name.startswith("held-out ")}
    held = {name: points for name, points in held.items() if name != "score" and not name.startswith("D(")}
    panels = [panel("loss", losses or {k: v for k, v in found.items() if not k.startswith("held-out ")})]
    if says:
        panels.append(panel("what D says", says))
    if held:
        panels.append(panel("on held-out data", held))
    sheet = Image.new("RGB", (WIDE, sum(p.height for p in panels)), PAPER)
    y = 0
    for one in panels:
        sheet.paste(one, (0, y))
        y += one.height
    return sheet


LOSSES = ("loss", "loss D", "loss G", "reconstruction", "KL", "adversarial")
SAYS = ("D(real)", "D(fake)", "held-out D(held-out)")


def drawn(sitting: Sitting, count: int = 16) -> Image:
    """The run so far: charts left, samples right."""
    from PIL import Image

    left, right = charts(sitting.log.rows), grid(sitting.objective.pictures(count))
    sheet = Image.new("RGB", (left.width + right.width + 12, max(left.height, right.height)), PAPER)
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + 12, 0))
    return sheet


def image(picture: Image) -> torch.Tensor:
    """A PIL picture as an IMAGE [1, H, W, 3] in 0..1."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(picture.convert("RGB")))[None].float() / 255
