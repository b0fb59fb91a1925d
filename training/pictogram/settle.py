"""The last stretch: the text encoder and the UNet learn together, half of the time from recoloured pictures.

    python -m training.pictogram.settle --work build/pictogram --model MODEL --out build/settled --minutes 30

The text encoder learned words only, from a list and from itself (``steady.py``), the UNet from what it said before that. Here
pictures correct both: strange words are thrown into the captions as in ``steady.py``, and colour words are met more often.
The rate falls to zero over the wall-clock budget; SIGTERM ends it early and keeps what was made. MODEL is a diffusers folder, e.g.
the run's ``model``; ``--text-encoder`` takes another in place of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from pipelines.train.tokenizing import tokens

from .diffusion import CAPTION_DROPOUT, flow_pair, shifted_sigma
from .steady import Pairs, with_word

RECOLOURED, STRANGE, BATCH = 0.5, 0.3, 32
WARM_UP = 30  # steps
BETAS = (0.9, 0.98)


def drawn(pairs: Pairs) -> tuple[int, str]:
    """A picture's number, and a caption of it."""
    sampler, dice = pairs.sampler, pairs.dice
    index = dice.choice(sampler.recoloured if dice.random() < RECOLOURED else sampler.originals)
    if dice.random() < CAPTION_DROPOUT:
        return index, ""
    text = sampler.caption(index)
    return index, with_word(text, pairs.strange, dice) if dice.random() < STRANGE else text


def settle(pipe: Any, work: Path, minutes: float, rate: float, text_rate: float, log: Path, bf16: bool = False) -> int:
    """Train `pipe` in place. Returns the steps."""
    torch.manual_seed(0)
    latents = torch.load(work / "latents.pt", weights_only=True)
    pairs, generator = Pairs(work, pipe.tokenizer, random.Random(0)), torch.Generator().manual_seed(0)
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "full": full}
        for part, full in ((pipe.unet, rate), (pipe.text_encoder, text_rate))
    ]
    everything = [parameter for group in groups for parameter in group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=BETAS, weight_decay=0)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    begun, step, average = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - begun) / 60 / minutes) < 1 and not stopped:
        for group in optimizer.param_groups:
            group["lr"] = group["full"] * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))
        numbers, texts = zip(*(drawn(pairs) for _ in range(BATCH)))
        x0 = latents[list(numbers)]
        sigma = shifted_sigma((torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) / BATCH)
        x, target = flow_pair(x0, torch.randn(x0.shape, generator=generator), sigma)
        said = pipe.text_encoder(tokens(pipe.tokenizer, list(texts))).last_hidden_state
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            predicted = pipe.unet(x, sigma * 1000, encoder_hidden_states=said).sample
        loss = F.mse_loss(predicted.float(), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(everything, 1.0)
        optimizer.step()
        step += 1
        average = loss.item() if step == 1 else 0.98 * average + 0.02 * loss.item()
        if step % 50 == 0:
            with log.open("a") as file:
                file.write(json.dumps({"steps": step, "velocity": round(average, 4), "done": round(done, 4)}) + "\n")
    return step


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--text-encoder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/settled"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=4e-4)
    parser.add_argument("--text-rate", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="faster on a processor with bfloat16 instructions")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe: Any = StableDiffusionPipeline.from_pretrained(args.model, torch_dtype=torch.float32, local_files_only=True)
    if args.text_encoder:
        pipe.text_encoder = CLIPTextModel.from_pretrained(args.text_encoder, dtype=torch.float32)
    args.out.mkdir(parents=True, exist_ok=True)
    steps = settle(pipe, args.work, args.minutes, args.rate, args.text_rate, args.out / "settle.jsonl", args.bf16)
    pipe.save_pretrained(args.out)
    # As it was written: transformers would write one that only its own version reads.
    shutil.copytree(args.model / "tokenizer", args.out / "tokenizer", dirs_exist_ok=True)
    print(f"{steps} steps of {BATCH}")


if __name__ == "__main__":
    main()
