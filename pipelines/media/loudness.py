"""Loudness after ITU-R BS.1770-5: K-weighting, gated blocks, true peak; and sounds brought to a loudness.

The filters are the recommendation's own numbers for 48 kHz, carried to other rates through the bilinear transform.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from ..errors import AigcError
from .resampling import resampled
from .sound import Sound, at_rate, encodable

# Annex 1, tables 1 and 2: b and a of the shelf for the head and of the high pass, at 48 kHz.
SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
OFFSET, ABSOLUTE, RELATIVE = -0.691, -70.0, -10.0  # dB, LUFS, LU
WEIGHTS = {1: (1.0,), 2: (1.0, 1.0), 5: (1.0, 1.0, 1.0, 1.41, 1.41)}  # L R C Ls Rs
OVERSAMPLED = 4
PART = 1 << 20  # samples whose peaks are found at once
ROUNDS, NEAR = 10, 0.02  # of limiting and measuring; LU that are near enough
AHEAD = 0.005  # seconds over which the limiter goes down and up
QUIETEST = -60.0  # LUFS; what is quieter is hiss rather than a sound to be made 40 dB louder

Biquad = tuple[tuple[float, float, float], tuple[float, float, float]]


def carried(biquad: Biquad, rate: int) -> Biquad:
    """The same analogue filter at another rate than 48 kHz, exact at its own frequency; a[0] is 1."""
    b, a = (_turned(np.asarray(part), 1.0) for part in biquad)  # in u = (1 - 1/z) / (1 + 1/z)
    own = math.atan(math.sqrt(a[0] / a[2])) * 48000 / math.pi  # Hz
    if own >= rate / 2:
        raise AigcError(
            f"Expected a sample rate above {2 * own:.0f} Hz for a loudness, got {rate}: it holds no such sound."
        )
    stretch = math.tan(math.pi * own / 48000) / math.tan(math.pi * own / rate)
    b, a = (_turned(part * np.array([1, stretch, stretch**2]), 1.0) for part in (b, a))
    b, a = b / a[0], a / a[0]
    return (float(b[0]), float(b[1]), float(b[2])), (float(a[0]), float(a[1]), float(a[2]))


def _turned(p: np.ndarray, scale: float) -> np.ndarray:
    """Coefficients of p0 + p1 x + p2 x^2 for x = (1 - y) / (1 + y), times (1 + y)^2: its own inverse but for a factor."""
    p0, p1, p2 = p * scale
    return np.array([p0 + p1 + p2, 2 * (p0 - p2), p0 - p1 + p2])


@lru_cache(maxsize=8)
def response(rate: int) -> torch.Tensor:
    """What the K-weighting makes of a click, float64, until it is under 1e-12 of its beginning."""
    length = rate // 8 + 64
    x = np.zeros(length)
    x[0] = 1.0
    for b, a in (carried(SHELF, rate), carried(HIGH_PASS, rate)):
        y, before = np.zeros(length), (0.0, 0.0, 0.0, 0.0)
        for n in range(length):
            x1, x2, y1, y2 = before
            y[n] = b[0] * x[n] + b[1] * x1 + b[2] * x2 - a[1] * y1 - a[2] * y2
            before = (x[n], x1, y[n], y1)
        x = y
    return torch.from_numpy(x)


def weighted(x: torch.Tensor, rate: int) -> torch.Tensor:
    """[C, T] K-weighted, float64: overlapping blocks through a Fourier transform."""
    click = response(rate)
    size = 1 << (4 * len(click) - 1).bit_length()
    step, filter_ = size - len(click) + 1, torch.fft.rfft(click, size)
    out = torch.zeros(x.shape[0], x.shape[1] + size, dtype=torch.float64)
    for start in range(0, x.shape[1], step):
        block = x[:, start : start + step].double()
        out[:, start : start + size] += torch.fft.irfft(torch.fft.rfft(block, size) * filter_, size)
    return out[:, : x.shape[1]]


def integrated(x: torch.Tensor, rate: int) -> float:
    """LUFS of one sound [C, T], C 1, 2 or 5; -inf for silence. Under 0.4 seconds the whole of it is the one block."""
    if len(x) not in WEIGHTS:
        raise AigcError(f"Expected one, two or five channels for a loudness, got {len(x)}: mix it down first.")
    power = (weighted(x, rate).square() * torch.tensor(WEIGHTS[len(x)], dtype=torch.float64)[:, None]).sum(0)
    sums = F.pad(power.cumsum(0), (1, 0))
    length = min(round(0.4 * rate), len(power))
    count = max(1, math.floor((len(power) - length) / (0.1 * rate) + 1e-9) + 1)
    starts = torch.tensor([round(0.1 * rate * j) for j in range(count)]).clamp_max(len(power) - length)
    blocks = (sums[starts + length] - sums[starts]).clamp_min(0) / length
    loud = blocks[_lufs(blocks) > ABSOLUTE]
    if not len(loud):
        return -math.inf
    kept = loud[_lufs(loud) > float(_lufs(loud.mean())) + RELATIVE]
    return float(_lufs(kept.mean()))


def _lufs(power: torch.Tensor) -> torch.Tensor:
    return OFFSET + 10 * torch.log10(power)


def peaks(x: torch.Tensor, rate: int) -> torch.Tensor:
    """[C, T] -> [T], the highest that the wave gets at each sample and between it and the next, in any channel."""
    out, lap = [], 64
    for start in range(0, x.shape[1], PART):
        first = max(0, start - lap)
        part = x[:, first : start + PART + lap]
        fine = resampled(part.float(), rate, OVERSAMPLED * rate).unflatten(1, (-1, OVERSAMPLED))
        found = torch.maximum(fine.abs().amax((0, 2)), part.abs().amax(0))
        out.append(found[start - first : start - first + PART])
    return torch.cat(out)


def true_peak(x: torch.Tensor, rate: int) -> float:
    """dBTP of [C, T], Annex 2: the peak of the wave four times oversampled; -inf for silence."""
    highest = float(peaks(x, rate).max())
    return 20 * math.log10(highest) if highest else -math.inf


def limited(x: torch.Tensor, rate: int, ceiling: float) -> torch.Tensor:
    """[C, T] that stays under `ceiling` dBTP: turned down smoothly before and after what is louder, else untouched."""
    most = 10 ** (ceiling / 20)
    needed = (most / peaks(x, rate).clamp_min(1e-9)).clamp_max(1)
    if bool((needed == 1).all()):
        return x
    reach = max(1, round(AHEAD * rate))
    # The least of what is needed nearby, then its mean: nowhere more than needed.
    least = -F.max_pool1d(F.pad(-needed[None], (2 * reach, 2 * reach), value=-1.0), 2 * reach + 1, 1)
    gain = F.avg_pool1d(least, 2 * reach + 1, 1)[0]
    out = x * gain.to(x)
    over = float(peaks(out, rate).max()) / most  # the waves between samples follow the gain only nearly
    return out / over if over > 1 else out


def normalised(sound: Sound, target: float, ceiling: float, *, limit: bool) -> tuple[Sound, list[str]]:
    """Each row at `target` LUFS with its true peak at `ceiling` dBTP at most; and a line on each row.

    limit: turn down the peaks; otherwise the whole stays quieter where peaks would go beyond the ceiling. Silence, and what is
    quieter than -60 LUFS, stays as it is. Raises AigcError for a target that is no loudness.
    """
    if not -70 < target <= 0 or not -20 <= ceiling <= 0:
        raise AigcError(
            f"Expected a loudness between -70 and 0 LUFS and a ceiling between -20 and 0 dBTP, got {target:g} and {ceiling:g}: "
            "-14 or -16 and -1 are usual on the web, -23 in broadcasting."
        )
    sound = at_rate(sound, encodable(sound.rate))  # before its peaks are found: another rate has others
    rows, lines = [], []
    for row in sound.waveform:
        made, said = _normalised(row, sound.rate, target, ceiling, limit)
        rows.append(made)
        lines.append(said)
    return Sound(torch.stack(rows), sound.rate), lines


def _normalised(x: torch.Tensor, rate: int, target: float, ceiling: float, limit: bool) -> tuple[torch.Tensor, str]:
    was, peak = integrated(x, rate), true_peak(x, rate)
    before = f"{was:.1f} LUFS, peak {peak:.1f} dBTP"
    if was < QUIETEST:
        return x, f"{before}: silence, left as it is"
    gain = target - was
    if not limit or peak + gain <= ceiling:
        short = max(0.0, peak + gain - ceiling)
        out = x * 10 ** ((gain - short) / 20)
        why = f", {short:.1f} LU short of the target: its peaks would go beyond {ceiling:g} dBTP" if short else ""
        return out, f"{before} -> {target - short:.1f} LUFS, peak {peak + gain - short:.1f} dBTP{why}"
    out, now = x, was
    for _ in range(ROUNDS):
        out = limited(x * 10 ** (gain / 20), rate, ceiling)
        now = integrated(out, rate)
        if abs(now - target) < NEAR:
            break
        gain += target - now
    why = (
        f", {target - now:.1f} LU short of the target: there is no more under {ceiling:g} dBTP"
        if target - now > 0.1
        else ""
    )
    return out, f"{before} -> {now:.1f} LUFS, peak {true_peak(out, rate):.1f} dBTP, limited{why}"
