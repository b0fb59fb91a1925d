"""Lines of a text and their size, so that they fill a box. No picture, no font file: widths come from a function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

PLACES = ("bottom", "top", "middle", "below")  # below: the picture grows by the text's height
WIDE = r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"
# May not begin a line (the rules of W3C's Requirements for Chinese Text Layout, section 3.1.3.2).
CLOSING = "，。！？；：、）】》」』”’…,.!?;:)]}%"
LEADING = 1.25  # from line to line, in sizes

Width = Callable[[str, int], float]  # of a text at a size, in pixels


@dataclass(frozen=True)
class Lines:
    """size: of the font, in pixels."""

    size: int
    lines: tuple[str, ...]

    @property
    def height(self) -> float:
        return self.size * (1 + LEADING * (len(self.lines) - 1)) if self.lines else 0.0


def pieces(line: str) -> list[str]:
    """What a line may be broken between: words with the space before them, and single wide characters."""
    found: list[str] = []
    for piece in re.findall(rf"\s*{WIDE}|\s*(?:(?!{WIDE})\S)+", line):
        if found and piece.strip()[:1] in CLOSING and not piece[:1].isspace():
            found[-1] += piece
        else:
            found.append(piece)
    return found


def wrapped(text: str, size: int, wide: float, width: Width) -> tuple[str, ...] | None:
    """Lines no wider than `wide`; None when one piece alone is wider. A line break of the text stays one."""
    out: list[str] = []
    for line in text.strip().splitlines() or [""]:
        now = ""
        for piece in pieces(line):
            if width((now + piece).strip(), size) <= wide:
                now += piece
                continue
            if width(piece.strip(), size) > wide:
                return None
            if now.strip():
                out.append(now.strip())
            now = piece
        out.append(now.strip())
    return tuple(out)


def balanced(text: str, size: int, wide: float, width: Width) -> tuple[str, ...] | None:
    """As `wrapped`, in as many lines, the longest of them as short as it can be."""
    best = wrapped(text, size, wide, width)
    if best is None:
        return None
    low, high = wide / 2, wide
    while high - low > size / 4:
        middle = (low + high) / 2
        found = wrapped(text, size, middle, width)
        if found is not None and len(found) <= len(best):
            best, high = found, middle
        else:
            low = middle
    return best


def fitted(text: str, wide: float, high: float, width: Width, smallest: int = 6) -> Lines | None:
    """The largest size at which the text fits into the box; None when even the smallest does not."""
    low, top, best = smallest, max(smallest, int(high)), None
    while low <= top:
        size = (low + top) // 2
        lines = wrapped(text, size, wide, width)
        if lines is not None and Lines(size, lines).height <= high:
            best, low = Lines(size, lines), size + 1
        else:
            top = size - 1
    if best is None:
        return None
    return Lines(best.size, balanced(text, best.size, wide, width) or best.lines)
