"""The pictures that the embedded model learns from as a folder for the canvas, with captions in text files.

    python -m training.pictogram.training_set --work build/pictogram --out build/pictogram/training_set

Reads what ``python -m training.pictogram.data --work build/pictogram`` wrote. A folder for each thing, and one for each thing in
another colour ("cat, blue"), which the text encoder learns to name apart. An original stands in its folder ``COPIES`` times, so
that four visits of five are to originals, as it was found best. Each text holds several captions of one picture, English and
Chinese, some with words in between that mean nothing to the model, so that it learns to pass over them. Held-out pairs of colour
and object are left out.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from . import recolour
from .example_set import stem
from .steady import foreign, with_word
from .text import Sampler

COPIES, OF_ORIGINAL, OF_COLOURED = (
    12,
    3,
    6,
)  # copies of an original; captions beside each copy, beside a recoloured picture
STRANGE = 0.3  # the share of captions with a foreign word


def said(sampler: Sampler, index: int, count: int, first: str, dice: random.Random) -> str:
    """`count` captions of a picture in one line; `first` leads."""
    found = [first] if first else []
    while len(found) < count:
        text = sampler.caption(index)
        if dice.random() < STRANGE:
            text = with_word(text, lambda: foreign(dice), dice)
        found.append(text.replace("|", " "))
    return " | ".join(found)


def folders(sampler: Sampler, dice: random.Random) -> Iterator[tuple[str, int, list[str]]]:
    """(name of the folder, index of its picture, a line of captions for each copy)."""
    for index in sampler.originals:
        item = sampler.concepts[sampler.concept[index]]
        names = [item.name, item.name_zh, item.emoji]
        lines = [said(sampler, index, OF_ORIGINAL, names[copy] if copy < 3 else "", dice) for copy in range(COPIES)]
        yield stem(item.id, item.name), index, lines
    for index in sampler.recoloured:
        item, colour = sampler.concepts[sampler.concept[index]], recolour.COLOURS[sampler.colour[index]]
        yield f"{stem(item.id, item.name)}, {colour.name}", index, [said(sampler, index, OF_COLOURED, "", dice)]


def write(work: Path, out: Path) -> int:
    """Fill `out`, which must be new or empty. Returns how many pictures there are, copies counted."""
    if out.exists() and any(out.iterdir()):
        raise SystemExit(f"Expected a new folder, got {out}, which holds something: delete it or give another.")
    dice = random.Random(0)
    sampler, pictures = Sampler(work, dice), np.load(work / "pictures.npz")["pictures"]
    count = 0
    for name, index, lines in folders(sampler, dice):
        folder = out / name
        folder.mkdir(parents=True)
        for copy, line in enumerate(lines):
            path = folder / f"{copy:02}.png"
            if copy == 0:
                Image.fromarray(pictures[index]).save(path)
            else:
                _linked(folder / "00.png", path)
            path.with_suffix(".txt").write_text(line + "\n", "utf-8")
            count += 1
    return count


def _linked(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("build/pictogram/training_set"))
    given = parser.parse_args()
    print(f"{write(given.work, given.out)} pictures in {given.out}")


if __name__ == "__main__":
    main()
