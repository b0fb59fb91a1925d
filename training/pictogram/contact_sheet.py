"""Draw 64 prompts on one page: English, Chinese, colours that training saw and colour pairs that it never saw.

python -m training.pictogram.contact_sheet --model models/pictogram --out docs/contact_sheet.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .captions import load_concepts
from .evaluate import CFG, STEPS, generate, held_out_pairs, load

ENGLISH = (
    "cat", "dog", "fox", "panda", "lion", "owl", "koala", "tiger", "red apple", "banana", "pear", "lemon",
    "pizza", "taco", "cookie", "sushi", "rocket", "ship", "train", "taxi", "bus", "castle", "house", "church",
    "tent", "rose", "tulip", "cactus", "guitar", "trophy", "crown", "robot", "ghost", "alien", "star", "fire",
)  # fmt: skip
CHINESE = ("一只猫", "火箭图标", "熊猫", "披萨", "玫瑰", "房子", "吉他", "星星", "蓝色的鱼", "绿色的心", "🐸", "🦉")
COLOURED = ("blue cat", "green star", "purple apple", "pink fish")
FREE = ("a picture of a sad dog", "red rocket", "moon and star", "two cats")
TILE, LABEL, COLUMNS = 128, 22, 8


def prompts(model: Path) -> list[str]:
    """The 64 prompts: fixed ones, and the first eight held-out pairs (marked by an asterisk on the page)."""
    pairs = held_out_pairs(load_concepts(model / "vocabulary.json"))
    held = [f"{colour.name} {concept.noun()}" for concept, colour in pairs[:: max(1, len(pairs) // 8)][:8]]
    return [*ENGLISH, *CHINESE, *COLOURED, *FREE, *held]


def label_font(size: int = 13) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font with Chinese glyphs where the machine has one, else Pillow's own (which draws boxes for Chinese)."""
    for pattern in ("NotoSansCJK*.ttc", "wqy*.ttc", "DroidSansFallback*.ttf", "NotoSansSC*.*"):
        for path in sorted(Path("/usr/share/fonts").rglob(pattern)):
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


def page(pictures: np.ndarray, labels: list[str]) -> Image.Image:
    """Tiles of uint8 [N, 128, 128, 3] with their prompts below."""
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + LABEL)), "white")
    draw, font = ImageDraw.Draw(sheet), label_font()
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        y, x = divmod(index, COLUMNS)
        sheet.paste(Image.fromarray(picture), (x * TILE, y * (TILE + LABEL)))
        place = (x * TILE + TILE // 2, y * (TILE + LABEL) + TILE + LABEL // 2)
        draw.text(place, label, fill="#444444", font=font, anchor="mm")
    return sheet


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("docs/contact_sheet.jpg"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cfg", type=float, default=CFG)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    texts = prompts(args.model)
    pictures = generate(load(args.model), texts, list(range(len(texts))), steps=args.steps, cfg=args.cfg)
    names = {concept.emoji: f"{concept.name} (emoji)" for concept in load_concepts(args.model / "vocabulary.json")}
    labels = [names.get(text, text) + ("*" if index >= len(texts) - 8 else "") for index, text in enumerate(texts)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    page(pictures, labels).save(args.out, quality=90)


if __name__ == "__main__":
    main()
