"""Captions in English and Chinese, and the tokenizer that reads them."""

from __future__ import annotations

import json
import random
from pathlib import Path

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
    """Byte-level BPE with every CJK character and emoji on its own, saved for ``PreTrainedTokenizerFast``.

    The configuration is written by hand, so that transformers 4.50 and 5 both find the class that they know.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = ["<|startoftext|>", "<|endoftext|>", "<|pad|>"]
    single = Regex(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u2600-\u27bf\U0001F000-\U0001FAFF]")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace("\ufe0f", ""), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(single, "isolated"),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(concepts), trainer)
    start, end, pad = special
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": LENGTH,
        "bos_token": start,
        "eos_token": end,
        "pad_token": pad,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    names = {"bos_token": start, "eos_token": end, "pad_token": pad}
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2) + "\n")
