"""Measure the shipped model. Everything it needs is in the model's folder.

    python -m training.pictogram.evaluate --model models/pictogram --json models/pictogram/figures.json

Nearest concept: a generated picture and the references are averaged to 32 x 32 pixels; the distance is the root mean
square difference of their RGB values in 0..1. Top-1 asks whether the nearest of all references is the prompt's concept.
One picture a concept, seed = concept id, prompt = the name alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from . import recolour
from .captions import load_concepts
from .concepts import Concept
from .data import thumbnail
from .export import COLUMNS, THUMBNAIL

STEPS = 15
CFG = 1.5
BATCH = 16
SEEDS = 4


def load(model: Path) -> StableDiffusionPipeline:
    """The pipeline, offline, in float32 on the CPU."""
    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(
    pipe: StableDiffusionPipeline, prompts: list[str], seeds: list[int], steps: int = STEPS, cfg: float = CFG
) -> np.ndarray:
    """uint8 pictures [N, 128, 128, 3], one generator a picture, so that a seed gives the same picture in any batch."""
    pictures = []
    for first in range(0, len(prompts), BATCH):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[first : first + BATCH]]
        output = pipe(
            prompts[first : first + BATCH],
            num_inference_steps=steps,
            guidance_scale=cfg,
            generator=generators,
            output_type="np",
        )
        pictures.append((output.images * 255).round().astype(np.uint8))
    return np.concatenate(pictures)


def references(model: Path) -> np.ndarray:
    """Reference thumbnails uint8 [N, 32, 32, 3], in vocabulary order (with blank tiles at the end)."""
    grid = np.asarray(Image.open(model / "references.png").convert("RGB"))
    rows = grid.shape[0] // THUMBNAIL
    tiles = grid.reshape(rows, THUMBNAIL, COLUMNS, THUMBNAIL, 3).swapaxes(1, 2)
    return tiles.reshape(-1, THUMBNAIL, THUMBNAIL, 3)


def ranks(pictures: np.ndarray, wanted: list[int], candidates: np.ndarray) -> np.ndarray:
    """Rank (0: nearest) of the wanted reference for every picture.

    pictures: uint8 [N, H, W, 3]; wanted: indices into candidates uint8 [M, 32, 32, 3].
    """
    thumbs = np.stack([thumbnail(picture, THUMBNAIL) for picture in pictures]).reshape(len(pictures), -1)
    flat = candidates.reshape(len(candidates), -1).astype(np.float32) / 255
    distance = np.stack([np.square(flat - thumb).mean(1) for thumb in thumbs])  # [N, M]
    own = distance[np.arange(len(wanted)), wanted]
    return (distance < own[:, None]).sum(1)


def held_out_pairs(concepts: list[Concept]) -> list[tuple[Concept, recolour.Colour]]:
    """Colour and object pairs that training never saw. The object's own colour is left out: it is no test."""
    return [
        (concept, colour)
        for concept in concepts
        for colour in recolour.COLOURS
        if concept.own_colour not in ("", colour.name) and recolour.held_out(concept.emoji, colour)
    ]


def top(rank: np.ndarray, count: int) -> float:
    """Percentage of ranks below count."""
    return round(100 * float((rank < count).mean()), 1)


def concept_figures(pipe: StableDiffusionPipeline, concepts: list[Concept], tiles: np.ndarray, **options) -> dict:
    """Nearest-concept accuracy from English and from Chinese names."""
    figures, seeds = {}, [concept.id for concept in concepts]
    for language, names in (("en", [c.name for c in concepts]), ("zh", [c.name_zh for c in concepts])):
        rank = ranks(generate(pipe, names, seeds, **options), seeds, tiles)
        figures[f"top1_{language}"], figures[f"top5_{language}"] = top(rank, 1), top(rank, 5)
        figures[f"missed_{language}"] = [name for name, place in zip(names, rank, strict=True) if place > 0]
    return figures


def phrase_figures(pipe: StableDiffusionPipeline, concepts: list[Concept], tiles: np.ndarray, **options) -> dict:
    """Top-1 of every second concept for prompts other than the name: the emoji, and words that training never had."""
    figures, half = {}, concepts[::2]
    seeds = [concept.id for concept in half]
    phrases = {
        "emoji": [concept.emoji for concept in half],
        "unknown_word_en": [f"a gigantic {concept.name}" for concept in half],
        "unknown_word_zh": [f"巨大的{concept.name_zh}" for concept in half],
    }
    for label, prompts in phrases.items():
        rank = ranks(generate(pipe, prompts, seeds, **options), seeds, tiles)
        figures[f"top1_{label}"] = top(rank, 1)
    return figures


def colour_figures(
    pipe: StableDiffusionPipeline, concepts: list[Concept], tiles: np.ndarray, every: int, **options
) -> dict:
    """Held-out pairs: share whose hue obeys the colour word, and share still nearest to their own object.

    The candidates for the second figure are all single-hue references recoloured to the prompt's colour.
    """
    pairs = held_out_pairs(concepts)[::every]
    single = [concept for concept in concepts if concept.own_colour]
    prompts = [f"{colour.name} {concept.noun()}" for concept, colour in pairs]
    pictures = generate(pipe, prompts, [concept.id for concept, _ in pairs], **options)
    obeyed = [recolour.obeys(picture, colour) for picture, (_, colour) in zip(pictures, pairs, strict=True)]
    kept = []
    for picture, (concept, colour) in zip(pictures, pairs, strict=True):
        turned = np.stack([recolour.recolour(tiles[other.id], colour) for other in single])
        kept.append(ranks(picture[None], [single.index(concept)], turned)[0])
    return {
        "held_out_pairs": len(pairs),
        "colour_obeyed": round(100 * float(np.mean(obeyed)), 1),
        "colour_object_top1": top(np.array(kept), 1),
        "colour_missed": [prompt for prompt, good in zip(prompts, obeyed, strict=True) if not good],
    }


def spread(pictures: np.ndarray) -> tuple[float, float]:
    """How far apart pictures uint8 [P, S, H, W, 3] of P prompts by S seeds are: (seeds of one prompt, prompts of one seed).

    Root mean square difference in levels of 0..255, the mean over all pairs. P and S are at least 2.
    """
    x = pictures.astype(np.float64).reshape(*pictures.shape[:2], -1)

    def apart(rows: np.ndarray) -> float:
        pairs = [rows[i] - rows[j] for i in range(len(rows)) for j in range(i)]
        return float(np.sqrt(np.square(pairs).mean(-1)).mean())

    return apart(x.swapaxes(0, 1)), apart(x)


def seed_figures(pipe: StableDiffusionPipeline, concepts: list[Concept], **options) -> dict:
    """How much a seed changes, beside how much a prompt changes: SEEDS pictures of every 28th concept by its name."""
    names = [concept.name for concept in concepts[::28]]
    prompts = [name for name in names for _ in range(SEEDS)]
    pictures = generate(pipe, prompts, list(range(SEEDS)) * len(names), **options)
    seeds, others = spread(pictures.reshape(len(names), SEEDS, *pictures.shape[1:]))
    return {"between_seeds": round(seeds, 1), "between_prompts": round(others, 1)}


def evaluate(model: Path, every: int, **options) -> dict:
    """All figures. every: use each n-th concept only, for a quick look."""
    begun = time.perf_counter()
    pipe = load(model)
    figures: dict = {"load_seconds": round(time.perf_counter() - begun, 2)}
    figures["megabytes"] = round(sum(f.stat().st_size for f in model.rglob("*") if f.is_file()) / 1e6, 1)
    figures["parameters"] = sum(
        p.numel() for part in (pipe.unet, pipe.vae, pipe.text_encoder) for p in part.parameters()
    )
    generate(pipe, ["warm up"], [0], **options)
    begun = time.perf_counter()
    generate(pipe, ["red apple", "cat", "火箭", "blue banana"], [0, 1, 2, 3], **options)
    figures["four_pictures_seconds"] = round(time.perf_counter() - begun, 2)
    concepts, tiles = load_concepts(model / "vocabulary.json"), references(model)
    figures["concepts"] = len(concepts[::every])
    figures |= concept_figures(pipe, concepts[::every], tiles[: len(concepts)], **options)
    figures |= phrase_figures(pipe, concepts[::every], tiles[: len(concepts)], **options)
    figures |= colour_figures(pipe, concepts, tiles, every, **options)
    figures |= seed_figures(pipe, concepts, **options)
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--every", type=int, default=1, help="use each n-th concept only")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cfg", type=float, default=CFG)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    figures = evaluate(args.model, args.every, steps=args.steps, cfg=args.cfg)
    for name, value in figures.items():
        print(f"{name}: {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
