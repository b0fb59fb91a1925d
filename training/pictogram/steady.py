"""Teach the frozen text encoder to pass over words that it never met, without touching the UNet.

    python -m training.pictogram.steady --work build/pictogram --minutes 8

Distillation from the encoder to itself: for a caption with foreign words thrown in ("a small cat", "一只猫") the student
gives what the teacher gives for the clean caption. The end token matches the end token, padding matches padding, a kept
word matches itself, and a foreign word becomes the start token, which is the same in every prompt. An emoji gives what its
concept's name gives, and an empty caption what it gave. Some foreign words are put together of the tokenizer's own tokens, since a
word may hold a known one ("gigantic" an ant). The teacher stays in ``text_encoder_named``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel, PreTrainedTokenizerFast

from .captions import LENGTH
from .text import Sampler

COMMON = (
    "small big large little tiny huge cute happy sad angry beautiful pretty nice old new young simple cartoon drawing "
    "photo image art style of the an my one two some very on in with and for at to is draw show me please flat minimal "
    "illustration logo symbol sticker clip vector 3d shiny bright dark cool funny lovely fresh white black background"
).split()
COMMON_ZH = [
    *"只条朵辆座匹头棵把颗小大新老好美的了是我你画着",
    "可爱",
    "漂亮",
    "卡通",
    "一幅",
    "请画",
    "简单",
    "白色背景",
    "开心",
    "生气",
]
SYLLABLES = "ba ce di fo gu ha ji ko lu me ni or pa qui re su ta un vi wa xe yo zu ing er ly ous th st".split()
EMPTY = 0.05  # the share of empty captions: what guidance leads away from stays what the UNet knows
BROKEN = 0.25  # the share of foreign words that are made of tokens


def foreign(dice: random.Random) -> str:
    """A common word, a Chinese measure word, a pseudo-word or a random Chinese character."""
    choice = dice.random()
    if choice < 0.35:
        return dice.choice(COMMON)
    if choice < 0.65:
        return dice.choice(COMMON_ZH)
    if choice < 0.85:
        return "".join(dice.choices(SYLLABLES, k=dice.randint(2, 4)))
    return chr(dice.randrange(0x4E00, 0x9FA5))


def broken(pieces: list[str], dice: random.Random) -> str:
    """A pseudo-word of tokens, which are whole words by chance, as "gigantic" has an ant in it."""
    return "".join(dice.choices(pieces, k=dice.randint(2, 4)))


def with_word(text: str, word: Callable[[], str], dice: random.Random) -> str:
    """A caption with a word, which is drawn after its place, thrown in; never at the end."""
    words = text.split(" ")
    words.insert(dice.randint(0, len(words) - 1), word())
    return " ".join(words)


def disturb(words: list[list[int]], strange: list[list[int]], dice: random.Random) -> tuple[list[int], list[int]]:
    """Throw foreign words between the words of a caption, all as token ids without start and end.

    Returns the tokens and for each its place in the clean caption (start token is 0, foreign tokens point to it).
    """
    pieces, place = [], 1
    for word in words:
        pieces.append((word, list(range(place, place + len(word)))))
        place += len(word)
    for word in strange:
        pieces.insert(dice.randint(0, len(pieces)), (word, [0] * len(word)))
    return [t for word, _ in pieces for t in word], [p for _, places in pieces for p in places]


class Pairs:
    """Draws disturbed captions with, for every position, the position of the clean caption to imitate."""

    def __init__(self, work: Path, tokenizer: PreTrainedTokenizerFast, dice: random.Random) -> None:
        self.sampler, self.tokenizer, self.dice = Sampler(work, dice), tokenizer, dice
        self.pieces = sorted(text for text in tokenizer.get_vocab() if re.fullmatch("[a-z]{1,5}", text))

    def strange(self) -> str:
        """A word that is no part of a caption."""
        return broken(self.pieces, self.dice) if self.dice.random() < BROKEN else foreign(self.dice)

    def words(self, text: str) -> list[list[int]]:
        """Token ids of a text, grouped by word."""
        encoded = self.tokenizer(text, add_special_tokens=False)
        groups: dict[int, list[int]] = {}
        for token, word in zip(encoded.input_ids, encoded.word_ids(), strict=True):
            groups.setdefault(word, []).append(token)
        return list(groups.values())

    def padded(self, ids: list[int]) -> list[int]:
        """Start, tokens, end and padding, ``LENGTH`` in all."""
        t = self.tokenizer
        row = [t.bos_token_id, *ids[: LENGTH - 2], t.eos_token_id]
        return row + [t.pad_token_id] * (LENGTH - len(row))

    def draw(self) -> tuple[list[int], list[int], list[int]]:
        """Clean token ids, disturbed token ids, and the clean position of each disturbed position."""
        if self.dice.random() < EMPTY:
            return self.padded([]), self.padded([]), list(range(LENGTH))
        index = self.sampler.picture()
        item = self.sampler.concepts[self.sampler.concept[index]]
        text = self.sampler.caption(index)
        choice = self.dice.random()
        if choice < 0.12 or text == item.emoji:
            clean = [token for word in self.words(item.name) for token in word]
            noisy = [token for word in self.words(item.emoji) for token in word]
            places = [len(clean)] * len(noisy)
        else:
            words = self.words(text)
            count = 0 if choice < 0.35 else self.dice.randint(1, 3)
            strange = [token for _ in range(count) for token in self.words(self.strange())]
            clean = [token for word in words for token in word]
            noisy, places = disturb(words, strange, self.dice)
        clean, noisy, places = clean[: LENGTH - 2], noisy[: LENGTH - 2], places[: LENGTH - 2]
        places = [min(place, len(clean)) for place in places]
        after = range(len(noisy) + 2, LENGTH)
        tail = [max(position, min(len(clean) + 2, LENGTH - 1)) for position in after]
        return self.padded(clean), self.padded(noisy), [0, *places, len(clean) + 1, *tail]


def train(work: Path, minutes: float, resume: bool, batch: int = 32, rate: float = 5e-4) -> None:
    """Distil for a wall-clock budget, the rate falling linearly; the student replaces ``work/text_encoder``.

    resume: go on with the student of an earlier run instead of a copy of the teacher.
    """
    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    if not (work / "text_encoder_named").exists():
        (work / "text_encoder").rename(work / "text_encoder_named")
    teacher = CLIPTextModel.from_pretrained(work / "text_encoder_named", dtype=torch.float32).eval()
    begin = work / ("text_encoder" if resume else "text_encoder_named")
    student = CLIPTextModel.from_pretrained(begin, dtype=torch.float32)
    pairs = Pairs(work, tokenizer, random.Random(0))
    optimizer = torch.optim.AdamW(student.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0)
    start, step, average = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / 50, 1 - done)
        rows = [pairs.draw() for _ in range(batch)]
        clean, noisy, places = (torch.tensor([row[part] for row in rows]) for part in range(3))
        with torch.no_grad():
            wanted: Tensor = teacher(clean).last_hidden_state  # [B, LENGTH, DIM]
        wanted = wanted.gather(1, places[..., None].expand_as(wanted))
        loss = F.mse_loss(student(noisy).last_hidden_state, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        average = loss.item() if step == 1 else 0.98 * average + 0.02 * loss.item()
        if step % 50 == 0:
            with (work / "steady.jsonl").open("a") as file:
                file.write(json.dumps({"captions": step * batch, "loss": round(average, 5)}) + "\n")
        if step % 200 == 0:
            student.save_pretrained(work / "text_encoder")
    student.save_pretrained(work / "text_encoder")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--resume", action="store_true", help="go on with the student of an earlier run")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.work, args.minutes, args.resume)


if __name__ == "__main__":
    main()
