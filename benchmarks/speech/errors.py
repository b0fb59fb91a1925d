"""How many words or characters of a sentence a transcript has wrong, after both are written alike.

Rules for both sides: figures become words by this pack's own writers of numbers, small letters, no punctuation, hyphens are
spaces, spellings that sound alike are one (SAME), Chinese pronouns of one sound are one, spaces of Chinese are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What a transcript may write otherwise for the same sound.
SAME = {
    "colour": "color", "grey": "gray", "neighbours": "neighbors", "favourite": "favorite", "metres": "meters", "litre": "liter",
    "okay": "ok", "st": "saint", "mr": "mister", "mrs": "missus", "dr": "doctor", "prof": "professor", "vs": "versus",
    "kilometres": "kilometers", "millilitres": "milliliters", "jonathon": "jonathan", "etc": "et cetera", "margret": "margaret",
    "percent": "percent", "per cent": "percent", "a.m": "am", "p.m": "pm", "ceo": "c e o", "fbi": "f b i", "usb": "u s b",
    "tv": "t v", "us": "u s", "am": "a m", "pm": "p m",
}  # fmt: skip
ALIKE = str.maketrans("她它牠妳的地得做裡裏", "他他他你的的的作里里")


def words(text: str) -> list[str]:
    """An English sentence in words, written one way."""
    from pipelines.speech.spoken import english

    said = english.spoken(text).lower().replace("-", " ").replace("oh clock", "o'clock")
    found = re.findall(r"[a-z]+(?:'[a-z]+)?", said)
    return " ".join(SAME.get(word, word) for word in found).split()


def characters(text: str) -> list[str]:
    """A Chinese sentence in characters, written one way."""
    from pipelines.speech.spoken import mandarin

    said = mandarin.spoken(re.sub(r"(?<=\d)\s*,\s*(?=\d{4})", "", text)).translate(ALIKE)
    return [letter for letter in said.lower() if letter.isalnum()]


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Least number of insertions, deletions and replacements (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]
