"""Measure the shipped motion layers: are their motions recognised, is the subject kept.

    python -m training.motion.evaluate --model models/pictogram --motion models/motion/pictogram.safetensors \
        --json models/motion/figures.json --sheet docs/motion.jpg

Clips of 16 frames of pictures that the embedded model draws, by its own stages. A motion counts as recognised when, of all eight
and standing still, its optical flow is nearest (``training.motion.flow``). The subject: each frame is turned back by the motion
that was meant and judged by the shipped judge of agreement with the prompt; the mean over the frames, as a share of the still's own
score. Frames in which the subject has less than a third of its size say nothing and are left out. ``pixels_off``: how far the
flow is from the motion that was meant, by the corners and the middle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from pipelines import stages
from pipelines.loading import Roots, open_model
from pipelines.menus import MOTIONS
from pipelines.runtime import Runtime
from pipelines.score import judges, scoring
from training.pictogram.captions import load_concepts

from . import clips, flow
from .train import apart

FRAMES, STEPS, GUIDANCE, SMALLEST, SIDE = 16, 15, 1.5, 1 / 3, 128
RUNTIME = Runtime("cpu")


class Clip(NamedTuple):
    """One that was made: a still uint8 [S, S, 3], frames [F, S, S, 3], their latents [F, C, H, W] and moves [F, 2, 3]."""

    prompt: str
    kind: str
    still: np.ndarray
    frames: np.ndarray
    latents: torch.Tensor
    moves: np.ndarray

    @property
    def meant(self) -> np.ndarray:
        """The moves that fit the still."""
        return clips.path(self.kind, clips.box(self.still), np.linspace(0, 1, FRAMES))


def opened(folder: Path) -> Any:
    """The embedded model."""
    return open_model(str(folder), roots=Roots(embedded=(folder.parent,)), dtype="float32", offload="keep")


def pictures(model: Any, latents: dict[str, Any]) -> np.ndarray:
    """uint8 [N, S, S, 3]."""
    return (stages.decode_image(model, latents, runtime=RUNTIME).numpy() * 255).round().astype(np.uint8)


def stills_of(model: Any, prompts: list[str]) -> dict[str, Any]:
    """LATENT, a row a prompt."""
    conditioning = stages.encode_prompt(model, prompts, [""], runtime=RUNTIME)
    empty = stages.empty_latents(model, batch_size=len(prompts), runtime=RUNTIME)
    return stages.sample(model, conditioning, empty, steps=STEPS, cfg=GUIDANCE, runtime=RUNTIME)


def clips_of(model: Any, motion: Path, prompts: list[str], stills: dict[str, Any], kind: str) -> Iterator[Clip]:
    """One of each still; prompts: what they show."""
    moved = stages.animate(model, stills, motion=kind, frames=FRAMES, path=motion, runtime=RUNTIME)
    made = pictures(model, moved), moved["samples"], moved["aigc_motion"].moves.numpy()
    for row, (prompt, still) in enumerate(zip(prompts, pictures(model, stills), strict=True)):
        yield Clip(prompt, kind, still, *(part[row * FRAMES : (row + 1) * FRAMES] for part in made))


def turned_back(clip: Clip) -> np.ndarray:
    """The frames, each carried back by the motion that was meant; those where the subject is tiny are left out."""
    moves = clip.meant
    large = [abs(np.linalg.det(move[:, :2])) ** 0.5 >= SMALLEST for move in moves]
    backs = [np.linalg.inv(np.vstack([move, (0, 0, 1)]))[:2] for move in moves]
    return np.stack([clips.carried(frame, back) for frame, back, ok in zip(clip.frames, backs, large) if ok])


def kept(model: Any, judge: Any, clip: Clip) -> float:
    """What the judge makes of the frames as a share of what it makes of the still."""

    def judged(frames: np.ndarray) -> float:
        latents = stages.encode_image(model, torch.from_numpy(frames).float() / 255, runtime=RUNTIME)
        return float(np.mean(scoring.score(judge, latents, prompts=[clip.prompt], runtime=RUNTIME).values))

    return judged(turned_back(clip)) / judged(clip.still[None])


def agreement(models: Path) -> Any:
    """The shipped judge of whether a picture shows its prompt."""
    return judges.open_discriminator(
        str(models / "judges" / "pictogram-agreement.safetensors"), roots=Roots(embedded=(models,))
    )


def evaluate(folder: Path, motion: Path, each: int) -> tuple[dict[str, Any], list[Clip]]:
    """Figures, and the clips that they are of. each: prompts a motion, spread over the model's concepts."""
    model = opened(folder)
    judge = agreement(folder.parent)
    names = [concept.name for concept in load_concepts(folder / "vocabulary.json")]
    every = len(names) / (each * len(MOTIONS))
    prompts = [names[int((i + 0.5) * every)] for i in range(each * len(MOTIONS))]
    made: list[Clip] = []
    for k, kind in enumerate(MOTIONS):
        mine = prompts[k :: len(MOTIONS)]
        made += clips_of(model, motion, mine, stills_of(model, mine), kind)
    found = [flow.recognised(clip.frames, clip.still) for clip in made]
    shares = [kept(model, judge, clip) for clip in made]
    plain = [kept(model, judge, c._replace(frames=pictures(model, {"samples": c.latents}))) for c in made]
    off = [float(apart(torch.from_numpy(c.moves), torch.from_numpy(c.meant).float())) * SIDE / 2 for c in made]
    by_kind = {kind: [f == kind for f, c in zip(found, made) if c.kind == kind] for kind in MOTIONS}
    figures: dict[str, Any] = {
        "clips": len(made),
        "recognised": round(100 * float(np.mean([f == c.kind for f, c in zip(found, made)])), 1),
        "recognised_by_motion": {kind: round(100 * float(np.mean(hits)), 1) for kind, hits in by_kind.items()},
        "taken_for": [f"{c.prompt}, {c.kind}: {f}" for f, c in zip(found, made) if f != c.kind],
        "subject_kept": round(100 * float(np.mean(shares)), 1),
        "subject_kept_least": round(100 * min(shares), 1),
        "subject_kept_without_the_still": round(100 * float(np.mean(plain)), 1),
        "pixels_off": round(float(np.mean(off)), 2),
        "pixels_off_most": round(max(off), 2),
    }
    return figures, made


def sheet(made: list[Clip]) -> Image.Image:
    """The first clip of each motion, every second frame."""
    firsts = {clip.kind: clip for clip in reversed(made)}
    return Image.fromarray(np.concatenate([np.concatenate(list(firsts[kind].frames[::2]), 1) for kind in MOTIONS]))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--motion", type=Path, default=Path("models/motion/pictogram.safetensors"))
    parser.add_argument("--each", type=int, default=10, help="prompts a motion")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    figures, made = evaluate(args.model.resolve(), args.motion, args.each)
    for name, value in figures.items():
        print(f"{name}: {value}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    if args.sheet:
        sheet(made).save(args.sheet, quality=90)


if __name__ == "__main__":
    main()
