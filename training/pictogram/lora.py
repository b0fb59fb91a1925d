"""Train the shipped LoRA: the same pictures as blueprints, in tones of one blue.

    python -m training.pictogram.lora --work build/pictogram --model models/pictogram --minutes 5

Needs the base model in ``--model`` and the pictures of the data step. Loads with ``pipe.load_lora_weights``.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor
from torch.nn import functional as F

from . import captions
from .diffusion import CAPTION_DROPOUT, flow_pair, shifted_sigma
from .vae import encode_all

RANK = 8
INK = (0.07, 0.19, 0.58)
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "time_emb_proj"]
BATCH = 16


def blueprint(pictures: np.ndarray) -> np.ndarray:
    """Restyle uint8 pictures [N, H, W, 3] in tones between white paper and ``INK``.

    A pixel's tone is its luma, or 1 - 0.6 saturation where that is darker: pale but colourful areas stay visible.
    """
    rgb = pictures.astype(np.float32) / 255
    luma = rgb @ np.array([0.3, 0.59, 0.11], np.float32)
    saturation = rgb.max(-1) - rgb.min(-1)
    tone = np.minimum(luma, 1 - 0.6 * saturation)[..., None]  # [N, H, W, 1]
    return ((tone + (1 - tone) * np.array(INK, np.float32)) * 255).round().astype(np.uint8)


def step(pipe: StableDiffusionPipeline, x0: Tensor, texts: list[str], generator: torch.Generator) -> Tensor:
    """Flow-matching loss of one batch. x0: [B, C, 8, 8]."""
    tokens = pipe.tokenizer(
        texts, padding="max_length", max_length=captions.LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        hidden = pipe.text_encoder(tokens).last_hidden_state
    noise = torch.randn(x0.shape, generator=generator)
    sigma = shifted_sigma(torch.rand(len(x0), generator=generator))
    x, target = flow_pair(x0, noise, sigma)
    return F.mse_loss(pipe.unet(x, sigma * 1000, encoder_hidden_states=hidden).sample, target)


def train(work: Path, model: Path, minutes: float, rate: float) -> tuple[StableDiffusionPipeline, int]:
    """Train the adapter for a wall-clock budget, rate falling linearly. Returns the pipeline and the sample count."""
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32, local_files_only=True)
    pipe.unet.requires_grad_(False)
    pipe.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS))
    concepts = captions.load_concepts(model / "vocabulary.json")
    arrays = np.load(work / "pictures.npz")
    styled = torch.from_numpy(blueprint(arrays["pictures"][arrays["colour"] < 0])).permute(0, 3, 1, 2)
    latents = encode_all(pipe.vae, styled)
    trained = [parameter for parameter in pipe.unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.98), weight_decay=0)
    dice, generator = random.Random(0), torch.Generator().manual_seed(0)
    start, samples = time.monotonic(), 0
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        optimizer.param_groups[0]["lr"] = rate * (1 - done)
        chosen = [dice.randrange(len(concepts)) for _ in range(BATCH)]
        texts = [captions.plain(concepts[index], dice) for index in chosen]
        texts = ["" if dice.random() < CAPTION_DROPOUT else text for text in texts]
        loss = step(pipe, latents[chosen], texts, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        samples += BATCH
    return pipe, samples


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("models/lora/pictogram-blueprint.safetensors"))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe, samples = train(args.work, args.model, args.minutes, args.rate)
    layers = get_peft_model_state_dict(pipe.unet)  # diffusers' converter renames attention keys only: not here
    args.out.parent.mkdir(parents=True, exist_ok=True)
    StableDiffusionPipeline.save_lora_weights(args.out.parent, unet_lora_layers=layers, weight_name=args.out.name)
    args.out.chmod(0o644)
    print(f"trained on {samples} samples")


if __name__ == "__main__":
    main()
