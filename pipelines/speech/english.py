"""English words as the sounds that Kokoro was trained on: dictionaries first, endings by rule, a small model for the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from . import grammar

VOWELS = "AIOQWYaiuæɑɐɒɔəɛɜɪʊʌᵊᵻ"
DIPHTHONGS = "AIOQWYʤʧ"
PAUSES = ';:,.!?—…"“”()'
HISSING = "szʃʒʧʤ"
VOICELESS = "ptkfθ"
TOKEN = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*'?|[;:,.!?—…\"“”()]|\s+")
# Letters said one by one although there is such a word.
INITIALS = {
    "US",
    "IT",
    "WHO",
    "AM",
    "PM",
    "UK",
    "EU",
    "AI",
    "TV",
    "PC",
    "ID",
    "OK",
    "UN",
    "IP",
    "IQ",
    "DIY",
    "CEO",
    "HR",
    "PR",
    "ER",
}
Entry = str | dict[str, str | None]


class English:
    """The dictionaries, and what is asked for a word that they do not have.

    guess: (word in small letters) -> sounds.
    """

    def __init__(self, gold: dict[str, Entry], silver: dict[str, Entry], guess: Callable[[str], str]) -> None:
        self.gold, self.silver = gold, silver
        self.guess = lru_cache(maxsize=4096)(guess)

    def phonemes(self, text: str) -> str:
        """A text in words and punctuation, as `spoken` gives it, in sounds. What is neither is left out."""
        tokens = [token for token in TOKEN.findall(text.replace("’", "'")) if token]
        words = [token for token in tokens if token[0].isalpha()]
        capitals = [word for word in words if word.isupper() and len(word) > 1]
        shouted = len(capitals) > max(1, len(words) / 2) and any(word.lower() in self.gold for word in capitals)
        said: list[str] = []
        following = ""  # the sounds of the word after this one; "" at a pause
        for place in range(len(tokens) - 1, -1, -1):
            token = tokens[place]
            if token.isspace():
                said.append(" ")
            elif token in PAUSES:
                said.append(token)
                following = ""
            else:
                context = grammar.Context(tokens, place, bool(following))
                following = self._word(token, context, following, shouted)
                said.append(following)
        return "".join(reversed(said))

    def _word(self, word: str, context: grammar.Context, following: str, shouted: bool) -> str:
        small = word.lower()
        if small in grammar.WEAK and not (word.isupper() and len(word) == 1 and small == "a" and context.next_is_name):
            return grammar.WEAK[small](_first_sound(following))
        if word.isupper() and len(word) > 1 and not shouted:
            return self._capitals(word, context)
        for form in dict.fromkeys((small, word) if context.begins else (word, small)):
            if found := self._known(form, context):
                return found
        if re.search(r"[a-z][A-Z]", word):  # ComfyUI
            return self._parts(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z']+", word), context)
        if re.search(r"[-.]", word):
            return self._parts([part for part in re.split(r"[-.]", word) if part], context)
        return self._ended(small, context) or self._guessed(small)

    def _capitals(self, word: str, context: grammar.Context) -> str:
        """NASA as a word, FBI by its letters; STOP is only loud."""
        plain, possessive = re.fullmatch(r"(.*?)('S)?", word).groups()  # type: ignore[union-attr]
        if plain in INITIALS or not plain.replace("-", "").isalpha():
            return self.letters(plain) + ("z" if possessive else "")
        if found := self._known(plain, context._replace(initials=True)):
            return found + (_plural(found) if possessive else "")
        if "-" in plain:
            return self._parts(plain.split("-"), context)
        if len(plain) > 3 and (found := self._known(plain.lower(), context)):
            return found
        pronounceable = re.search(r"[AEIOUY]", plain) and len(plain) > 5
        return self._guessed(plain.lower()) if pronounceable else self.letters(plain)

    def letters(self, word: str) -> str:
        """Letter by letter; the last one has the stress."""
        said = [str(self.gold.get(letter, "")) for letter in word.upper() if letter.isalpha()]
        return "".join([*(sounds.replace("ˈ", "ˌ") for sounds in said[:-1]), *said[-1:]])

    def _parts(self, parts: Sequence[str], context: grammar.Context) -> str:
        said = [self._word(part, context._replace(place=-1), "", False) for part in parts if part]
        return "".join([*said[:1], *(sounds.replace("ˈ", "ˌ", 1) if len(parts) > 1 else sounds for sounds in said[1:])])

    def _known(self, word: str, context: grammar.Context) -> str:
        entry = self.gold.get(word) or self.silver.get(word)
        if isinstance(entry, dict):
            return grammar.chosen(entry, word, context)
        return entry or ""

    def _ended(self, word: str, context: grammar.Context) -> str:
        """A known word with an ending: 's, s, ed, ing."""
        for stem in _stems(word, "'s", ("",)) or _stems(word, "s'", ("s",)) or []:
            if found := self._known(stem, context) or self._known(stem.capitalize(), context):
                return found + (_plural(found) if word.endswith("'s") else "")
        for ending, back, sound in (
            ("s", ("", "e*"), _plural),
            ("ed", ("", "e"), _past),
            ("ing", ("", "e"), lambda _: "ɪŋ"),
        ):
            for stem in _stems(word, ending, back):
                if found := self._known(stem, context):
                    return _flapped(found, ending) + sound(found)
        return ""

    def _guessed(self, word: str) -> str:
        stem, possessive = (word[:-2], True) if word.endswith("'s") else (word, False)
        found = self.guess(re.sub(r"[^a-z']", "", _plain(stem)))
        return found + (_plural(found) if possessive and found else "")


def _stems(word: str, ending: str, back: tuple[str, ...]) -> list[str]:
    """What a word may be without its ending: making -> mak, make; stopped -> stopp, stope, stop; tries -> trie, try."""
    if not word.endswith(ending) or len(word) < len(ending) + 2:
        return []
    bare = word[: -len(ending)]
    found = [bare + more for more in back if more != "e*"]
    if ending == "s" and bare.endswith("ie"):
        found.append(f"{bare[:-2]}y")
    if ending == "s" and bare.endswith(("se", "xe", "che", "she", "ze", "oe")):
        found.append(bare[:-1])
    if ending in ("ed", "ing") and len(bare) > 2 and bare[-1] == bare[-2]:
        found.append(bare[:-1])
    if ending == "ed" and bare.endswith("i"):
        found.append(f"{bare[:-1]}y")
    return found


def _plural(stem: str) -> str:
    return "ᵻz" if stem[-1] in HISSING else "s" if stem[-1] in VOICELESS else "z"


def _past(stem: str) -> str:
    return "ᵻd" if stem[-1] in "td" else "t" if stem[-1] in VOICELESS + "sʃʧ" else "d"


def _flapped(stem: str, ending: str) -> str:
    """American t between vowels: wait, waiting."""
    voiced = ending in ("ed", "ing") and len(stem) > 1 and stem[-1] == "t" and stem[-2] in VOWELS + "ɹ"
    return f"{stem[:-1]}ɾ" if voiced else stem


def _first_sound(sounds: str) -> str:
    """ "vowel", "consonant", or "" before a pause."""
    first = sounds.lstrip("ˈˌ")[:1]
    return "" if not first else "vowel" if first in VOWELS else "consonant"


def _plain(word: str) -> str:
    """Letters without their accents."""
    import unicodedata

    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))


@lru_cache(maxsize=1)
def opened(folder: Path) -> English:
    """The dictionaries in a folder; the model for other words is read when the first of them comes."""
    from . import guessing

    gold, silver = (json.loads((folder / name).read_text("utf-8")) for name in ("us_gold.json", "us_silver.json"))
    return English(gold, silver, lambda word: guessing.guess(folder / "oov_bart_en_us.npz", word))
