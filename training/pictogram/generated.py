"""The model's own pictures, as latents beside the real ones: what its judges learn from.

    python -m training.pictogram.generated --work build/pictogram --model models/pictogram --rounds 4
    python -m training.pictogram.generated --work build/pictogram --model models/pictogram --rounds 1 --broad

Every training picture is asked for by a caption of its own, once a round, with 15 steps and guidance 1.5 unless others are asked
for. A broad round strays: unknown words, two things at once, few steps, guidance from none to too much, so that the judge does
not take a mess that it never met for real. Each run adds rounds; ``generated.pt`` holds ``latents`` [N, 40, 8, 8] in the UNet's
space and ``index`` [N], the picture that was meant.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .text import Sampler

STEPS, GUIDANCE, BATCH = 15, 1.5, 32


def all_pictures(sampler: Sampler) -> list[int]:
    """Every picture that the model may know: originals and recoloured ones, without the held-out pairs."""
    return sorted([*sampler.originals, *sampler.recoloured])


@torch.no_grad()
def latents_of(pipe: Any, captions: list[str], seed: int, *, steps: int = STEPS, guidance: float = GUIDANCE) -> Tensor:
    """[B, 40, 8, 8] in the UNet's space; picture i uses seed + i, as the nodes do."""
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(captions))]
    return pipe(
        captions, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="latent"
    ).images


def strayed(caption: str, dice: random.Random) -> str:
    """A caption that the model does not know: another thing added, letters exchanged, or words of no meaning."""
    other = "".join(dice.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(dice.randint(3, 12)))
    letters = list(caption)
    for _ in range(max(1, len(letters) // 4)):
        letters[dice.randrange(len(letters))] = dice.choice("abcdefghijklmnopqrstuvwxyz")
    return dice.choice([caption, f"{caption} and {other}", f"{other} {caption}", "".join(letters), other])


def straying(dice: random.Random) -> dict[str, Any]:
    """Few steps or many, guidance from none to too much: options of `latents_of`."""
    return {"steps": dice.randint(3, 20), "guidance": dice.uniform(1, 8)}


def main() -> None:
    """Command line."""
    from diffusers import StableDiffusionPipeline

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first round where there is none: other seeds"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--broad", action="store_true", help="rounds that stray from what the model was trained on")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe: Any = StableDiffusionPipeline.from_pretrained(args.model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    path = args.work / "generated.pt"
    made = torch.load(path, weights_only=True) if path.exists() else None
    first = int(made["rounds"]) if made else args.first
    latents, index = ([made["latents"]], [made["index"]]) if made else ([], [])
    for number in range(first, first + args.rounds):
        sampler = Sampler(args.work, random.Random(number))
        wanted = all_pictures(sampler)
        sampler.dice.shuffle(wanted)
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            seed = 1_000_000 * (number + 1) + start
            captions = [sampler.caption(i) for i in batch]
            options: dict[str, Any] = {"steps": args.steps, "guidance": args.guidance}
            if args.broad:
                captions = [strayed(caption, sampler.dice) for caption in captions]
                options = straying(sampler.dice)
            latents.append(latents_of(pipe, captions, seed, **options))
            index.append(torch.tensor(batch))
        held = {"latents": torch.cat(latents), "index": torch.cat(index), "rounds": number + 1}
        torch.save(held, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        print(f"round {number + 1}: {len(held['index'])} pictures", flush=True)


if __name__ == "__main__":
    main()
