"""Chinese text as the sounds that Kokoro was trained on: words first, since a character is read as its word says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from . import mandarin_words, pinyin
from .spoken.letters import HAN

MARKS = str.maketrans({
    "，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "；": ";", "：": ":", "（": "(", "）": ")", "《": "“", "》": "”",
    "「": "“", "」": "”", "『": "“", "』": "”", "【": "“", "】": "”", "．": ".", "～": "—",
})  # fmt: skip
PAUSES = ';:,.!?—…"“”()'
LONGEST = 8  # characters of a word that is looked for
Reading = tuple[str, int]  # a syllable and its tone
# Around 一 in numbers.
COUNTING, COUNTED = "第一二三四五六七八九十零百千万点年月初", "二三四五六七八九十零月一点号日"
OWN, WORDS = mandarin_words.readings(), mandarin_words.words()


class Mandarin:
    """Readings by character and by word, each with its mark: ("nǐ", "hǎo")."""

    def __init__(self, characters: Mapping[str, str], words: Mapping[str, Sequence[str]]) -> None:
        self.characters, self.words = characters, words

    def phonemes(self, text: str) -> str:
        """A text in characters and punctuation, as `spoken` gives it, in sounds. What has no reading is left out."""
        text = re.sub(r"……|\.{3}", "…", text).replace("——", "—").translate(MARKS)
        said = []
        for part in re.findall(rf"[{HAN}]+|[^{HAN}]", text):
            said.append(self._read(part) if re.match(f"[{HAN}]", part) else _mark(part))
        return "".join(said)

    def _read(self, text: str) -> str:
        words = self.split(text)
        readings = [self.reading(word) for word in words]
        flat = _sandhi("".join(words), [syllable for reading in readings for syllable in reading])
        said, place = [], 0
        for reading in readings:
            said.append("".join(_sounds(*syllable) for syllable in flat[place : place + len(reading)]))
            place += len(reading)
        return " ".join(word for word in said if word)

    def split(self, text: str) -> list[str]:
        """Words of the dictionary, the longest first, and characters between them."""
        found, place = [], 0
        while place < len(text):
            sizes = range(min(LONGEST, len(text) - place), 1, -1)
            size = next(
                (n for n in sizes if text[place : place + n] in WORDS or text[place : place + n] in self.words), 1
            )
            found.append(text[place : place + size])
            place += size
        return found

    def reading(self, word: str) -> list[Reading]:
        """One syllable a character."""
        if word in WORDS:
            return [pinyin.numbered(syllable) for syllable in WORDS[word]]
        if word in self.words:
            return [pinyin.numbered(syllable) for syllable in self.words[word]]
        known = (OWN.get(letter) or self.characters.get(letter, "") for letter in word)
        return [pinyin.numbered(syllable) for syllable in known]


def _mark(sign: str) -> str:
    """A sign as it stands in the training text: a space before what opens, after what closes."""
    if sign in "(“":
        return f" {sign}"
    return f"{sign} " if sign in PAUSES else " " if sign == " " else ""


def _sandhi(text: str, readings: list[Reading]) -> list[Reading]:
    """一 and 不 take their tone from the syllable that follows; a number or a rank leaves 一 alone (Chao 1968)."""
    found = list(readings)
    for place in range(len(found) - 1) if len(found) == len(text) else ():
        following, before = found[place + 1][1], text[place - 1 : place] if place else ""
        if text[place] == "不" and found[place] == ("bu", 4) and following == 4:
            found[place] = ("bu", 2)
        counted = text[place + 1] in COUNTED or bool(before and before in COUNTING)
        if text[place] == "一" and found[place] == ("yi", 1) and not counted and following != 5:
            found[place] = ("yi", 2 if following == 4 else 4)
    return found


def _sounds(syllable: str, tone: int) -> str:
    if syllable == "r":  # the ending of 一会儿
        return "ɚ"
    try:
        return pinyin.sounds(syllable, tone) if syllable else ""
    except ValueError:
        return ""


@lru_cache(maxsize=1)
def opened(folder: Path) -> Mandarin:
    """The dictionaries in a folder: of a character the first reading, which is the most frequent one."""
    characters = json.loads((folder / "pinyin_dict.json").read_text("utf-8"))
    phrases = json.loads((folder / "phrases_dict.json").read_text("utf-8"))
    words = {word: [options[0] for options in reading] for word, reading in phrases.items() if len(word) <= LONGEST}
    return Mandarin({chr(int(code)): said.split(",")[0] for code, said in characters.items()}, words)
