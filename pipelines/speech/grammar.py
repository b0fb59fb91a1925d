"""What the words around a word say of it: weak forms, and words that are written alike and said differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

BEFORE_VERBS = set(
    "to will would can could should may might must shall do does did don't doesn't didn't can't cannot won't couldn't wouldn't "
    "shouldn't i you we they let's please not never always often who would'd i'll you'll we'll they'll he'll she'll it'll".split()
)
BEFORE_NOUNS = set(
    "a an the this that these those my your his her its our their some any no each every of in with by from for at on new old "
    "good bad first last best world one two three".split()
)
AFTER_NOUNS = set(
    "of in on at for to with by from and or but is was are were has had have will would can that which who when where if as than "
    "because so went came".split()
)
PERFECT = set("have has had having i've you've we've they've was were been be being is are am get got".split())
PAST = set("yesterday ago last earlier once then previously already".split())


class Context(NamedTuple):
    """tokens: of the text. place: of the word, -1 for a part of a word. runs_on: whether a word follows without a pause."""

    tokens: Sequence[str]
    place: int
    runs_on: bool
    initials: bool = False

    @property
    def begins(self) -> bool:
        """Whether the word begins a sentence, so that its capital says nothing."""
        before = self._words_before()
        return self.place >= 0 and not before

    @property
    def next_is_name(self) -> bool:
        return len(self.next) == 1 and self.next.isupper()

    @property
    def previous(self) -> str:
        before = self._words_before()
        return before[-1].lower() if before else ""

    @property
    def before(self) -> list[str]:
        return [word.lower() for word in self._words_before()[-3:]]

    @property
    def next(self) -> str:
        after = [token for token in self.tokens[self.place + 1 : self.place + 3] if not token.isspace()]
        return after[0] if self.place >= 0 and after and after[0][0].isalpha() else ""

    @property
    def sentence(self) -> set[str]:
        return {token.lower() for token in self.tokens if token[0].isalpha()}

    def _words_before(self) -> list[str]:
        """The words of the same sentence before this one."""
        found: list[str] = []
        for token in reversed(self.tokens[: max(0, self.place)]):
            if token in ".!?…":
                break
            if token[0].isalpha():
                found.append(token)
        return found[::-1]


def chosen(entry: Mapping[str, str | None], word: str, context: Context) -> str:
    """The pronunciation among several: by the kind of word that this place takes; "" when it has none here."""
    if context.initials and "NOUN" in entry and entry["NOUN"] is None:
        return ""
    kind = _kind(entry, word, context)
    return entry.get(kind) or entry.get("DEFAULT") or next((said for said in entry.values() if said), "")


def _kind(entry: Mapping[str, str | None], word: str, context: Context) -> str:
    previous, following = context.previous, context.next.lower()
    if "VBN" in entry and (previous in PERFECT or PERFECT & set(context.before[-2:])):
        return "VBN"
    if "VBD" in entry:
        if word == "used":
            return (
                "VBD" if following == "to" and previous not in ("be", "is", "are", "was", "were", "been") else "DEFAULT"
            )
        if previous in ("he", "she", "it") or (
            previous not in BEFORE_VERBS - {"i", "you", "we", "they", "who"} and PAST & context.sentence
        ):
            return "VBD"
    if "None" in entry and not context.runs_on:
        return "None"
    if "DT" in entry and (not context.runs_on or following in ("is", "was", "will", "would", "makes", "means")):
        return "DT"
    if "VERB" in entry and previous in BEFORE_VERBS:
        return "VERB"
    if "NOUN" in entry and previous in BEFORE_NOUNS and (not following or following in AFTER_NOUNS):
        return "NOUN"
    if "ADJ" in entry and previous in {"is", "was", "are", "were", "very", "more", "most", "so", "too", "be"}:
        return "ADJ"
    return "DEFAULT"


def _always(said: str) -> Callable[[str], str]:
    return lambda _: said


# By the sound that follows: "vowel", "consonant" or "" before a pause. A word without stress is shorter than its entry.
WEAK: dict[str, Callable[[str], str]] = {
    "the": lambda sound: "ði" if sound == "vowel" else "ðə",
    "a": lambda sound: "ɐ" if sound else "ˈA",
    "an": _always("ɐn"),
    "to": lambda sound: {"vowel": "tʊ", "consonant": "tə"}.get(sound, "tu"),
    "i": _always("ˌI"),
}
