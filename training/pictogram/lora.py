"""Train the shipped LoRA: the same pictures as ink drawings.

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
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor
from torch.nn import functional as F

from . import captions
from .diffusion import CAPTION_DROPOUT, flow_pair, shifted_sigma
from .vae import encode_all

RANK = 8
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "time_emb_proj"]
BATCH = 16


def ink(pictures: np.ndarray) -> np.ndarray:
    """Restyle uint8 pictures [N, H, W, 3] as ink: three greys, with a dark line where the colour changes.

    The line follows the largest colour gradient of the slightly blurred picture, saturating at 0.35 of full range.
    """
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    blur = F.conv2d(F.pad(x.flatten(0, 1)[:, None], (1,) * 4, value=1.0), torch.outer(kernel, kernel)[None, None])
    smooth = blur.reshape(x.shape)
    dx = F.pad(smooth.diff(dim=-1), (0, 1)).abs().amax(1)
    dy = F.pad(smooth.diff(dim=-2), (0, 0, 0, 1)).abs().amax(1)
    line = F.max_pool2d(torch.maximum(dx, dy)[:, None], 3, 1, 1).div(0.18).clamp(0, 1)  # [N, 1, H, W]
    weights = torch.tensor([0.3, 0.59, 0.11])[None, :, None, None]
    tone = (smooth * weights).sum(1, keepdim=True)
    grey = 0.55 + 0.45 * (tone * 2).round() / 2
    result = (grey * (1 - 0.88 * line)).expand(-1, 3, -1, -1)
    return (result * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


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
    styled = torch.from_numpy(ink(arrays["pictures"][arrays["colour"] < 0])).permute(0, 3, 1, 2)
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
    parser.add_argument("--out", type=Path, default=Path("models/lora/pictogram-ink.safetensors"))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe, samples = train(args.work, args.model, args.minutes, args.rate)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.unet))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    StableDiffusionPipeline.save_lora_weights(args.out.parent, unet_lora_layers=layers, weight_name=args.out.name)
    print(f"trained on {samples} samples")


if __name__ == "__main__":
    main()
