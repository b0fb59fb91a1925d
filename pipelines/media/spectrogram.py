"""A sound as a picture: log-mel power over time, with its axes in Hz and seconds."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import AigcError
from .sound import Sound

if TYPE_CHECKING:
    from PIL.Image import Image

RANGE = 80.0  # dB from the darkest to the brightest
WINDOW = 0.06  # seconds, about: the next power of two of samples
AT_ONCE = 2048  # windows
SPREAD = 1.5  # lines' worth of power that a Hann window makes of a sine
PAPER, INK, FAINT = (18, 18, 22), (232, 232, 228), (120, 120, 126)
# Dark to bright with even steps of lightness; ours, made of five colours.
COLOURS = ((8, 8, 20), (64, 26, 108), (170, 46, 96), (238, 124, 52), (252, 244, 190))
HERTZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
LEFT, RIGHT, TOP, BOTTOM = 62, 66, 26, 40


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """Stevens and Volkmann's scale as O'Shaughnessy 1987 writes it."""
    return 2595 * np.log10(1 + np.asarray(hertz, dtype=np.float64) / 700)


def hertz(mels: np.ndarray) -> np.ndarray:
    """The inverse of `mel`."""
    return 700 * (10 ** (mels / 2595) - 1)


@lru_cache(maxsize=4)
def bands(rate: int, size: int, count: int) -> torch.Tensor:
    """[count, size / 2 + 1] triangles, even in mel from 0 to half the rate, each over one line of the transform at least."""
    edges = hertz(np.linspace(0, float(mel(rate / 2)), count + 2))
    lines = np.arange(size // 2 + 1) * rate / size
    width = rate / size
    low = np.maximum(edges[1:-1] - edges[:-2], width)[:, None]
    high = np.maximum(edges[2:] - edges[1:-1], width)[:, None]
    away = lines - edges[1:-1, None]
    shares = np.clip(np.minimum(1 + away / low, 1 - away / high), 0, None)
    return torch.from_numpy(shares / SPREAD).float()


def log_mel(x: torch.Tensor, rate: int, columns: int, count: int) -> torch.Tensor:
    """[C, T] -> [count, columns] in dB, of the channels' mean power; a sine of full scale is 0 dB in its band, or up to 4 less."""
    size = 1 << max(5, round(math.log2(WINDOW * rate)))
    window = torch.hann_window(size)
    hop = max(1, min(size // 4, math.ceil(x.shape[1] / columns)))
    padded = torch.nn.functional.pad(x, (size // 2, size // 2))
    total = (padded.shape[1] - size) // hop + 1
    filters = bands(rate, size, count)
    # Several windows for a column: their mean; several columns for a window: the nearest.
    sums, hits = torch.zeros(count, columns), torch.zeros(columns)
    for start in range(0, total, AT_ONCE):
        now = min(AT_ONCE, total - start)
        part = padded[:, start * hop : (start + now - 1) * hop + size].unfold(1, size, hop)
        power = (torch.fft.rfft(part * window).abs() / (window.sum() / 2)).square().mean(0)  # [now, lines]
        places = ((torch.arange(start, start + now) + 0.5) * columns / total).long().clamp_max(columns - 1)
        sums.index_add_(1, places, filters @ power.T)
        hits.index_add_(0, places, torch.ones(now))
    filled = hits.nonzero()[:, 0]
    nearest = (
        filled[(torch.arange(columns)[:, None] - filled).abs().argmin(1)] if len(filled) < columns else slice(None)
    )
    mean = (sums / hits.clamp_min(1))[:, nearest]
    return 10 * torch.log10(mean.clamp_min(1e-20))


def coloured(level: np.ndarray) -> np.ndarray:
    """[...] in 0..1 -> [..., 3] uint8."""
    anchors = np.linspace(0, 1, len(COLOURS))
    table = np.asarray(COLOURS, dtype=np.float64)
    return np.stack([np.interp(level, anchors, table[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def spectrograms(sound: Sound, *, width: int = 1024, height: int = 512, title: str = "") -> torch.Tensor:
    """IMAGE [B, height, width, 3] of each sound of a batch. Raises AigcError for a picture too small to be read."""
    if width < 320 or height < 200:
        raise AigcError(
            f"Expected a picture of 320 x 200 pixels or more for a spectrogram, got {width} x {height}: make it larger."
        )
    pictures = [np.asarray(drawn(row, sound.rate, width, height, title)) for row in sound.waveform]
    return torch.from_numpy(np.stack(pictures)).float() / 255


def drawn(x: torch.Tensor, rate: int, width: int, height: int, title: str) -> Image:
    from PIL import Image, ImageDraw

    wide, high = width - LEFT - RIGHT, height - TOP - BOTTOM
    level = log_mel(x, rate, wide, min(high, 160)).numpy()
    top = min(10.0, 10 * math.ceil(max(float(level.max()), -100.0) / 10))
    share = np.clip((level - (top - RANGE)) / RANGE, 0, 1)[::-1]  # the highest band first
    plot = Image.fromarray(coloured(share)).resize((wide, high), Image.Resampling.BILINEAR)
    image = Image.new("RGB", (width, height), PAPER)
    image.paste(plot, (LEFT, TOP))
    pen = ImageDraw.Draw(image)
    pen.rectangle([LEFT - 1, TOP - 1, LEFT + wide, TOP + high], outline=FAINT)
    seconds = x.shape[1] / rate
    words = f"{seconds:.2f} s, {rate} Hz, {'mono' if len(x) == 1 else 'stereo'}"
    pen.text((LEFT, 6), f"{title}   {words}" if title else words, fill=INK, font_size=13)
    for value, y in ticks_hertz(rate, high):
        pen.line([(LEFT - 5, TOP + y), (LEFT - 1, TOP + y)], fill=INK)
        pen.text(
            (LEFT - 8, TOP + y),
            f"{value / 1000:g}k" if value >= 1000 else f"{value:g}",
            fill=INK,
            anchor="rm",
            font_size=12,
        )
    pen.text((8, TOP - 4), "Hz", fill=FAINT, anchor="lb", font_size=12)
    for value, x_ in ticks_seconds(seconds, wide):
        pen.line([(LEFT + x_, TOP + high), (LEFT + x_, TOP + high + 5)], fill=INK)
        pen.text((LEFT + x_, TOP + high + 8), f"{value:g}", fill=INK, anchor="mt", font_size=12)
    pen.text((LEFT + wide, height - 4), "seconds", fill=FAINT, anchor="rb", font_size=12)
    _scale(pen, image, top, width, high)
    return image


def _scale(pen: Any, image: Image, top: float, width: int, high: int) -> None:
    """The colours and what they mean, in dB, on the right."""
    from PIL import Image

    bar = coloured(np.linspace(1, 0, high)[:, None].repeat(12, 1))
    image.paste(Image.fromarray(bar), (width - RIGHT + 14, TOP))
    for step in range(0, int(RANGE) + 1, 20):
        y = TOP + high * step / RANGE
        pen.text((width - RIGHT + 30, min(y, TOP + high - 6)), f"{top - step:g}", fill=INK, anchor="lm", font_size=11)
    pen.text((width - RIGHT + 14, TOP - 4), "dB", fill=FAINT, anchor="lb", font_size=12)


def ticks_hertz(rate: int, high: int) -> list[tuple[int, float]]:
    """Frequencies that are marked, and how many pixels below the top; none nearer to another than its text is high."""
    most, out = float(mel(rate / 2)), []
    for value in reversed([v for v in HERTZ if v <= rate / 2]):
        y = high * (1 - float(mel(value)) / most)
        if not out or y - out[-1][1] >= 14:
            out.append((value, y))
    return out


def ticks_seconds(seconds: float, wide: int) -> list[tuple[float, float]]:
    """Times that are marked, in steps of 1, 2 or 5, and how many pixels from the left."""
    least = seconds * 56 / wide
    power = 10.0 ** math.floor(math.log10(least))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= least)
    return [(round(i * step, 10), wide * i * step / seconds) for i in range(int(seconds / step + 1e-9) + 1)]
