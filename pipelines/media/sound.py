"""AUDIO at our boundary. The host writes what it is given: other rates end in an encoder's error, other shapes in noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ..errors import AigcError
from .resampling import resampled

# What FLAC, MP3, Opus (the host resamples for it) and AAC all take.
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
FASTEST = 768_000  # Hz; beyond it a number is no sample rate
HALF_POWER = 0.5**0.5


class Sound(NamedTuple):
    """waveform: [B, C, T], C 1 or 2, float32 on the CPU, finite. rate: samples a second."""

    waveform: torch.Tensor
    rate: int

    @property
    def seconds(self) -> float:
        return self.waveform.shape[-1] / self.rate


def audio(waveform: Any, rate: Any) -> dict[str, Any]:
    """A sound [B, C, T], [C, T] or [T] as the host's AUDIO: what its encoders take, within -1..1, nothing else changed.

    Beyond -1..1 it is cut off, as every encoder would. Raises AigcError as `heard` does.
    """
    return emitted(heard({"waveform": waveform, "sample_rate": rate}))


def emitted(sound: Sound) -> dict[str, Any]:
    """A Sound as AUDIO, within -1..1 and at a rate that every encoder takes."""
    rate = encodable(sound.rate)
    waveform = at_rate(sound, rate).waveform.clamp(-1, 1)
    return {"waveform": waveform.contiguous(), "sample_rate": rate}


def encodable(rate: int) -> int:
    """The rate itself, or the next of RATES above it; above all of them the one of its own family."""
    above = [known for known in RATES if known >= rate]
    return above[0] if above else 44100 if rate % 11025 == 0 else RATES[-1]


def at_rate(sound: Sound, rate: int) -> Sound:
    """The same sound at another rate, band-limited."""
    if sound.rate == rate:
        return sound
    batch, channels, _ = sound.waveform.shape
    flat = resampled(sound.waveform.flatten(0, 1), sound.rate, rate)
    return Sound(flat.unflatten(0, (batch, channels)), rate)


def heard(given: Any, name: str = "audio") -> Sound:
    """An AUDIO that came in, in one form. name: what the error calls it.

    Whole numbers are taken for samples of 8, 16 or 32 bits; six channels are mixed down as 5.1, other numbers above two to
    one. Raises AigcError for no sound (a silent video's is None), for none of its samples, for NaN, and for an odd rate.
    """
    if given is None:
        raise AigcError(
            f"Expected a sound as {name}, got none: a video without sound has none to give. Connect another."
        )
    if not isinstance(given, dict) or "waveform" not in given or "sample_rate" not in given:
        raise AigcError(
            f"Expected a sound with waveform and sample_rate as {name}, got {type(given).__name__}: connect an AUDIO output."
        )
    waveform = _floats(torch.as_tensor(given["waveform"]).detach().cpu(), name)
    if not 1 <= waveform.ndim <= 3:
        raise AigcError(f"Expected a sound of shape [B, C, T] as {name}, got {list(waveform.shape)}: connect an AUDIO.")
    waveform = waveform.reshape((1,) * (3 - waveform.ndim) + tuple(waveform.shape))
    if not waveform.numel():
        raise AigcError(
            f"Expected a sound of at least one sample as {name}, got shape {list(waveform.shape)}: it is empty."
        )
    if not torch.isfinite(waveform).all():
        raise AigcError(
            f"Expected finite samples as {name}, got NaN or infinity: if a model made them, load it with dtype float32."
        )
    return Sound(_one_or_two(waveform).contiguous(), _rate(given["sample_rate"], name))


def _floats(x: torch.Tensor, name: str) -> torch.Tensor:
    """Samples as float32, whole numbers in -1..1."""
    if x.is_floating_point():
        return x.float()
    if x.dtype == torch.uint8:
        return (x.float() - 128) / 128
    if x.dtype in (torch.int16, torch.int32):
        return (x.double() / 2 ** (torch.iinfo(x.dtype).bits - 1)).float()
    raise AigcError(
        f"Expected samples of float, uint8, int16 or int32 as {name}, got {str(x.dtype).removeprefix('torch.')}: "
        "convert it to float."
    )


def _one_or_two(x: torch.Tensor) -> torch.Tensor:
    """[B, C, T] of any C with one or two channels. 5.1 (FL FR FC LFE BL BR) as ITU-R BS.775-3, table 2, without loss of room."""
    if x.shape[1] <= 2:
        return x
    if x.shape[1] != 6:
        return x.mean(1, keepdim=True)
    front, centre, back = x[:, 0:2], x[:, 2:3], x[:, 4:6]
    return (front + HALF_POWER * (centre + back)) / (1 + 2 * HALF_POWER)


def _rate(value: Any, name: str) -> int:
    try:
        rate = round(float(value))
    except (TypeError, ValueError, OverflowError):
        rate = 0
    if not 1 <= rate <= FASTEST:
        raise AigcError(f"Expected a sample rate of 1 to {FASTEST} Hz as {name}, got {value}: 44100 is usual.")
    return rate
