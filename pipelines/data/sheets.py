"""Contact sheets: many items on one picture, with a line or two below each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..payloads import Dataset, Item, Rejected
from . import bucketing, reading

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

PAPER, INK, FAINT = (250, 250, 248), (40, 40, 40), (120, 120, 116)
TILE, GAP, LINE, FONT = 112, 8, 14, 12
ACROSS = 8
WIDTH = GAP + ACROSS * (TILE + GAP)
Check = Callable[[], None]


def _nothing() -> None:
    """The check of a caller who cannot be interrupted."""


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """Up to `most` of them, spread over the whole."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def kept(dataset: Dataset, most: int = 64, check: Check = _nothing) -> torch.Tensor:
    """IMAGE [1, H, W, 3]: items spread over the dataset, their captions or names below."""
    rows = [(item, item.caption or item.short_name) for item in evenly(dataset.items, most)]
    return _image([(f"{len(dataset.items)} pictures{_shown(rows, dataset.items)}", rows)], check)


def left_out(rejected: Sequence[Rejected], most: int = 64, check: Check = _nothing) -> torch.Tensor:
    """IMAGE [1, H, W, 3]: items that were left out, the reasons below; grey where one cannot be decoded."""
    rows = [(out.item, out.reason) for out in evenly(rejected, most)]
    return _image([(f"{len(rejected)} left out{_shown(rows, rejected)}", rows)], check)


def by_bucket(dataset: Dataset, each: int = 8, check: Check = _nothing) -> torch.Tensor:
    """IMAGE [1, H, W, 3]: a row a bucket, with some of what is in it, cut as it is trained."""
    parts = []
    for bucket, count in bucketing.counts(dataset).items():
        rows = evenly([item for item in dataset.items if item.bucket == bucket], each)
        parts.append(
            (f"{bucket[0]} x {bucket[1]}: {count}", [(item, item.caption or item.short_name) for item in rows])
        )
    return _image(parts or [("no pictures", [])], check)


def _shown(rows: Sequence[Any], every: Sequence[Any]) -> str:
    return f", {len(rows)} of them shown" if len(rows) < len(every) else ""


def _image(parts: Sequence[tuple[str, Sequence[tuple[Item, str]]]], check: Check) -> torch.Tensor:
    import numpy as np
    import torch

    return torch.from_numpy(np.array(drawn(parts, check)))[None].float() / 255


def drawn(parts: Sequence[tuple[str, Sequence[tuple[Item, str]]]], check: Check = _nothing) -> Image:
    """Headings, and below each its items in rows."""
    from PIL import Image, ImageDraw

    deep, high = TILE + 3 * LINE + GAP, 2 * LINE + GAP
    height = GAP + sum(high + -(-len(rows) // ACROSS) * deep for _, rows in parts)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    pen, top = ImageDraw.Draw(sheet), GAP
    for heading, rows in parts:
        pen.text((GAP, top), heading, fill=INK, font_size=FONT + 4)
        top += high
        for number, (item, words) in enumerate(rows):
            check()
            x, y = GAP + number % ACROSS * (TILE + GAP), top + number // ACROSS * deep
            sheet.paste(_tile(item), (x, y))
            for line, text in enumerate(_lines(pen, words)):
                pen.text((x, y + TILE + 2 + line * LINE), text, fill=FAINT, font_size=FONT)
        top += -(-len(rows) // ACROSS) * deep
    return sheet


def _tile(item: Item) -> Image:
    """A picture as it is trained, scaled into the tile."""
    from PIL import Image

    tile = Image.new("RGB", (TILE, TILE), PAPER)
    try:
        rgb = reading.pixels(item)
    except reading.Unreadable:
        tile.paste((205, 205, 200), (0, 0, TILE, TILE))
        return tile
    wide, high = item.bucket or (rgb.shape[1], rgb.shape[0])
    scale = TILE / max(wide, high)
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    tile.paste(Image.fromarray(reading.cut(rgb, *size, "centre")), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return tile


def _lines(pen: Any, words: str, most: int = 3) -> list[str]:
    """Words broken to the width of a tile; what the font has no letter for is a question mark."""
    plain = "".join(letter if ord(letter) < 0x250 else "?" for letter in words)
    lines = [""]
    for word in plain.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or pen.textlength(longer, font_size=FONT) <= TILE:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} ..."
            break
    return [_fitting(pen, line) for line in lines]


def _fitting(pen: Any, line: str) -> str:
    while pen.textlength(line, font_size=FONT) > TILE:
        line = line[:-1]
    return line
