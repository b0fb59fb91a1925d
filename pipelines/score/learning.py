"""Training a judge from what a user has: pictures or latents, real ones and generated ones; kept also when stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import names
from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from . import learned
from .net import NetConfig
from .statistics import auc
from .training import Examples, Report, Trainer, examine, logits, split

LEAST_STEPS = 20  # fewer are not worth a file
OnStep = Callable[[int, int, Report], None]


@dataclass(frozen=True)
class Space:
    """Where the judge works: a LATENT z is (z - shift) * scale there, one value or one a channel. name: "rgb01" or "latent:…"."""

    name: str = "rgb01"
    scale: float | tuple[float, ...] = 1.0
    shift: float | tuple[float, ...] = 0.0

    @property
    def modality(self) -> str:
        return "image" if self.name == "rgb01" else "latent"


@dataclass(frozen=True)
class Course:
    """How to train: for at most `steps` and `minutes`; noise_aware: at every noise level, so that the judge can guide."""

    steps: int = 3000
    minutes: float = 5.0
    noise_aware: bool = False
    batch: int = 48
    rate: float = 1.5e-3
    seed: int = 0


def own_space(samples: torch.Tensor, name: str) -> Space:
    """The space of LATENTs [N, C, ...] of no known model: centred, and of variance 1 as a whole."""
    return Space(name, scale=1 / max(float(samples.std()), 1e-6), shift=float(samples.mean()))


def affine(into: Callable[[torch.Tensor], torch.Tensor], like: torch.Tensor, name: str) -> Space:
    """The space that `into` takes a LATENT [1, C, ...] to, read off zeros and ones.

    Raises AigcError when it is not the same for all cells of a channel.
    """
    low, high = into(torch.zeros_like(like)), into(torch.ones_like(like))
    slope, offset = ((x.movedim(1, 0).flatten(1)) for x in (high - low, low))  # [C, cells]
    uneven = max(float((x - x[:, :1]).abs().max()) for x in (slope, offset))
    if uneven > 1e-3 * float(slope.abs().max()):
        raise AigcError(
            f"Expected latents that this model scales by channel, got others ({name}): train without the model, to rank only."
        )
    scale, shift = slope[:, 0], -offset[:, 0] / slope[:, 0]
    return Space(name, _short(scale), _short(shift))


def _short(values: torch.Tensor) -> float | tuple[float, ...]:
    known = [round(float(v), 7) for v in values]
    return known[0] if max(known) - min(known) < 1e-6 else tuple(known)


def frames(samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures or a video's latents as pictures [N, C, H, W], and the item [N] that each belongs to."""
    items = torch.arange(len(samples))
    if samples.ndim == 5:
        return samples.movedim(2, 1).flatten(0, 1), items.repeat_interleave(samples.shape[2])
    if samples.ndim != 4:
        raise AigcError(
            f"Expected pictures or latents of pictures, got shape {list(samples.shape)}: a judge of sound cannot be trained here."
        )
    return samples, items


def fitted(picture: torch.Tensor, size: int) -> torch.Tensor:
    """A picture [3, H, W] as [3, size, size]: the shorter side scaled, antialiased, the middle cut out."""
    scale = size / min(picture.shape[-2:])
    sides = [max(size, round(n * scale)) for n in picture.shape[-2:]]
    if sides != list(picture.shape[-2:]):
        picture = torch.nn.functional.interpolate(picture[None], sides, mode="bilinear", antialias=True)[0]
    top, left = ((n - size) // 2 for n in sides)
    return picture[..., top : top + size, left : left + size].clamp(0, 1)


def learn(
    spec: JudgeSpec,
    real: torch.Tensor,
    fake: torch.Tensor,
    course: Course,
    path: Path,
    *,
    on_step: OnStep | None = None,
    device: Any = "cpu",
) -> tuple[Discriminator, Report]:
    """Train on real and generated ones [N, C, H, W] in the judge's space, examine on a fifth of each, and save to `path`.

    on_step(done, total, report so far) may raise to stop: what was learned is examined and saved all the same, and the
    exception goes on. Raises AigcError when there are too few, or their shapes differ.
    """
    sides = [Examples(*frames(x.detach().clone())) for x in (real, fake)]
    if sides[0].x.shape[1:] != sides[1].x.shape[1:]:
        shapes = " and ".join(str(list(side.x.shape[1:])) for side in sides)
        raise AigcError(f"Expected real and generated ones of one shape, got {shapes}: bring them to the same size.")
    sides[1].group += int(sides[0].group.max()) + 1 if len(sides[0].group) else 0
    with torch.inference_mode(False):
        kept, held_out = split(sides[0], sides[1], course.seed)
        config = _config(spec, sides[0].x.shape, course.noise_aware)
        trainer = Trainer(kept, config, seed=course.seed, rate=course.rate, batch=course.batch, device=device)
        if min(map(len, held_out)) < 4:
            raise AigcError(
                f"Expected at least 20 real and 20 generated ones, got {len(real)} and {len(fake)}: a fifth is kept to examine."
            )
        stopped, start = None, time.monotonic()
        try:
            _run(trainer, course, start, on_step)
        except BaseException as error:
            if trainer.done < LEAST_STEPS:
                raise
            stopped = error
        net = trainer.averaged()
        report = replace(
            examine(net, held_out), steps=trainer.done, loss=trainer.losses, seconds=time.monotonic() - start
        )
        report.seen = auc(logits(net, kept[0], 0.0), logits(net, kept[1], 0.0))
        report.counts = (len(kept[0]), len(kept[1]), len(held_out[0]), len(held_out[1]))
        judge = learned.described(spec, report)
        learned.save(path, judge, net)
    if stopped is not None:
        raise stopped
    return replace(judge, path=path), report


def _run(trainer: Trainer, course: Course, start: float, on_step: OnStep | None) -> None:
    seconds = course.minutes * 60
    while trainer.done < course.steps and (passed := time.monotonic() - start) < seconds:
        progress = max(trainer.done / course.steps, passed / seconds)
        trainer.losses.append((trainer.done, trainer.step(progress)))
        if on_step is not None:
            on_step(
                trainer.done, round(trainer.done / progress) if progress else course.steps, Report(loss=trainer.losses)
            )


def _config(spec: JudgeSpec, shape: Sequence[int], noise_aware: bool) -> NetConfig:
    """A network for these sizes: about 16 by 16 cells and more at its first scale, and two scales more."""
    channels, side = shape[1], min(shape[-2:])
    if spec.modality == "image":
        return NetConfig(channels=channels, patch=4, widths=(48, 64, 96), depth=1, noise_aware=False)
    patch = 1 if side < 32 else 2
    widths = (64, 96) if side < 64 else (64, 96, 128)
    if side // patch < 2 ** (len(widths) - 1):
        raise AigcError(f"Expected latents of at least 2 by 2 cells, got {side}: use larger pictures.")
    return NetConfig(channels=channels, patch=patch, widths=widths, depth=2, noise_aware=noise_aware)


def told(judge: Discriminator, report: Report) -> str:
    """What the training came to, a line each."""
    real, fake, held_real, held_fake = report.counts
    lines = [
        f"{judge.spec.id}: {report.steps} steps in {report.seconds:.0f} s, on {real} real and {fake} generated ones",
        f"held-out AUC ({held_real} real, {held_fake} generated): "
        + ", ".join(f"{area:.3f} at noise {sigma:g}" if sigma else f"{area:.3f}" for sigma, area in report.auc),
        f"AUC on what it was trained on: {report.seen:.3f}",
    ]
    clean = report.auc[0][1]
    if report.seen - clean > 0.08:
        lines.append("It knows its training set better than new ones: add examples, above all real ones.")
    if clean < 0.6:
        lines.append(
            "It can hardly tell them apart: the generated ones are as good as the real, or it needs more steps."
        )
    return "\n".join(lines)


def free_path(folder: Path, name: str) -> Path:
    """A .safetensors file of this name that is not there yet: name, name 2, name 3 … Raises AigcError for a bad name."""
    name = names.checked(name, "the file")
    path, number = folder / f"{name}.safetensors", 1
    while path.exists():
        number += 1
        path = folder / f"{name} {number}.safetensors"
    return path
