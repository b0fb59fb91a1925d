"""The faces that the shipped GAN learned from: emoji faces in eight colours, in one zip.

    python -m training.faces.data --work build/pictogram --out models/data/faces.zip

A rule, not a list: of the emoji group "Smileys & Emotion" those in front of the skull, which are the round faces. A picture of
one hue also stands there in every other colour of ``training.pictogram.recolour``. The same pictures give the same bytes.
Needs ``npm`` and ``pip install resvg-py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np

from training.pictogram import recolour
from training.pictogram.data import download, draw_all, member
from training.pictogram.example_set import ROOT, png, stem, write

SIZE = 64
GROUP, AFTER = "Smileys & Emotion", "skull"
NOTICE = """\
Faces: pictures of 64 x 64 pixels with captions.

The pictures are Noto Emoji, Copyright Google LLC, licensed under the Apache License, Version 2.0 (LICENSE.txt),
https://github.com/googlefonts/noto-emoji, taken from the npm package @iconify-json/noto.
Changed: rendered at 128 x 128 pixels on white, those of one hue also turned to other hues, reduced to 64 x 64 by area averaging.

The captions are the names of the npm package unicode-emoji-json (MIT), after Unicode's emoji list,
Copyright Unicode, Inc., Unicode License v3, https://www.unicode.org/license.txt
"""


def faces(rows: dict[str, dict]) -> dict[str, str]:
    """Names by emoji, in Unicode's order."""
    group = [(emoji, row["name"]) for emoji, row in rows.items() if row["group"] == GROUP]
    return dict(takewhile(lambda entry: entry[1] != AFTER, group))


def coloured(name: str, picture: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(caption, picture) of the original, and of it in every other colour when it is of one hue."""
    yield name, picture
    if recolour.is_single_hue(picture):
        own = recolour.colour_of(picture)
        for colour in recolour.COLOURS:
            if colour is not own:
                yield f"{colour.name} {name}", recolour.recolour(picture, colour)


def members(work: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of everything in the zip: licence and notice first, then a picture and its caption at a time."""
    yield "LICENSE.txt", (ROOT / "LICENSE").read_bytes()
    yield "NOTICE.txt", NOTICE.encode()
    sources = download(work / "npm")
    names = faces(member(sources["unicode-emoji-json"], "data-by-emoji.json"))
    drawn = draw_all(sources, list(names))
    number = 0
    for emoji, picture in drawn.items():
        for caption, one in coloured(names[emoji], picture):
            path = f"faces/{stem(number, caption)}"
            yield f"{path}.png", png(cv2.resize(one, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            yield f"{path}.txt", f"{caption}\n".encode()
            number += 1


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("models/data/faces.zip"))
    given = parser.parse_args()
    write(given.out, members(given.work))


if __name__ == "__main__":
    main()
