"""Another sample rate for a sound, band-limited: what the new rate cannot hold is removed, not folded back."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

CROSSINGS = 16  # of the sinc on each side of the window
ROLLOFF = 0.95  # the pass band, as a share of the lower rate's half
TABLE = 1 << 22  # numbers of the filters of all phases; rates that have little in common need more
AT_ONCE = 1 << 21  # numbers of filters that are made for single samples at a time


def resampled(sound: torch.Tensor, rate: int, wanted: int) -> torch.Tensor:
    """[B, T] at `rate` -> [B, ceil(T wanted / rate)] at `wanted`, by a sinc under a Hann window (Smith, Digital Audio
    Resampling, 2002). Both in Hz. The same rate returns the sound untouched."""
    if rate == wanted:
        return sound
    divisor = math.gcd(rate, wanted)
    before, after = rate // divisor, wanted // divisor  # `before` samples become `after`
    if after * (before + 2 * _reach(before, after)) > TABLE:
        return _one_by_one(sound, before, after)
    kernel, reach = _kernel(before, after)
    padded = F.pad(sound[:, None], (reach, reach + before))
    phases = F.conv1d(padded, kernel.to(sound)[:, None], stride=before)  # [B, after, blocks]
    return phases.transpose(1, 2).flatten(1)[:, : math.ceil(sound.shape[1] * after / before)]


def _cutoff(before: int, after: int) -> float:
    """In half cycles a block of `before` samples."""
    return ROLLOFF * min(before, after)


def _reach(before: int, after: int) -> int:
    return math.ceil(CROSSINGS * before / _cutoff(before, after))


def _windowed(at: torch.Tensor) -> torch.Tensor:
    """The windowed sinc at so many crossings from its middle."""
    at = at.clamp(-CROSSINGS, CROSSINGS)
    return torch.sinc(at) * torch.cos(at * math.pi / (2 * CROSSINGS)).square()


def _kernel(before: int, after: int) -> tuple[torch.Tensor, int]:
    """One filter a phase, [after, 2 reach + before], and how many samples it looks back. Made in float64."""
    cutoff, reach = _cutoff(before, after), _reach(before, after)
    samples = torch.arange(-reach, reach + before, dtype=torch.float64) / before
    phases = torch.arange(after, dtype=torch.float64)[:, None] / after
    return _windowed((samples - phases) * cutoff) * (cutoff / before), reach


def _one_by_one(sound: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """The same, a filter for each new sample, for rates without a small common ratio (44101 to 48000 Hz)."""
    cutoff, reach = _cutoff(before, after) / before, _reach(before, after)
    padded = F.pad(sound, (reach, reach + 1))
    taps = torch.arange(-reach, reach + 1)
    parts = []
    for places in torch.arange(math.ceil(sound.shape[1] * after / before)).split(max(1, AT_ONCE // len(taps))):
        whole = places * before // after  # integers: exact for sounds of any length
        share = (places * before % after).double() / after
        filters = (_windowed((taps - share[:, None]) * cutoff) * cutoff).to(sound)
        parts.append((padded[:, (whole[:, None] + reach + taps)] * filters).sum(-1))
    return torch.cat(parts, dim=1)
