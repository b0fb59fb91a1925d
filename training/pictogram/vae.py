"""The autoencoder: a linear encoder set analytically, a decoder trained by gradient descent.

    python -m training.pictogram.vae --work build/pictogram --minutes 12

The encoder maps each 16 x 16 patch to ``CHANNELS`` principal components (pipelines/train/linear_encoder.py).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional as F

from pipelines.train.linear_encoder import set_encoder

CHANNELS = 40
WIDTH = 40
HIDDEN = 64
SCALING = 1.8
STAGES = 4  # 2 ** 4 = 16 pixels a latent
LATENT_NOISE = 0.12


def new_vae() -> AutoencoderTiny:
    """An untrained autoencoder of our shape: 128 pixels to [CHANNELS, 8, 8]."""
    return AutoencoderTiny(
        encoder_block_out_channels=(HIDDEN,) * (STAGES + 1),
        num_encoder_blocks=(0,) * (STAGES + 1),
        decoder_block_out_channels=(WIDTH,) * (STAGES + 1),
        num_decoder_blocks=(4, 3, 1, 1, 0),
        latent_channels=CHANNELS,
        scaling_factor=SCALING,
    )


def load_pixels(work: Path) -> Tensor:
    """All training pictures as [N, 3, 128, 128] uint8."""
    return torch.from_numpy(np.load(work / "pictures.npz")["pictures"]).permute(0, 3, 1, 2).contiguous()


def to_signed(pixels: Tensor) -> Tensor:
    """uint8 to float in -1..1."""
    return pixels.float() / 127.5 - 1


@torch.no_grad()
def encode_all(vae: AutoencoderTiny, pixels: Tensor) -> Tensor:
    """Scaled latents of every picture, [N, CHANNELS, 8, 8], about unit variance."""
    return torch.cat([vae.encode(to_signed(part)).latents * SCALING for part in pixels.split(64)])


def reconstruction_loss(decoded: Tensor, target: Tensor) -> Tensor:
    """L1, half the L1 of the image gradients (edges), and the squared error. Both [B, 3, H, W] in -1..1."""
    difference = decoded - target
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    return difference.abs().mean() + 0.5 * edges + difference.square().mean()


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the batch mirrored, a quarter shifted by up to 8 pixels: latents that no training picture has."""
    if torch.rand((), generator=generator) < 0.5:
        pixels = pixels.flip(-1)
    if torch.rand((), generator=generator) < 0.25:
        dx, dy = torch.randint(-8, 9, (2,), generator=generator).tolist()
        pixels = F.pad(pixels, (8, 8, 8, 8), value=1.0)[..., 8 + dy : 136 + dy, 8 + dx : 136 + dx]
    return pixels


def train(
    vae: AutoencoderTiny,
    pixels: Tensor,
    minutes: float,
    batch: int,
    rate: float,
    log: Path,
    bf16: bool = False,
    noise: float = LATENT_NOISE,
) -> None:
    """Train the decoder for a wall-clock budget, the rate following a cosine over that budget.

    bf16: convolutions in bfloat16, weights and loss in float32. noise: each picture's latents get up to this deviation
    of noise, in units of scaled latents: what is left in sampled latents must not show as specks.
    """
    generator = torch.Generator().manual_seed(1)
    vae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.decoder.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0)
    start, step, average = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6
        chosen = torch.randint(len(pixels), (batch,), generator=generator)
        target = augment(to_signed(pixels[chosen]), generator).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            latents = vae.encoder(target)
            level = noise / SCALING * torch.rand(batch, 1, 1, 1, generator=generator)
            latents = latents + level * torch.randn(latents.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            decoded = vae.decoder(latents)
        decoded = decoded.float()
        loss = reconstruction_loss(decoded, target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        error = (decoded.detach() - target).square().mean().item() / 4
        average = error if step == 1 else 0.98 * average + 0.02 * error
        if step % 50 == 0:
            seconds = time.monotonic() - start
            row = {"step": step, "seconds": round(seconds), "psnr": round(-10 * math.log10(average), 2)}
            with log.open("a") as file:
                file.write(json.dumps({**row, "pictures_per_second": round(step * batch / seconds, 1)}) + "\n")
        if step % 500 == 0:
            vae.save_pretrained(log.parent / "vae")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", type=Path, help="folder of an autoencoder to go on from, with a new cosine")
    parser.add_argument("--noise", type=float, default=LATENT_NOISE, help="largest deviation of the noise on latents")
    parser.add_argument("--bf16", action="store_true", help="twice as fast on a processor with bfloat16 instructions")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    pixels = load_pixels(args.work)
    if args.resume:
        vae = AutoencoderTiny.from_pretrained(args.resume)
    else:
        vae = new_vae()
        set_encoder(vae, to_signed(pixels[torch.from_numpy(np.load(args.work / "pictures.npz")["colour"]) < 0]))
    torch.save(encode_all(vae, pixels), args.work / "latents.pt")
    vae.save_pretrained(args.work / "vae")
    if args.minutes:  # 0: the latents only
        train(vae, pixels, args.minutes, args.batch, args.rate, args.work / "vae.jsonl", args.bf16, args.noise)
    vae.save_pretrained(args.work / "vae")


if __name__ == "__main__":
    main()
