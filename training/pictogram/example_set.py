"""The example data set: the training's original pictures with captions, in one zip.

    python -m training.pictogram.example_set --work build/pictogram --out models/data/pictograms.zip

Reads what ``python -m training.pictogram.data --work build/pictogram`` wrote. The same pictures give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = 64
ROOT = Path(__file__).resolve().parents[2]
NOTICE = """\
Pictograms: 448 pictures of 64 x 64 pixels with captions.

The pictures are Noto Emoji, Copyright Google LLC, licensed under the Apache License, Version 2.0 (LICENSE.txt),
https://github.com/googlefonts/noto-emoji, taken from the npm package @iconify-json/noto.
Changed: rendered at 128 x 128 pixels on white and reduced to 64 x 64 by area averaging.

The captions are the English names of the Unicode Common Locale Data Repository (CLDR),
Copyright 1991-2026 Unicode, Inc., Unicode License v3, https://www.unicode.org/license.txt
"""


def stem(number: int, name: str) -> str:
    """A file's name: in the vocabulary's order, then the caption's letters."""
    return f"{number:03}_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}"


def png(picture: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as the smallest of what PIL makes of it without loss."""
    image, found = Image.fromarray(picture), []
    colours = image.getcolors(256)
    for one in (image, image.quantize(len(colours), dither=Image.Dither.NONE)) if colours else (image,):
        if one.mode == "P" and not np.array_equal(np.asarray(one.convert("RGB")), picture):
            continue
        held = io.BytesIO()
        one.save(held, "PNG", optimize=True)
        found.append(held.getvalue())
    return min(found, key=len)


def members(work: Path) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of everything in the zip: licence and notice first, then a picture and its caption at a time."""
    yield "LICENSE.txt", (ROOT / "LICENSE").read_bytes()
    yield "NOTICE.txt", NOTICE.encode()
    vocabulary = json.loads((work / "vocabulary.json").read_text("utf-8"))
    arrays = np.load(work / "pictures.npz")
    pictures, concept, colour = arrays["pictures"], arrays["concept"], arrays["colour"]
    originals = {int(concept[row]): row for row in np.flatnonzero(colour == -1)}
    for number, entry in enumerate(vocabulary):
        small = cv2.resize(pictures[originals[entry["id"]]], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        name = f"pictograms/{stem(number, entry['name'])}"
        yield f"{name}.png", png(small)
        yield f"{name}.txt", f"{entry['name']}\n".encode()


def write(out: Path, found: Iterator[tuple[str, bytes]]) -> None:
    """A zip whose bytes depend on its members alone: no times, one system; pictures stored, texts deflated."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in found:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            small = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, small, 9)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("models/data/pictograms.zip"))
    given = parser.parse_args()
    write(given.out, members(given.work))


if __name__ == "__main__":
    main()
