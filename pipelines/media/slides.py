"""Pictures held for as long as their sounds: a slideshow whose pictures change exactly where the next sound begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from .. import spill
from ..errors import AigcError
from .clip import Clip, frame_rate, frames
from .sound import Sound, at_rate, emitted, encodable

LONGEST = 6 * 3600  # seconds of a slideshow


def slideshow(
    images: Any, sounds: Sequence[Sound], *, fps: Any, pause: float = 0.0, scratch: Path | None = None
) -> tuple[Clip, str]:
    """Picture n while sound n is heard and for `pause` seconds of silence behind it; and a report, a line a slide.

    images: as for `frames`, one a sound, or one for all of them. sounds: a batch counts as its rows. Each slide has whole
    frames, so that its sound begins with its first frame, to the sample. One picture for all is not copied; several are,
    once a frame; scratch: where `spill` puts many. Raises AigcError for numbers that do not fit, and for more than LONGEST.
    """
    shown, rate = frames(images), frame_rate(fps)
    sample_rate = encodable(max((sound.rate for sound in sounds), default=1))
    rows = [row for sound in sounds for row in at_rate(sound, sample_rate).waveform]
    if not rows or len(shown) not in (1, len(rows)):
        raise AigcError(
            f"Expected a picture for each of {len(rows)} sounds, or one for all of them, got {len(shown)}: draw and speak the "
            "same lines, with one_per_line on in Encode Prompt and in Speak."
        )
    if not 0 <= pause <= LONGEST:
        raise AigcError(f"Expected a pause of 0 seconds or more, got {pause:g}: 0.4 is usual.")
    silence, frame = round(pause * sample_rate), Fraction(sample_rate) / rate  # in samples
    counts = [math.ceil((row.shape[-1] + silence) / frame) for row in rows]
    if sum(counts) > LONGEST * rate:
        raise AigcError(
            f"Expected a slideshow of {LONGEST // 3600} hours at most, got {float(sum(counts) / rate):.0f} seconds: make several."
        )
    ends = [sum(counts[: n + 1]) for n in range(len(counts))]
    held, sound = repeated(shown, counts, scratch), _laid(rows, [0, *ends], frame)
    return Clip(held, rate, emitted(Sound(sound, sample_rate))), _report(counts, ends, rate, held)


def repeated(pictures: torch.Tensor, counts: Sequence[int], scratch: Path | None = None) -> torch.Tensor:
    """[B, H, W, C] -> [sum(counts), H, W, C]: picture n counts[n] times; a single one as often as all of them, in no memory."""
    if len(pictures) == 1:
        return pictures.expand(sum(counts), -1, -1, -1)
    held = spill.empty((sum(counts), *pictures.shape[1:]), scratch)
    for part, picture in zip(held.split(list(counts)), pictures):
        part.copy_(picture)
    return held


def _laid(rows: Sequence[torch.Tensor], bounds: Sequence[int], frame: Fraction) -> torch.Tensor:
    """[1, C, T] with row n [c, t] from the sample on that bounds[n] frames end with, and silence between.

    Halves are rounded up: then two bounds that are t samples apart or more stay so, and no sound is cut.
    """
    at = [math.floor(bound * frame + Fraction(1, 2)) for bound in bounds]
    sound = torch.zeros(1, max(len(row) for row in rows), at[-1])
    for row, start in zip(rows, at):
        sound[0, :, start : start + row.shape[-1]] = row  # one channel goes to both
    return sound


def _report(counts: Sequence[int], ends: Sequence[int], rate: Fraction, held: torch.Tensor) -> str:
    lines = [
        f"{n}: from {float((end - count) / rate):.2f} to {float(end / rate):.2f} seconds, {count} frames"
        for n, (count, end) in enumerate(zip(counts, ends), 1)
    ]
    memory = held.untyped_storage().nbytes() / 2**20
    _, height, width, _ = held.shape
    whole = f"{len(held)} frames of {width} x {height}, {float(len(held) / rate):.2f} seconds, {memory:.0f} MB"
    return "\n".join([*lines, whole])
