"""Captions in English and Chinese, and the tokenizer that reads them."""

from __future__ import annotations

import json
import random
from pathlib import Path

from pipelines.train import tokenizing

from .concepts import Concept
from .recolour import COLOURS, Colour, held_out

LENGTH = 24  # tokens; the pipeline pads every prompt to this
VOCABULARY_SIZE = 6000

TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a {}",
    "{} icon",
    "{} emoji",
    "a picture of a {}",
    "a pictogram of a {}",
    "an icon of {}",
)
TEMPLATES_ZH = ("{}", "{}", "{}", "一个{}", "{}图标", "{}表情", "{}的图片", "一张{}的图片", "{}图案")
TEMPLATES_COLOUR = ("{c} {n}", "{c} {n}", "a {c} {n}", "{n} in {c}", "{c} {n} icon", "a picture of a {c} {n}")
TEMPLATES_COLOUR_ZH = ("{c}的{n}", "{c}{n}", "{c}的{n}", "一个{c}的{n}", "{c}{n}图标", "一张{c}{n}的图片")


def plain(concept: Concept, dice: random.Random) -> str:
    """A caption of the concept in its own colours: name, alias, emoji, template or name with keywords."""
    chinese = dice.random() < 0.45
    name = concept.name_zh if chinese else concept.name
    aliases = concept.aliases_zh if chinese else concept.aliases
    keywords = concept.keywords_zh if chinese else concept.keywords
    choice = dice.random()
    if choice < 0.04:
        return concept.emoji
    if choice < 0.2 and aliases:
        name = dice.choice(aliases)
    elif choice < 0.3 and keywords:
        return ("，" if chinese else ", ").join([name, *dice.sample(keywords, min(len(keywords), dice.randint(1, 2)))])
    return dice.choice(TEMPLATES_ZH if chinese else TEMPLATES).format(name)


def coloured(concept: Concept, colour: Colour, dice: random.Random) -> str:
    """A caption with a colour word. Raises ValueError for a held-out pair, which must never be trained on."""
    if held_out(concept.emoji, colour):
        raise ValueError(f"Expected a training pair, got held-out {colour.name} {concept.name}: skip it.")
    if dice.random() < 0.45:
        return dice.choice(TEMPLATES_COLOUR_ZH).format(c=colour.name_zh, n=concept.noun_zh())
    return dice.choice(TEMPLATES_COLOUR).format(c=colour.name, n=concept.noun())


def caption(concept: Concept, colour: int, own_colour: int, dice: random.Random) -> str:
    """Caption of one picture. colour, own_colour: index into ``COLOURS`` or -1 for original and for many-hued."""
    if colour >= 0:
        return coloured(concept, COLOURS[colour], dice)
    if own_colour >= 0 and dice.random() < 0.12 and not held_out(concept.emoji, COLOURS[own_colour]):
        return coloured(concept, COLOURS[own_colour], dice)
    return plain(concept, dice)


def load_concepts(path: Path) -> list[Concept]:
    """Read ``vocabulary.json``."""
    return [Concept(**row) for row in json.loads(path.read_text("utf-8"))]


def corpus(concepts: list[Concept]) -> list[str]:
    """Every phrase that a caption can hold, for training the tokenizer."""
    lines = [*TEMPLATES, *TEMPLATES_ZH] * 20
    for colour in COLOURS:
        lines += [colour.name, colour.name_zh] * 50
    for concept in concepts:
        lines += [concept.name, concept.noun(), concept.name_zh, concept.noun_zh(), concept.emoji] * 20
        lines += [*concept.aliases, *concept.aliases_zh] * 6 + [*concept.keywords, *concept.keywords_zh] * 2
    return [line.replace("{}", " ") for line in lines]


def train_tokenizer(concepts: list[Concept], folder: Path) -> None:
    """A tokenizer of every phrase that a caption can hold."""
    tokenizing.train_tokenizer(corpus(concepts), folder, vocabulary=VOCABULARY_SIZE, length=LENGTH)
