"""How many words or characters of a sentence a transcript has wrong, after both are written alike.

Rules for both sides: figures become words by this pack's own writers of numbers, small letters, no punctuation, hyphens are
spaces, spellings that sound alike are one (SAME), spaces of Chinese are left out. Where the sentence has a time, a
transcript's 5.45 and 605am are times too. Of Chinese a character is right when it shares a reading, tone included, with
the one that was said: sound cannot tell 坐 from 做, and a transcript may choose traditional characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache

# What a transcript may write otherwise for the same sound.
SAME = {
    "colour": "color", "grey": "gray", "neighbours": "neighbors", "favourite": "favorite", "metres": "meters", "litre": "liter",
    "okay": "ok", "st": "saint", "mr": "mister", "mrs": "missus", "dr": "doctor", "prof": "professor", "vs": "versus",
    "kilometres": "kilometers", "millilitres": "milliliters", "jonathon": "jonathan", "etc": "et cetera", "margret": "margaret",
    "percent": "percent", "per cent": "percent", "a.m": "am", "p.m": "pm", "ceo": "c e o", "fbi": "f b i", "usb": "u s b",
    "tv": "t v", "us": "u s", "am": "a m", "pm": "p m",
}  # fmt: skip


def words(text: str) -> list[str]:
    """An English sentence in words, written one way."""
    from pipelines.speech.spoken import english

    said = english.spoken(text).lower().replace("-", " ").replace("oh clock", "o'clock")
    found = re.findall(r"[a-z]+(?:'[a-z]+)?", said)
    return " ".join(SAME.get(word, word) for word in found).split()


def as_times(text: str) -> str:
    """7.30 and 605am as 7:30 and 6:05 am."""
    text = re.sub(r"\b(\d{1,2})\.(\d{2})\b", r"\1:\2", text)
    return re.sub(r"\b(\d{1,2})(\d{2}) ?([ap])\.?m\b", r"\1:\2 \3m", text)


def wrong_words(spoken: str, transcript: str) -> tuple[int, int]:
    """Wrong words of an English sentence, and how many it has."""
    expected = words(spoken)
    readings = [transcript] if " point " in spoken else [transcript, as_times(transcript)]
    return min(distance(expected, words(reading)) for reading in readings), len(expected)


def wrong_characters(spoken: str, transcript: str) -> tuple[int, int]:
    """Wrong characters of a Chinese sentence by their readings, and how many it has."""
    expected = characters(spoken)
    readings = [transcript] if "点" in spoken and "分" not in spoken else [transcript, as_times(transcript)]
    return min(distance(expected, characters(reading), _sound_alike) for reading in readings), len(expected)


def characters(text: str) -> list[str]:
    """A Chinese sentence in characters, its figures in words."""
    from pipelines.speech.spoken import mandarin

    return [letter for letter in mandarin.spoken(re.sub(r"(?<=[点:]\d\d)分", "", text)).lower() if letter.isalnum()]


def _sound_alike(a: str, b: str) -> bool:
    return a == b or bool(_readings(a) & _readings(b))


@cache
def _readings(letter: str) -> frozenset[str]:
    return frozenset(_dictionary().get(str(ord(letter)), letter).split(","))


@cache
def _dictionary() -> dict[str, str]:
    """Readings by a character's number, of the package that speech takes them from."""
    from pipelines.speech import data

    from .round_trip import roots

    return json.loads((data.chinese(roots()) / "pinyin_dict.json").read_text("utf-8"))


def distance(a: Sequence[str], b: Sequence[str], same: Callable[[str, str], bool] = str.__eq__) -> int:
    """Least number of insertions, deletions and replacements (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (not same(x, y)))
    return row[-1]
