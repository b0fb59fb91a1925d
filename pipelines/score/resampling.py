"""Another sample rate for a sound, band-limited: what the new rate cannot hold is removed, not folded back."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

CROSSINGS = 16  # of the sinc on each side of the window
ROLLOFF = 0.95  # the pass band, as a share of the lower rate's half


def resampled(sound: torch.Tensor, rate: int, wanted: int) -> torch.Tensor:
    """[B, T] at `rate` -> [B, ceil(T wanted / rate)] at `wanted`, by a sinc under a Hann window (Smith, Digital Audio
    Resampling, 2002). Both in Hz. The same rate returns the sound untouched."""
    if rate == wanted:
        return sound
    divisor = math.gcd(rate, wanted)
    before, after = rate // divisor, wanted // divisor  # `before` samples become `after`
    kernel, reach = _kernel(before, after)
    padded = F.pad(sound[:, None], (reach, reach + before))
    phases = F.conv1d(padded, kernel.to(sound)[:, None], stride=before)  # [B, after, blocks]
    return phases.transpose(1, 2).flatten(1)[:, : math.ceil(sound.shape[1] * after / before)]


def _kernel(before: int, after: int) -> tuple[torch.Tensor, int]:
    """One filter a phase, [after, 2 reach + before], and how many samples it looks back. Made in float64."""
    cutoff = ROLLOFF * min(before, after)  # in half cycles a block of `before` samples
    reach = math.ceil(CROSSINGS * before / cutoff)
    samples = torch.arange(-reach, reach + before, dtype=torch.float64) / before
    phases = torch.arange(after, dtype=torch.float64)[:, None] / after
    at = ((samples - phases) * cutoff).clamp(-CROSSINGS, CROSSINGS)
    window = torch.cos(at * math.pi / (2 * CROSSINGS)).square()
    return torch.sinc(at) * window * (cutoff / before), reach
