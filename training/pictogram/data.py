"""Download, render and describe the training pictures.

    python -m training.pictogram.data --work build/pictogram

Writes ``pictures.npz`` (uint8 [N, 128, 128, 3], concept id and colour of each, for the whole pool of concepts) and
``vocabulary.json`` (the concepts that are trained).
Sources: npm ``@iconify-json/noto`` (Apache-2.0), ``cldr-annotations-full`` (Unicode-3.0), ``unicode-emoji-json`` (MIT).
Needs ``npm`` and ``pip install resvg-py``.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from . import recolour
from .concepts import COUNT, Concept, briefest_first, candidates, distinct

SIZE = 128
PACKAGES = ("@iconify-json/noto@1.2.9", "cldr-annotations-full@48.2.0", "unicode-emoji-json@0.9.0")


def download(folder: Path) -> dict[str, Path]:
    """Fetch the npm tarballs once. Returns tarball paths by package name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for package in PACKAGES:
        name, version = package.rsplit("@", 1)
        path = folder / f"{name.strip('@').replace('/', '-')}-{version}.tgz"
        if not path.exists():
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True)
        paths[name] = path
    return paths


def member(tarball: Path, name: str) -> dict:
    """One JSON file of an npm tarball."""
    with tarfile.open(tarball) as archive:
        return json.load(archive.extractfile(f"package/{name}"))


def render(body: str, size: int = SIZE) -> np.ndarray:
    """SVG body with a 128 x 128 view box to uint8 [size, size, 3] on white, antialiased."""
    import resvg_py

    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {spaces} viewBox="0 0 128 128">{body}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, background="#ffffff")
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def thumbnail(picture: np.ndarray, size: int = 32) -> np.ndarray:
    """uint8 [H, W, 3] to float [size, size, 3] in 0..1 by area averaging."""
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.BOX), np.float32) / 255


def codepoints(emoji: str) -> list[str]:
    """Keys under which an icon may be filed: with and without the variation selector."""
    full = "-".join(f"{ord(c):x}" for c in emoji)
    return [full, full.replace("-fe0f", "")]


def draw_all(sources: dict[str, Path], emoji: list[str]) -> dict[str, np.ndarray]:
    """Render the emoji that the icon set has. Returns uint8 [128, 128, 3] by emoji."""
    icons = member(sources["@iconify-json/noto"], "icons.json")
    names = member(sources["@iconify-json/noto"], "chars.json")
    drawn = {}
    for character in emoji:
        name = next((names[key] for key in codepoints(character) if key in names), None)
        name = icons.get("aliases", {}).get(name, {}).get("parent", name)
        if name in icons["icons"]:
            drawn[character] = render(icons["icons"][name]["body"])
    return drawn


def annotations(sources: dict[str, Path], locale: str) -> dict[str, dict]:
    """CLDR annotations of one locale by emoji: ``tts`` (name) and ``default`` (keywords)."""
    table = member(sources["cldr-annotations-full"], f"annotations/{locale}/annotations.json")
    return table["annotations"]["annotations"]


def describe(accepted: list[str], rows: dict, english: dict, chinese: dict) -> list[Concept]:
    """Names and aliases. An alias is a keyword that no other concept of the vocabulary has."""

    def words(table: dict, emoji: str) -> list[str]:
        return table.get(emoji, table.get(emoji.replace("\ufe0f", ""), {})).get("default", [])

    def name(table: dict, emoji: str) -> str:
        return table.get(emoji, table.get(emoji.replace("\ufe0f", ""), {}))["tts"][0]

    seen: dict[str, int] = {}
    for emoji in accepted:
        for word in {*words(english, emoji), *words(chinese, emoji), name(english, emoji), name(chinese, emoji)}:
            seen[word] = seen.get(word, 0) + 1
    concepts = []
    for index, emoji in enumerate(accepted):
        en, zh = name(english, emoji), name(chinese, emoji)
        concepts.append(
            Concept(
                id=index,
                emoji=emoji,
                name=en,
                name_zh=zh,
                aliases=[w for w in words(english, emoji) if w != en and seen[w] == 1],
                aliases_zh=[w for w in words(chinese, emoji) if w != zh and seen[w] == 1],
                group=rows[emoji]["group"],
                keywords=[w for w in words(english, emoji) if w != en],
                keywords_zh=[w for w in words(chinese, emoji) if w != zh],
            )
        )
    return concepts


def build(work: Path) -> tuple[list[Concept], dict[str, np.ndarray]]:
    """Everything the training needs: concepts, and arrays ``pictures``, ``concept``, ``colour`` (-1: original)."""
    sources = download(work / "npm")
    rows = member(sources["unicode-emoji-json"], "data-by-emoji.json")
    english, chinese = annotations(sources, "en"), annotations(sources, "zh")
    entries = [e for e in candidates(rows) if e[0].replace("\ufe0f", "") in chinese or e[0] in chinese]
    drawn = draw_all(sources, [emoji for emoji, _ in entries])
    accepted = distinct(entries, {emoji: thumbnail(picture) for emoji, picture in drawn.items()})
    concepts = briefest_first(describe(accepted, rows, english, chinese))
    described, pictures, concept, colour = [], [], [], []
    for item in concepts:
        original = drawn[item.emoji]
        own = recolour.colour_of(original) if recolour.is_single_hue(original) else None
        described.append(replace(item, own_colour=own.name if own else ""))
        pictures.append(original)
        concept.append(item.id)
        colour.append(-1)
        for index, target in enumerate(recolour.COLOURS):
            if own is None or target.name == own.name:
                continue
            pictures.append(recolour.recolour(original, target))
            concept.append(item.id)
            colour.append(index)
    arrays = {"pictures": np.stack(pictures), "concept": np.array(concept), "colour": np.array(colour)}
    return described, arrays


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    work = parser.parse_args().work
    concepts, arrays = build(work)
    np.savez(work / "pictures.npz", **arrays)
    vocabulary = [concept.to_json() for concept in concepts[:COUNT]]
    (work / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
