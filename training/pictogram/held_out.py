"""The real pictures that the judge never saw, as latents, for measuring it and what it guides.

    python -m training.pictogram.held_out --work build/pictogram --out benchmarks/data/pictogram_held_out.safetensors

The fifth of the concepts that `judge.py` (seed 0) keeps apart: ``latents`` [N, 40, 8, 8] in the UNet's space, float16, and in the
header a prompt for each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from pipelines.score.training import held_out_groups

from .captions import load_concepts
from .recolour import COLOURS
from .vae import encode_all, load_pixels


def prompts_of(work: Path) -> list[str]:
    """The plain English words for every picture: its name, or its colour and noun."""
    arrays, concepts = np.load(work / "pictures.npz"), load_concepts(work / "vocabulary.json")
    return [
        concepts[c].name if colour < 0 else f"{COLOURS[colour].name} {concepts[c].noun()}"
        for c, colour in zip(arrays["concept"].tolist(), arrays["colour"].tolist())
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/data/pictogram_held_out.safetensors"))
    args = parser.parse_args()
    concept = torch.tensor(np.load(args.work / "pictures.npz")["concept"])
    apart = torch.isin(concept, held_out_groups(concept.unique(), seed=0))
    vae = AutoencoderTiny.from_pretrained(args.model / "vae").eval()
    latents = encode_all(vae, load_pixels(args.work)[apart])
    chosen = [prompt for prompt, here in zip(prompts_of(args.work), apart.tolist()) if here]
    save_file({"latents": latents.half().contiguous()}, args.out, metadata={"prompts": json.dumps(chosen)})
    args.out.chmod(0o644)
    print(f"{len(chosen)} pictures of {len(concept[apart].unique())} concepts")


if __name__ == "__main__":
    main()
