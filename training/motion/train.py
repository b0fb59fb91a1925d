"""Train the motion layers of the embedded model on clips that are made while it runs.

    python -m training.motion.train --work build/pictogram --model models/pictogram --run build/motion

Each clip is a training picture carried along one of the motions of ``training.motion.clips``; no clip has a word. The picture
model stays as it is: its encoder gives the latents, its decoder is looked through. Three parts learn one after another, each with
the ones before it as they came out: the flow, by the maps that were meant; the layers that draw latents, and those that draw the
decoded frames once more, by what the clips show. Run again to go on.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable
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
REDRAWN = 2  # clips a step: of few, as many frames are looked at
STEPS = {"flow": 12000, "latents": 2400, "redraw": 1600}


@torch.no_grad()
def linear(vae: Any) -> tuple[Tensor, Tensor]:
    """The encoder, which is linear in each cell, as one convolution: weight [C, 3, 16, 16] and bias [C]."""
    bias = vae.encode(torch.zeros(1, 3, CELL, CELL)).latents.flatten() * SCALING
    units = torch.eye(3 * CELL**2).unflatten(1, (3, CELL, CELL))
    rows = vae.encode(units).latents.flatten(1) * SCALING - bias
    return rows.T.unflatten(1, (3, CELL, CELL)).contiguous(), bias


class Drawn(NamedTuple):
    """stills uint8 [B, S, S, 3] and decoded ones, what the decoder makes of them; kinds [B], phases [B, F], strengths [B],
    moves [B, F, 2, 3]."""

    stills: np.ndarray
    decoded: np.ndarray
    kinds: Tensor
    phases: Tensor
    strengths: Tensor
    moves: Tensor

    @property
    def told(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.kinds, self.phases, self.strengths

    def frames(self, some: Tensor | None = None) -> np.ndarray:
        """uint8 [B * F, S, S, 3], or only those at some places."""
        moves, frames = self.moves.double().flatten(0, 1).numpy(), self.moves.shape[1]
        places = range(len(moves)) if some is None else some.tolist()
        return np.stack([clips.carried(self.stills[place // frames], moves[place]) for place in places])


def signed(pictures: np.ndarray) -> Tensor:
    """uint8 [N, S, S, 3] -> [N, 3, S, S] in -1..1."""
    return to_signed(torch.from_numpy(pictures).permute(0, 3, 1, 2))


class Clips:
    """Draws of clips: every draw a function of its number."""

    def __init__(self, work: Path, vae: Any) -> None:
        kept = np.load(work / "pictures.npz")
        self.pictures, self.vae = kept["pictures"], vae
        self.matrix, self.bias = linear(vae)
        parts = np.array_split(self.pictures, len(self.pictures) // 32)
        self.decoded = np.concatenate([self.seen(self.latents(part)) for part in parts])
        self.boxes = [clips.box(picture) for picture in self.decoded]  # a motion fits what is seen

    @torch.no_grad()
    def seen(self, latents: Tensor) -> np.ndarray:
        """[N, C, H, W] -> uint8 [N, S, S, 3]."""
        pixels = self.vae.decode(latents / SCALING).sample.permute(0, 2, 3, 1)
        return (pixels / 2 + 0.5).clamp(0, 1).mul(255).round().byte().numpy()

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
        stills, decoded = (
            np.stack([p[:, ::-1] if m else p for p, m in zip(whole[list(index)], mirrored)])
            for whole in (self.pictures, self.decoded)
        )
        numbers = [torch.tensor(np.array(part), dtype=torch.float32) for part in (at, strength, path)]
        return Drawn(stills, decoded, torch.tensor(kind), *numbers)

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


def flow_loss(motion: Motion, source: Clips, number: int, args: Any) -> dict[str, Tensor]:
    """Of the flow: how far from the maps that were meant."""
    drawn = source.draw(number, 64, 8)
    return {"flow": apart(motion.flow(signed(drawn.decoded), *drawn.told), drawn.moves)}


def chosen(count: int, number: int, seen: int) -> Tensor:
    """The frames of a step that are looked at as pictures."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(number))[:seen]


def latents_loss(motion: Motion, source: Clips, number: int, args: Any) -> dict[str, Tensor]:
    """Of the layers that draw latents: as latents, and some as pictures."""
    drawn = source.draw(number, args.clips, args.frames)
    with torch.no_grad():
        moves = motion.flow(signed(drawn.decoded), *drawn.told)
    made, meant = motion(source.noisy(drawn, number), moves, *drawn.told), drawn.frames()
    some = chosen(len(made), number, args.seen)
    seen = source.vae.decode(made[some] / SCALING).sample
    return {
        "latent": F.mse_loss(made, source.latents(meant)),
        "picture": 2 * reconstruction_loss(seen, signed(meant[some.numpy()])),
    }


def redraw_loss(motion: Motion, source: Clips, number: int, args: Any) -> dict[str, Tensor]:
    """Of the layers that draw decoded frames once more, beside the still as it was sampled and decoded."""
    drawn = source.draw(number, REDRAWN, args.frames)
    with torch.no_grad():
        latents = source.noisy(drawn, number)
        stills = source.vae.decode(latents / SCALING).sample.clamp(-1, 1)
        moves = motion.flow(stills, *drawn.told)
        made = motion(latents, moves, *drawn.told)
        some = chosen(len(made), number, args.seen)
        frames = source.vae.decode(made[some] / SCALING).sample.clamp(-1, 1)
    rows = some // args.frames
    seen = motion.redrawn(frames, stills[rows], moves.flatten(0, 1)[some][:, None])
    return {"picture": reconstruction_loss(seen, signed(drawn.frames(some)))}


LOSSES: dict[str, Callable[[Motion, Clips, int, Any], dict[str, Tensor]]] = {
    "flow": flow_loss,
    "latents": latents_loss,
    "redraw": redraw_loss,
}


def parts_of(motion: Motion) -> dict[str, list[torch.nn.Parameter]]:
    """What each part trains."""
    apart = {"flow": list(motion.flow.parameters()), "redraw": list(motion.redraw.parameters())}
    others = {id(p) for part in apart.values() for p in part}
    return {**apart, "latents": [p for p in motion.parameters() if id(p) not in others]}


def annealed(rate: float, step: int, steps: int) -> float:
    """A short way up, then half a cosine down to a fiftieth."""
    return rate * min(1, (step + 1) / 100) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps))))


class Training:
    """One part of the layers learns; its checkpoint is `<part>.pt` of the run, with all the layers in it."""

    def __init__(self, part: str, motion: Motion, source: Clips, args: Any) -> None:
        self.part, self.motion, self.source, self.args = part, motion, source, args
        self.steps, self.done, self.path = args.steps[part], 0, args.run / f"{part}.pt"
        self.weights = parts_of(motion)[part]
        self.optimizer = torch.optim.AdamW(self.weights, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01)
        if self.path.exists():
            kept = torch.load(self.path, weights_only=True)
            motion.load_state_dict(kept["motion"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.average, self.done = kept["average"], kept["done"]
        else:
            self.average = {k: v.detach().clone() for k, v in motion.state_dict().items()}

    def save(self) -> None:
        """Whole or not at all."""
        kept = {"motion": self.motion.state_dict(), "average": self.average, "done": self.done}
        torch.save({**kept, "optimizer": self.optimizer.state_dict()}, self.path.with_suffix(".part"))
        self.path.with_suffix(".part").replace(self.path)

    def step(self) -> dict[str, float]:
        """One; the terms of its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = annealed(self.args.rate, self.done, self.steps)
        terms = LOSSES[self.part](self.motion, self.source, self.done, self.args)
        self.optimizer.zero_grad()
        sum(terms.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.done += 1
        decay = min(AVERAGE, self.done / (9 + self.done))
        for name, value in self.motion.state_dict().items():
            self.average[name].lerp_(value.detach(), 1 - decay)
        return {name: float(term.detach()) for name, term in terms.items()}

    def run(self) -> None:
        """To the end of this part, and take on its average."""
        self.motion.requires_grad_(False)
        for weight in self.weights:
            weight.requires_grad_(True)
        begun, rows = time.monotonic(), []
        while self.done < self.steps:
            rows.append(self.step())
            if self.done % 20 == 0:
                means = {name: round(float(np.mean([row[name] for row in rows[-20:]])), 4) for name in rows[-1]}
                line = {"part": self.part, "step": self.done, "seconds": round(time.monotonic() - begun), **means}
                with (self.args.run / "log.jsonl").open("a") as file:
                    file.write(json.dumps(line) + "\n")
            if self.done % 200 == 0:
                self.save()
        self.motion.load_state_dict(self.average)
        self.save()


def main() -> None:
    """Command line."""
    from diffusers import AutoencoderTiny

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--run", type=Path, default=Path("build/motion"))
    parser.add_argument("--steps", type=int, nargs=3, default=list(STEPS.values()), help="of " + ", ".join(STEPS))
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--seen", type=int, default=8, help="frames a step that are looked at as pictures")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.steps = dict(zip(STEPS, args.steps, strict=True))
    torch.set_num_threads(args.threads)
    vae: Any = (
        AutoencoderTiny.from_pretrained(args.model / "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
    )
    source, motion = Clips(args.work, vae), new(vae)
    args.run.mkdir(parents=True, exist_ok=True)
    print(sum(p.numel() for p in motion.parameters()), "weights")
    for part in STEPS:
        Training(part, motion, source, args).run()


if __name__ == "__main__":
    main()
