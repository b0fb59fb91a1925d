"""Words drawn onto pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AigcError
from . import fonts
from .layout import LEADING, PLACES, Lines, balanced, fitted

if TYPE_CHECKING:
    import torch

BACKS = ("outline", "band", "none")
MARGIN = 0.06  # of the shorter side, on each side of the text
SAMPLES = 4  # the picture's pixels are looked at every so many, for light or dark


@dataclass(frozen=True)
class Style:
    """place: of PLACES. share: the most of the picture's height that the text takes, 0..1. size: pixels, 0 fits the text.

    colour: a name or #rrggbb; "auto" is black on light and white on dark. back: of BACKS. font: as `fonts.chosen` takes it.
    one_per_line: line n of the text goes on picture n, and pictures beyond the last line stay as they are.
    """

    place: str = PLACES[0]
    share: float = 0.3
    size: int = 0
    colour: str = "auto"
    back: str = BACKS[0]
    font: str = ""
    one_per_line: bool = False

    def __post_init__(self) -> None:
        if self.place not in PLACES or self.back not in BACKS:
            raise AigcError(
                f"Expected a place of {', '.join(PLACES)} and a back of {', '.join(BACKS)}, got '{self.place}' and '{self.back}': "
                "choose of these."
            )


def lettered(pictures: torch.Tensor, text: str, style: Style, own: Iterable[Path] = ()) -> torch.Tensor:
    """The text on each of the pictures [B, H, W, C] in 0..1. own: folders of fonts. The same pictures for a text that is empty.

    Raises AigcError when the text does not fit, a character has no font, or a colour is none.
    """
    import torch

    if not text.strip():
        return pictures
    texts = text.strip().splitlines() if style.one_per_line else [text] * len(pictures)
    texts += [""] * (len(pictures) - len(texts))
    height = None
    if style.place == "below":  # all strips are as high as the highest
        height = max(_block(p, t, style, tuple(own)) for p, t in zip(pictures, texts))
    return torch.stack([_one(p, t, style, tuple(own), height) for p, t in zip(pictures, texts)])


def _block(picture: torch.Tensor, text: str, style: Style, own: tuple[Path, ...]) -> int:
    """How high the text is with its margins, in pixels."""
    height, width, _ = picture.shape
    margin = round(MARGIN * min(height, width))
    if not text.strip():
        return 0
    return round(_lines(text, style, own, width - 2 * margin, style.share * height)[0].height) + 2 * margin


def _one(picture: torch.Tensor, text: str, style: Style, own: tuple[Path, ...], strip: int | None) -> torch.Tensor:
    """strip: the height of what is added below, where something is."""
    import numpy as np
    import torch
    from PIL import Image, ImageDraw

    if not text.strip() and strip is None:
        return picture
    height, width, _ = picture.shape
    margin = round(MARGIN * min(height, width))
    lines, font = (
        (Lines(0, ()), None) if not text.strip() else _lines(text, style, own, width - 2 * margin, style.share * height)
    )
    image = Image.fromarray((picture[..., :3].clamp(0, 1) * 255).round().byte().cpu().numpy())
    block = round(lines.height) + 2 * margin
    if strip is not None:
        image, top = _grown(image, strip), height + (strip - block) // 2
    else:
        top = {"top": 0, "middle": (height - block) // 2, "bottom": height - block}[style.place]
    ink, other = _colours(image, top, block, style.colour)
    drawing = ImageDraw.Draw(image, "RGBA")
    if style.back == "band" and style.place != "below":
        drawing.rectangle((0, top, width, top + block), fill=(*other, 170))
    outline = max(1, round(lines.size / 14)) if style.back == "outline" and style.place != "below" else 0
    for number, line in enumerate(lines.lines):
        y = top + margin + lines.size * (0.5 + LEADING * number)
        drawing.text((width / 2, y), line, fill=ink, font=font, anchor="mm", stroke_width=outline, stroke_fill=other)
    found = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).to(picture)
    if picture.shape[-1] == 4:
        opaque = torch.ones_like(found[..., :1])
        opaque[:height] = torch.maximum(
            picture[..., 3:], (found[:height] != picture[..., :3]).any(-1, keepdim=True).to(picture)
        )
        found = torch.cat([found, opaque], -1)
    return found


def _lines(text: str, style: Style, own: tuple[Path, ...], wide: float, high: float) -> tuple[Lines, Any]:
    path = fonts.chosen(text, style.font, own)

    def measure(line: str, size: int) -> float:
        return fonts.opened(path, size).getlength(line)

    if style.size:
        given = balanced(text, style.size, wide, measure)
        lines = Lines(style.size, given) if given else None
        if lines and style.place != "below" and lines.height > high / max(style.share, 1e-6):
            lines = None
    else:
        lines = fitted(text, wide, high, measure)
    if lines is None:
        raise AigcError(
            f"Expected a text that fits {round(wide)} x {round(high)} pixels, got {len(text)} characters"
            f"{f' at {style.size} pixels' if style.size else ''}: shorten it, take a larger share or picture, or a smaller size."
        )
    return lines, fonts.opened(path, lines.size)


def _grown(image: Any, block: int) -> Any:
    """The picture with a strip below it, in the colour of its lowest row."""
    import numpy as np
    from PIL import Image

    row = np.median(np.asarray(image)[-1], axis=0)
    grown = Image.new("RGB", (image.width, image.height + block), tuple(int(v) for v in row))
    grown.paste(image, (0, 0))
    return grown


def _colours(image: Any, top: int, block: int, wanted: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(of the words, of what is around them)."""
    import numpy as np
    from PIL import ImageColor

    black, white = (16, 16, 16), (250, 250, 250)
    if wanted.strip().lower() in ("", "auto"):
        under = np.asarray(image.convert("L"))[max(0, top) : top + block : SAMPLES, ::SAMPLES]
        return (black, white) if under.mean() > 127 else (white, black)
    try:
        red, green, blue = ImageColor.getcolor(wanted.strip(), "RGB")[:3]  # type: ignore[misc]
    except ValueError as error:
        raise AigcError(f"Expected a colour such as white, #ff8800 or auto, got '{wanted}': change it.") from error
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 127
    return (red, green, blue), black if light else white
