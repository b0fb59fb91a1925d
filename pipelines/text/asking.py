"""What a language model is asked, how it draws its words, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import AigcError


@dataclass(frozen=True)
class Asked:
    """prompt: the user's words. system: how the model should behave. images: [B,H,W,3] in 0..1, each row one picture, or None.

    turns: an exchange that goes before, as (asked, answered) pairs, such as examples of what is wanted.
    stops: the answer ends before the first of these. begun: words that the answer goes on from; a server cannot be given them.
    """

    prompt: str
    system: str = ""
    images: Any = None
    turns: tuple[tuple[str, str], ...] = ()
    stops: tuple[str, ...] = ()
    begun: str = ""


@dataclass(frozen=True)
class Sampling:
    """How words are drawn. Raises AigcError for numbers out of range.

    max_new_tokens: at least 1. temperature: 0 takes the likeliest word always; 1 draws as the model learned.
    top_k: only the k likeliest, 0 is off. top_p: the likeliest that make up this share together, 1 is off.
    min_p: only words at least this share as likely as the likeliest, 0 is off.
    repetition_penalty: what was written already is this much less likely (Keskar et al. 2019, arXiv 1909.05858, section
    4.1), 1 is off; the prompt's own words are left alone. seed: the same one draws the same words.
    """

    max_new_tokens: int = 256
    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.05
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        within = {
            "max_new_tokens": (self.max_new_tokens >= 1, "at least 1"),
            "temperature": (0 <= self.temperature <= 10, "0 to 10"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "min_p": (0 <= self.min_p <= 1, "0 to 1"),
            "repetition_penalty": (0 < self.repetition_penalty <= 10, "above 0 and at most 10"),
        }
        for name, (good, wanted) in within.items():
            if not good:
                raise AigcError(f"Expected {name} to be {wanted}, got {getattr(self, name)}: change it.")


@dataclass(frozen=True)
class Stopped:
    """Text up to a stop, and whether one was met."""

    text: str
    met: bool


def stops_of(lines: str) -> tuple[str, ...]:
    r"""Stop strings from a box, one a line; \n and \t in them mean a line's end and a tab."""
    found = (line.replace("\\n", "\n").replace("\\t", "\t") for line in lines.splitlines())
    return tuple(line for line in found if line)


def until_stop(text: str, stops: Sequence[str], *, ended: bool = True) -> Stopped:
    """`text` before its first stop, without white space in front: a model that begins with an empty line has not ended.

    ended: whether this is all of it. While it is not, an end that may still become a stop is held back.
    """
    text = text.lstrip()
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    if places:
        return Stopped(text[: min(places)].rstrip(), True)
    if ended:
        return Stopped(text.rstrip(), False)
    held = max((_begun(text, stop) for stop in stops), default=0)
    return Stopped(text[: len(text) - held], False)


def _begun(text: str, stop: str) -> int:
    """How many letters at the end of `text` begin `stop`."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
