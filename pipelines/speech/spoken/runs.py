"""A text in runs of English and of Chinese. Digits and signs belong to the words around them."""

from __future__ import annotations

import re
from typing import NamedTuple

from .letters import HAN

_HAN = re.compile(f"[{HAN}]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
# Letters that are a number's unit say nothing of the language around it.
_UNIT = re.compile(
    r"(?<=\d)\s?(?:km/h|m/s|km²|m²|m³|°C|°F|℃|℉|[kcmµn]?m|[kcm]?m[23]|[km]?g|m?[lL]|[kKMGT]B|[kKM]?[wW]h?|[kMG]?Hz|mAh|[kKM]?[vV]|"
    r"min|[hs]|px|dB|fps|rpm|kPa|ppm)(?![A-Za-z])"
)


class Run(NamedTuple):
    """language: "en" or "zh"."""

    language: str
    text: str


def languages(text: str) -> tuple[int, int]:
    """How many English words and Chinese characters a text has."""
    return len(re.findall(r"[A-Za-z\u00c0-\u024f]+", text)), len(_HAN.findall(text))


def runs(text: str, language: str = "auto") -> list[Run]:
    """The runs of a text in their order; together they are the text.

    What has no letters goes with what stands before it in its sentence, else with what follows, else with `language`.
    """
    english, chinese = languages(text)
    fallback = language if language in ("en", "zh") else "zh" if chinese > english else "en"
    units = {place for found in _UNIT.finditer(text) for place in range(*found.span())}
    marks = [_mark(letter, number in units) for number, letter in enumerate(text)]
    for digits in re.finditer(rf"\d[\d.,]*(?=[{HAN}])", text):
        marks[digits.start() : digits.end()] = ["zh"] * len(digits[0])  # 3个 is Chinese, whatever stands before it
    if language in ("en", "zh"):
        marks = [mark or language if letter.isdigit() else mark for mark, letter in zip(marks, text)]
    known = _filled(text, marks, fallback)
    found: list[Run] = []
    begin = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or known[place] != known[begin]:
            found.append(Run(known[begin], text[begin:place]))
            begin = place
    return found


def _mark(letter: str, unit: bool) -> str:
    if _HAN.match(letter) or letter in "，。！？；：、《》「」『』【】（）":
        return "zh"
    return "en" if _LATIN.match(letter) and not unit else ""


def _filled(text: str, marks: list[str], fallback: str) -> list[str]:
    """Each letter's language: its own, the one before it in its sentence, the one after it there, the fallback."""
    known, last = list(marks), ""
    for place, mark in enumerate(marks):
        if _ends(text, place):
            last = ""
        last = mark or last
        known[place] = mark or last
    following = ""
    for place in range(len(known) - 1, -1, -1):
        known[place] = known[place] or following or fallback
        following = "" if _ends(text, place) else known[place]
    return known


def _ends(text: str, place: int) -> bool:
    """Whether a sentence is over here; a full stop inside a number or an abbreviation is none."""
    if text[place] in "\n。！？!?":
        return True
    return text[place] == "." and not text[place + 1 : place + 2].strip()
