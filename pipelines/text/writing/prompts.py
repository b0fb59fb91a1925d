"""A prompt for an image model from a few words: the words stay in front as they are, and what fits is added behind them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import AigcError
from ..asking import Asked, Sampling
from . import expanding, pictogram
from .cleaning import sentences_of, tags_of
from .tables import STYLES, Say
from .words import joined, language, missing

Ask = Callable[[Asked, Sampling], str]


@dataclass(frozen=True)
class Kind:
    """What a family of image models reads. tags: a list, else sentences. most: words in all. chinese: whether it reads Chinese.

    negative: whether it takes a negative prompt. video: whether the camera moves.
    """

    tags: bool
    most: int
    chinese: bool = False
    negative: bool = True
    video: bool = False


# CLIP reads 75 tokens, about 50 words of a list.
KINDS: dict[str, Kind | None] = {
    "pictogram": None,
    "sd15": Kind(tags=True, most=50),
    "sdxl": Kind(tags=True, most=50),
    "flux": Kind(tags=False, most=200, negative=False),
    "sd3": Kind(tags=False, most=150),
    "qwen": Kind(tags=False, most=200, chinese=True),
    "wan": Kind(tags=False, most=200, chinese=True, video=True),
}


@dataclass(frozen=True)
class Written:
    """negative: "" where the model has none. report: who wrote it, and what could not be done."""

    prompt: str
    negative: str
    report: str


@dataclass
class _Notes:
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)


def write(
    words: str, kind: str, style: str, *, seed: int = 0, ask: Ask | None = None, vocabulary: Path | None = None
) -> Written:
    """A prompt for a kind of KINDS in a style of STYLES. Raises AigcError for empty words, an unknown kind or style.

    ask: what a language model answers; None: the tables alone. A model that fails, or answers with nothing that can be used,
    is replaced by the tables, and the report says so. vocabulary: the folder of the pictogram model.
    """
    words = words.strip()
    if not words:
        raise AigcError("Expected a few words for a prompt, got nothing: write what the picture shows.")
    for what, given, allowed in (("kind", kind, KINDS), ("style", style, STYLES)):
        if given not in allowed:
            raise AigcError(f"Expected one of {', '.join(allowed)} for {what}, got '{given}': choose one of these.")
    reads = KINDS[kind]
    if reads is None:
        prompt, said = pictogram.written(words, vocabulary or Path())
        return Written(prompt, "", said)
    return _written(words, kind, reads, style, seed, ask)


def _written(words: str, kind: str, reads: Kind, style: str, seed: int, ask: Ask | None) -> Written:
    notes, spoken = _Notes(), language(words)
    chinese = spoken == "zh" and reads.chinese
    if spoken == "zh" and not reads.chinese:
        notes.say(f"{kind} reads English only: write the words in English.")
    if not spoken:
        notes.say("The words are neither in Latin nor in Chinese letters: nothing was added.")
        return Written(words, _negative(reads, style, False), "\n".join(notes.lines))
    found = expanding.details(words, style, seed)
    said = _asked(words, reads, seed, ask, notes) if ask and spoken == "en" else ""
    if ask and spoken == "zh":
        notes.say("The small model writes English only: the tables wrote this.")
    if said and style == "photo":  # a story has a light of its own
        found = {slot: say for slot, say in found.items() if slot != "light"}
    put = _listed if reads.tags else _told
    camera = expanding.motion(words, seed) if reads.video else None
    prompt = put(words, said, found, camera, chinese, reads.most)
    if lost := missing(words, prompt):  # cannot be: the words are in front
        raise AssertionError(lost)
    notes.say("Written by the language model, with the style from the tables." if said else "Written by the tables.")
    if prompt == words:
        notes.say("Nothing was added: the words leave no room, or the style is none.")
    return Written(prompt, _negative(reads, style, chinese), "\n".join(notes.lines))


def _negative(reads: Kind, style: str, chinese: bool) -> str:
    return expanding.negative(style, video=reads.video, chinese=chinese) if reads.negative else ""


def _length(text: str) -> int:
    """Words, a Chinese sign being one."""
    return len(re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+", text))


def _listed(words: str, said: str, found: dict[str, Say], camera: Say | None, chinese: bool, most: int) -> str:
    """Tags behind the words, as many as there is room for; the style's have first claim to it, and stand last."""
    between, room = "，" if chinese else ", ", most - _length(words)
    style = _fitting(expanding.tags(found, chinese), room)
    told = _fitting(said.split(", ") if said else [], room - sum(map(_length, style)))
    return between.join([words.rstrip(" ,，") if told or style else words, *told, *style])


def _fitting(tags: list[str], room: int) -> list[str]:
    kept = []
    for tag in tags:
        room -= _length(tag)
        if room >= 0:
            kept.append(tag)
    return kept


def _told(words: str, said: str, found: dict[str, Say], camera: Say | None, chinese: bool, most: int) -> str:
    """Sentences behind the words."""
    stop, gap = ("。", "") if chinese else (".", " ")
    prompt, added = words, [said, expanding.sentence(found, chinese)]
    added += [f"{camera.chinese}。" if chinese else f"{camera.said}."] if camera else []
    for one in added:
        if one and _length(prompt) + _length(one) <= most:
            ended = prompt if prompt.endswith((".", "!", "?", "。", "！", "？")) else f"{prompt.rstrip(' ,，')}{stop}"
            prompt = f"{ended}{gap}{one}"
    return prompt


SYSTEM = "You describe pictures. Go on with the user's words and add what can be seen: things, materials, colors."
TAGS = (
    (
        "a red fox in the snow",
        "a red fox in the snow, thick winter fur, snowflakes on its back, frosted pine trees, pale sky",
    ),
    (
        "an old bookshop",
        "an old bookshop, tall wooden shelves, worn leather books, a ladder, drifting dust, a sleeping dog by the door",
    ),
    (
        "robot playing the violin",
        "robot playing the violin, polished copper body, thin metal fingers, empty concert hall, red velvet chairs",
    ),
)
PROSE = (
    (
        "a red fox in the snow",
        "a red fox in the snow. It stands between frosted pine trees with its thick fur dusted with snowflakes. The cold air "
        "glitters under a pale sky.",
    ),
    (
        "an old bookshop",
        "an old bookshop. Tall wooden shelves are full of worn leather books. A ladder leans in the corner, and a dog sleeps by "
        "the door.",
    ),
    (
        "robot playing the violin",
        "robot playing the violin. Its thin metal fingers rest on the strings, and its polished copper body shines. The concert "
        "hall is empty, with rows of red velvet chairs.",
    ),
)


def _asked(words: str, reads: Kind, seed: int, ask: Ask, notes: _Notes) -> str:
    """What the model adds to the words, cleaned; "" when nothing of it can be used."""
    begun = joined(words, "" if words[-1] in ".,;:!?" else "," if reads.tags else ".")
    asked = Asked(words, SYSTEM, turns=TAGS if reads.tags else PROSE, stops=("\n",), begun=begun)
    sampling = Sampling(
        max_new_tokens=48 if reads.tags else 72, temperature=0.6, min_p=0.1, repetition_penalty=1.15, seed=seed
    )
    try:
        answer = ask(asked, sampling)
    except AigcError as error:
        notes.say(f"The language model could not be asked: {error}")
        return ""
    said = tags_of(answer, words) if reads.tags else sentences_of(answer, words)
    if not said:
        notes.say("The language model's answer could not be used.")
    return said
