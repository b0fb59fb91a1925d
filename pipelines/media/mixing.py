"""Several sounds as one: each with its gain, its start and its fades, the others turned down while the first one speaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..errors import AigcError
from ..menus import ENDS
from .sound import Sound, at_rate

LONGEST = 6 * 3600  # seconds of a mix
# Seconds: of a look at the first track, of a pause that is none, of turning down or up.
FRAME, HOLD, SLOPE = 0.02, 0.3, 0.15
SPEAKS = -45.0  # dB: louder than this is not silence


@dataclass(frozen=True)
class Track:
    """A sound in a mix. gain: dB. offset: seconds before it begins. fade: seconds in which it comes and goes."""

    sound: Sound
    gain: float = 0.0
    offset: float = 0.0
    fade: float = 0.0


def mixed(tracks: Sequence[Track], *, duck: float = 0.0, end: str = "longest") -> tuple[Sound, str]:
    """One sound of all tracks at the highest of their rates, never beyond -1..1; and what was done.

    duck: dB by which the others are turned down while the first one is heard; 0 is off.
    end: one of ENDS: with the last of the tracks, or with the first one.
    A batch goes with a batch of the same size, or with one sound. Raises AigcError for what does not fit.
    """
    _check(tracks, duck, end)
    rate = max(track.sound.rate for track in tracks)
    batch = max(len(track.sound.waveform) for track in tracks)
    channels = max(track.sound.waveform.shape[1] for track in tracks)
    laid = [_laid(track, rate) for track in tracks]
    length = laid[0].shape[-1] if end == "first" else max(x.shape[-1] for x in laid)
    parts = [F.pad(x.expand(batch, channels, -1), (0, length - x.shape[-1])) for x in laid]
    lines = [f"{len(parts)} tracks at {rate} Hz, {length / rate:.2f} seconds"]
    if duck and len(parts) > 1:
        low = 10 ** (-duck / 20)
        gain = 1 - (1 - low) * heard_at(parts[0], rate)[:, None]
        parts = [parts[0], *(x * gain for x in parts[1:])]
        lines.append(
            f"the others {duck:g} dB lower for {100 * float((gain < (1 + low) / 2).float().mean()):.0f} % of the time"
        )
    total = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
    over = total.abs().amax((1, 2), keepdim=True).clamp_min(1)
    if bool((over > 1).any()):
        total = total / over
        lines.append(f"turned down by {20 * math.log10(float(over.max())):.1f} dB as a whole, so that nothing clips")
    return Sound(total, rate), "; ".join(lines)


def _check(tracks: Sequence[Track], duck: float, end: str) -> None:
    if not tracks:
        raise AigcError("Expected at least one sound to mix, got none: connect one.")
    if end not in ENDS:
        raise AigcError(f"Expected an end of {' or '.join(ENDS)}, got '{end}': choose one of them.")
    if not duck >= 0:
        raise AigcError(f"Expected 0 dB or more for duck, got {duck:g}: 12 turns the others down to a quarter.")
    batches = {len(track.sound.waveform) for track in tracks} - {1}
    if len(batches) > 1:
        raise AigcError(
            f"Expected batches of one size, or single sounds, got {sorted(batches)} sounds: choose among them first."
        )
    for number, track in enumerate(tracks, 1):
        if not (track.offset >= 0 and track.fade >= 0 and math.isfinite(track.gain)):
            raise AigcError(
                f"Expected an offset and a fade of 0 seconds or more and a finite gain for track {number}, got {track.offset:g}, "
                f"{track.fade:g} and {track.gain:g}: change them."
            )
        if track.offset + track.sound.seconds > LONGEST:
            raise AigcError(f"Expected a mix of {LONGEST // 3600} hours at most, got a longer track {number}: cut it.")


def _laid(track: Track, rate: int) -> torch.Tensor:
    """[B, C, T] from the beginning of the mix on."""
    x = at_rate(track.sound, rate).waveform
    x = x * 10 ** (track.gain / 20) if track.gain else x
    return F.pad(faded(x, rate, track.fade), (round(track.offset * rate), 0))


def faded(x: torch.Tensor, rate: int, seconds: float) -> torch.Tensor:
    """[..., T] that comes and goes along a quarter of a sine, whose square is even: two that cross keep their power.

    At most half of the sound comes and half goes. 0 leaves it as it is.
    """
    length = min(round(seconds * rate), x.shape[-1] // 2)
    if not length:
        return x
    slope = torch.sin((torch.arange(length, dtype=torch.float64) + 0.5) / length * math.pi / 2).to(x)
    gain = torch.ones(x.shape[-1], dtype=x.dtype)
    gain[:length], gain[-length:] = slope, slope.flip(0)
    return x * gain


def heard_at(x: torch.Tensor, rate: int) -> torch.Tensor:
    """[B, C, T] -> [B, T] in 0..1: whether this sound is heard, with short pauses bridged and soft slopes."""
    size = max(1, round(FRAME * rate))
    mono = x.mean(1, keepdim=True)
    power = F.avg_pool1d(mono.square(), size, size, ceil_mode=True)  # [B, 1, frames]
    loud = (power > 10 ** (SPEAKS / 10)).to(x)
    hold, slope = (max(1, round(seconds / FRAME)) for seconds in (HOLD, SLOPE))
    loud = F.max_pool1d(F.pad(loud, (hold, hold)), 2 * hold + 1, 1)
    loud = -F.max_pool1d(F.pad(-loud, (hold, hold), value=-1.0), 2 * hold + 1, 1)  # bridged, not lengthened
    # Down before it begins and up after it ends: the slopes lie outside of what is heard.
    reach = slope + 1  # a frame's value is that of its middle
    wide = F.max_pool1d(F.pad(loud, (reach, reach)), 2 * reach + 1, 1)
    soft = F.avg_pool1d(F.pad(wide, (slope, slope), mode="replicate"), 2 * slope + 1, 1)
    fine = F.interpolate(soft, size=power.shape[-1] * size, mode="linear", align_corners=False)
    return fine[:, 0, : x.shape[-1]]
