"""VIDEO at our boundary: frames that H.264 takes, a rate as a fraction, and sound of the same length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from ..errors import AigcError
from .sound import emitted, heard

SLOWEST, FASTEST = Fraction(1, 100), Fraction(1000)  # frames a second that an MP4 holds


class Clip(NamedTuple):
    """What a VIDEO is made of. frames: [F, H, W, 3] as `frames` gives them. audio: AUDIO of the same length, or None."""

    frames: torch.Tensor
    rate: Fraction
    audio: dict[str, Any] | None = None


def clip(images: Any, fps: Any, audio: Any = None) -> Clip:
    """Frames and their sound as a VIDEO is made of them; the sound is cut, or filled up with silence, to the frames' length.

    images: as for `frames`. fps: any number, or a Fraction. Raises AigcError for what cannot be a video, and for several
    sounds, which the host would write one after another's samples.
    """
    shown, rate = frames(images), frame_rate(fps)
    return Clip(shown, rate, None if audio is None else beside(audio, len(shown), rate))


def beside(audio: Any, count: int, rate: Fraction) -> dict[str, Any]:
    """The sound of a video of `count` frames."""
    sound = heard(audio)
    if len(sound.waveform) != 1:
        raise AigcError(
            f"Expected one sound for the video, got {len(sound.waveform)}: choose one of them, with Rank for example."
        )
    given = emitted(sound)
    wanted = max(1, round(count * given["sample_rate"] / rate))
    waveform = given["waveform"]
    return {**given, "waveform": F.pad(waveform, (0, wanted - waveform.shape[-1])).contiguous()}


def in_a_row(audio: Any, count: int, fps: Any) -> dict[str, Any]:
    """The sounds of several videos whose `count` frames follow each other, as one: each as long as its own frames."""
    sound, rate = heard(audio), frame_rate(fps)
    each = [
        beside({"waveform": row[None], "sample_rate": sound.rate}, count // len(sound.waveform), rate)
        for row in sound.waveform
    ]
    return {**each[0], "waveform": torch.cat([one["waveform"] for one in each], dim=-1)}


def frame_rate(fps: Any) -> Fraction:
    """Frames a second as the host wants them. Raises AigcError for a number that no video has."""
    try:
        rate = Fraction(fps).limit_denominator(1001)
    except (TypeError, ValueError, OverflowError):
        rate = Fraction(0)
    if not SLOWEST <= rate <= FASTEST:
        raise AigcError(f"Expected {float(SLOWEST):g} to {FASTEST} frames a second, got {fps}: 24 is usual.")
    return rate


def frames(images: Any) -> torch.Tensor:
    """Pictures [F, H, W, C] or one [H, W, C] as frames [F, H, W, 3] in 0..1, float32 on the CPU, of even width and height.

    Alpha is dropped, grey is tripled, an odd last row or column is cut off (a single one is doubled); whole numbers are taken
    for 0..255. Raises AigcError for no frames, for NaN, and for other shapes.
    """
    x = torch.as_tensor(images).detach().cpu()
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[-1] not in (1, 3, 4):
        raise AigcError(
            f"Expected frames of shape [F, H, W, C] with 1, 3 or 4 channels, got {list(x.shape)}: connect an IMAGE."
        )
    if not x.numel():
        raise AigcError(f"Expected at least one frame with at least one pixel, got shape {list(x.shape)}: it is empty.")
    x = x.float() if x.is_floating_point() else x.float() / 255
    if not math.isfinite(float(x.sum(dtype=torch.float64))) and not torch.isfinite(x).all():
        raise AigcError(
            "Expected finite colours, got NaN or infinity: load the model with dtype float32 or bfloat16, or lower cfg."
        )
    x = x.expand(-1, -1, -1, 3) if x.shape[-1] == 1 else x[..., :3]
    x = _even(_even(x, 1), 2).contiguous()
    low, high = x.aminmax()
    return x if 0 <= low and high <= 1 else x.clamp(0, 1)  # long clips are not copied


def one_batch(images: Sequence[Any]) -> torch.Tensor:
    """A list of pictures [B, H, W, C] as one batch. Raises AigcError for different sizes."""
    given = [torch.as_tensor(x) for x in images]
    sizes = list(dict.fromkeys(tuple(x.shape[1:]) for x in given))
    if len(sizes) != 1:
        raise AigcError(
            f"Expected pictures of one size, got {', '.join(map(str, sizes)) or 'none'}: scale them to one, with the host's "
            "Upscale Image for example."
        )
    return given[0] if len(given) == 1 else torch.cat(given)


def _even(x: torch.Tensor, dim: int) -> torch.Tensor:
    size = x.shape[dim]
    return x.repeat_interleave(2, dim) if size == 1 else x.narrow(dim, 0, size - size % 2)
