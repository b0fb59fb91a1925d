"""Train the motion layers of the embedded model on clips that are made while it runs.

    python -m training.motion.train --work build/pictogram --model models/pictogram --run build/motion --minutes 72

Each clip is a training picture carried along one of the motions of ``training.motion.clips``; no clip has a word. The picture
model stays as it is: its encoder gives the latents, its decoder is looked through. Run again to go on.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.motion.network import Motion, Shape
from training.pictogram.vae import SCALING, reconstruction_loss, to_signed

from . import clips

AVERAGE, NOISE, CELL = 0.998, 0.25, 16
KINDS = tuple(kind for kind in clips.PATHS if kind != "still")


@torch.no_grad()
def linear(vae: Any) -> tuple[Tensor, Tensor]:
    """The encoder, which is linear in each cell, as one convolution: weight [C, 3, 16, 16] and bias [C]."""
    bias = vae.encode(torch.zeros(1, 3, CELL, CELL)).latents.flatten() * SCALING
    units = torch.eye(3 * CELL**2).unflatten(1, (3, CELL, CELL))
    rows = vae.encode(units).latents.flatten(1) * SCALING - bias
    return rows.T.unflatten(1, (3, CELL, CELL)).contiguous(), bias


class Drawn(NamedTuple):
    """stills uint8 [B, S, S, 3], kinds [B], phases [B, F], strengths [B], moves [B, F, 2, 3]."""

    stills: np.ndarray
    kinds: Tensor
    phases: Tensor
    strengths: Tensor
    moves: Tensor

    def frames(self) -> np.ndarray:
        """uint8 [B * F, S, S, 3]."""
        every = zip(self.stills, self.moves.double().numpy(), strict=True)
        return np.stack([clips.carried(still, move) for still, path in every for move in path])


def signed(pictures: np.ndarray) -> Tensor:
    """uint8 [N, S, S, 3] -> [N, 3, S, S] in -1..1."""
    return to_signed(torch.from_numpy(pictures).permute(0, 3, 1, 2))


class Clips:
    """Draws of clips: every draw a function of its number."""

    def __init__(self, work: Path, vae: Any) -> None:
        kept = np.load(work / "pictures.npz")
        self.pictures, self.vae = kept["pictures"], vae
        self.matrix, self.bias = linear(vae)
        self.boxes = [clips.box(picture) for picture in self.pictures]

    def draw(self, number: int, count: int, frames: int) -> Drawn:
        """Clips of so many frames; half of them are parts of a motion."""
        dice = random.Random(number)
        rows = []
        for _ in range(count):
            index, kind, strength = (
                dice.randrange(len(self.pictures)),
                dice.randrange(len(KINDS)),
                dice.uniform(0.6, 1.4),
            )
            mirrored, where = dice.random() < 0.5, self.boxes[index]
            where = clips.Box(-where.right, where.top, -where.left, where.bottom) if mirrored else where
            first, step = dice.random() * 0.2, dice.uniform(0.4, 1.0) / (frames - 1)
            whole = dice.random() < 0.5
            at = np.linspace(0, 1, frames) if whole else np.clip(first + step * np.arange(frames), 0, 1)
            rows.append((index, mirrored, kind, strength, at, clips.path(KINDS[kind], where, at, strength)))
        index, mirrored, kind, strength, at, path = zip(*rows)
        stills = [np.ascontiguousarray(p[:, ::-1]) if m else p for p, m in zip(self.pictures[list(index)], mirrored)]
        numbers = [torch.tensor(np.array(part), dtype=torch.float32) for part in (at, strength, path)]
        return Drawn(np.stack(stills), torch.tensor(kind), *numbers)

    def latents(self, pictures: np.ndarray) -> Tensor:
        """uint8 [N, S, S, 3] -> [N, C, H, W]."""
        return F.conv2d(signed(pictures), self.matrix, self.bias, stride=CELL)

    def noisy(self, drawn: Drawn, number: int) -> Tensor:
        """The stills' latents, a little off, as those that are sampled are."""
        generator, still = torch.Generator().manual_seed(number), self.latents(drawn.stills)
        amount = NOISE * torch.rand(len(still), 1, 1, 1, generator=generator)
        return still + amount * torch.randn(still.shape, generator=generator)


def apart(found: Tensor, meant: Tensor) -> Tensor:
    """How far two affine maps [..., 2, 3] carry the corners and the middle apart, mean, in half sides of the picture."""
    places = torch.tensor([[-1, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1], [0, 0, 1.0]]) * torch.tensor([0.8, 0.8, 1])
    return ((found - meant) @ places.T).abs().mean()


def new(vae: Any, seed: int = 0) -> Motion:
    """Untrained layers for this autoencoder."""
    torch.manual_seed(seed)
    return Motion(Shape(KINDS, channels=vae.config.latent_channels))


def losses(motion: Motion, source: Clips, number: int, args: Any) -> dict[str, Tensor]:
    """Of step `number`. The flow learns first, by the maps that were meant; then everything else learns what the clips show."""
    if number < args.flow_steps:
        drawn = source.draw(number, 64, 8)
        found = motion.flow(source.noisy(drawn, number), drawn.kinds, drawn.phases, drawn.strengths)
        return {"flow": apart(found, drawn.moves)}
    drawn = source.draw(number, args.clips, args.frames)
    made = motion(source.noisy(drawn, number), drawn.kinds, drawn.phases, drawn.strengths)
    meant = drawn.frames()
    chosen = torch.randperm(len(made), generator=torch.Generator().manual_seed(number))[: args.seen]
    seen = source.vae.decode(made[chosen] / SCALING).sample
    return {
        "latent": F.mse_loss(made, source.latents(meant)),
        "picture": 2 * reconstruction_loss(seen, signed(meant[chosen.numpy()])),
    }


def annealed(rate: float, share: float, step: int) -> float:
    """A short way up, then half a cosine down to a fiftieth."""
    return rate * min(1, (step + 1) / 100) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, share))))


def main() -> None:
    """Command line."""
    from diffusers import AutoencoderTiny

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--run", type=Path, default=Path("build/motion"))
    parser.add_argument("--minutes", type=float, default=72)
    parser.add_argument("--flow-steps", type=int, default=4000, help="steps of the flow alone, at the beginning")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--seen", type=int, default=8, help="frames a step that are looked at as pictures")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    vae: Any = (
        AutoencoderTiny.from_pretrained(args.model / "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
    )
    source, motion = Clips(args.work, vae), new(vae)
    print(sum(p.numel() for p in motion.parameters()), "weights")
    average = {k: v.detach().clone() for k, v in motion.state_dict().items()}
    optimizer = torch.optim.AdamW(motion.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01)
    args.run.mkdir(parents=True, exist_ok=True)
    done, spent, flow_seconds = 0, 0.0, 0.0
    if (args.run / "last.pt").exists():
        kept = torch.load(args.run / "last.pt", weights_only=True)
        motion.load_state_dict(kept["motion"])
        optimizer.load_state_dict(kept["optimizer"])
        average, done, spent = kept["average"], kept["done"], kept["spent"]
        flow_seconds = kept["flow_seconds"]
    begun, rows = time.monotonic(), []

    def save() -> None:
        state = {"motion": motion.state_dict(), "average": average, "optimizer": optimizer.state_dict(), "done": done}
        spans = {"spent": spent + time.monotonic() - begun, "flow_seconds": flow_seconds}
        torch.save({**state, **spans}, args.run / "part.pt")
        (args.run / "part.pt").replace(args.run / "last.pt")

    while (passed := spent + time.monotonic() - begun) < args.minutes * 60:
        first = done < args.flow_steps
        if done == args.flow_steps:
            flow_seconds = passed
        motion.flow.requires_grad_(first)
        step = done if first else done - args.flow_steps
        share = done / args.flow_steps if first else (passed - flow_seconds) / (args.minutes * 60 - flow_seconds)
        for group in optimizer.param_groups:
            group["lr"] = annealed(args.rate, share, step)
        parts = losses(motion, source, done, args)
        optimizer.zero_grad()
        sum(parts.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(motion.parameters(), 1.0)
        optimizer.step()
        done += 1
        decay = min(AVERAGE, (1 + step) / (10 + step))
        for name, value in motion.state_dict().items():
            average[name].lerp_(value.detach(), 1 - decay)
        rows.append({name: float(part.detach()) for name, part in parts.items()})
        if done % 20 == 0:
            means = {name: round(float(np.mean([row[name] for row in rows[-20:]])), 4) for name in parts}
            with (args.run / "log.jsonl").open("a") as file:
                file.write(json.dumps({"step": done, "seconds": round(passed), **means}) + "\n")
        if done % 200 == 0:
            save()
    save()


if __name__ == "__main__":
    main()
