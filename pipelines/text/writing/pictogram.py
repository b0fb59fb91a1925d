"""Prompts for the shipped pictogram model: it draws one thing of its vocabulary and passes over every other word."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import AigcError
from .words import HAN, content

FILE = "vocabulary.json"
NUMBERS = ("one", "two", "three", "four", "five", "six")  # in the vocabulary as names, in a prompt as counts


@dataclass(frozen=True)
class Concept:
    """One thing that it draws. hints: words that have to do with it, in small letters."""

    name: str
    chinese: str
    hints: frozenset[str]


@dataclass(frozen=True)
class Name:
    """A name of a concept in small letters, whether in Chinese, its words as they are and without their plurals."""

    text: str
    han: bool
    words: list[str]
    singular: list[str]
    concept: Concept


@dataclass(frozen=True)
class Vocabulary:
    """names: the longest first."""

    concepts: list[Concept]
    names: list[Name]
    colours: frozenset[str]


@lru_cache(maxsize=2)
def vocabulary(folder: Path) -> Vocabulary:
    """What the model in this folder draws. Raises AigcError."""
    concepts, names = [], []
    try:
        rows = json.loads((folder / FILE).read_text("utf-8"))
        for row in rows:
            hints = frozenset(word.lower() for word in (*row["keywords"], *row["keywords_zh"]))
            concepts.append(Concept(row["name"], row["name_zh"], hints))
            for text in (name.lower() for name in _names(row)):
                if text not in NUMBERS:
                    words, han = content(text), bool(HAN.search(text))
                    names.append(Name(text, han, words, [_singular(word) for word in words], concepts[-1]))
        colours = frozenset(row["own_colour"] for row in rows if row["own_colour"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AigcError(
            f"Expected the vocabulary of the pictogram model in {folder}, got {type(error).__name__}: install the pack again."
        ) from error
    return Vocabulary(concepts, sorted(names, key=lambda name: -len(name.text)), colours)


def _names(row: dict[str, Any]) -> list[str]:
    return [row["name"], *row["aliases"], row["name_zh"], *row["aliases_zh"]]


def known(words: str, vocabulary: Vocabulary) -> list[Concept]:
    """The concepts that the words name, the longest names first, names as they are written before plurals; none inside another."""
    rest, text, found = content(words), words.lower(), []
    for plural in (False, True):
        forms = [_singular(word) for word in rest] if plural else rest
        for name in vocabulary.names:
            if name.han:
                there = name.text in text
                text = text.replace(name.text, " ") if there else text
            else:
                there, forms = _taken(name.singular if plural else name.words, forms)
            if there and name.concept not in found:
                found.append(name.concept)
        rest = forms
    return found


def _taken(name: list[str], rest: list[str]) -> tuple[bool, list[str]]:
    """Whether the words of a name stand one after another among the rest, and the rest without them."""
    for place in range(len(rest) - len(name) + 1 if name and name[0] in rest else 0):
        if rest[place : place + len(name)] == name:
            return True, [*rest[:place], "", *rest[place + len(name) :]]
    return False, rest


def _things(found: list[Concept], draws: Vocabulary, words: str) -> list[Concept]:
    """Without those that only a colour names, such as the tangerine of "orange cat", where there is something else."""
    others = known(" ".join(word for word in content(words) if word not in draws.colours), draws)
    return others or found


def nearest(words: str, vocabulary: Vocabulary) -> Concept | None:
    """The concept whose keywords have most to do with the words; None when none has."""
    mine = {form for word in content(words) for form in (word, _singular(word))}

    def shared(concept: Concept) -> int:
        return sum(
            any(_hints(hint, word) for word in mine) or (hint in words and bool(HAN.search(hint)))
            for hint in concept.hints
        )

    best = max(vocabulary.concepts, key=shared, default=None)
    return best if best is not None and shared(best) else None


def _hints(hint: str, word: str) -> bool:
    return hint == word or (len(hint) > 3 and word.startswith(hint))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def written(words: str, folder: Path) -> tuple[str, str]:
    """The words, with the nearest thing that it draws behind them when they name none; and what will be drawn."""
    draws = vocabulary(folder)
    found = _things(known(words, draws), draws, words)
    chinese = bool(HAN.search(words))
    seen = [word for word in content(words) if word in draws.colours]
    if found:
        names = ", ".join(_called(concept, chinese) for concept in found)
        one = " It draws one thing at a time." if len(found) > 1 else ""
        other = f" in {seen[0]}" if seen else ""
        return words, f"The pictogram model knows: {names}{other}; it passes over other words.{one}"
    near = nearest(words, draws)
    if near is None:
        return (
            words,
            "No word is in the pictogram model's vocabulary: it will draw something else. See vocabulary.json.",
        )
    called = _called(near, chinese)
    whole = f"{words}{'，' if chinese else ', '}{called}"
    return (
        whole,
        f"No word is in the pictogram model's vocabulary; the nearest thing that it draws was added: {called}.",
    )


def _called(concept: Concept, chinese: bool) -> str:
    return concept.chinese if chinese else concept.name
