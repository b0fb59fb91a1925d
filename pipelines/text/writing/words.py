"""Words of a text: which carry its content, in which language it is, which are missing from another text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TypeVar

from .tables import EMPTY

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
HAN = re.compile(r"[\u3400-\u9fff]")
# Letters of scripts that neither our tables nor the small model know: anything but Latin and Han.
FOREIGN = re.compile(r"[\u0370-\u1dff\u3040-\u30ff\uac00-\ud7af]")
Chosen = TypeVar("Chosen")


def language(text: str) -> str:
    """ "zh", "en" for everything in Latin letters, or "" for a script that the tables do not know."""
    if FOREIGN.search(text):
        return ""
    return "zh" if HAN.search(text) else "en"


def content(text: str) -> list[str]:
    """The words that carry content, small, in their order, each once."""
    return list(dict.fromkeys(word for word in (found.lower() for found in WORD.findall(text)) if word not in EMPTY))


def missing(words: str, text: str) -> list[str]:
    """Content words of `words` that `text` does not have."""
    there = {found.lower() for found in WORD.findall(text)}
    return [word for word in content(words) if word not in there]


def pick(choices: Sequence[Chosen], seed: int, *about: str) -> Chosen:
    """One of the choices: the same for the same seed and texts, on every machine and Python."""
    digest = hashlib.sha256("\0".join((str(seed), *about)).encode()).digest()
    return choices[int.from_bytes(digest[:8], "big") % len(choices)]


def joined(front: str, after: str, between: str = " ") -> str:
    """Two pieces of text with `between`, or without where the second begins with a sign."""
    if not after:
        return front
    return f"{front}{after}" if after[0] in ",.;:!?，。；：！？" else f"{front}{between}{after}"
