"""Colour words: hues, recolouring of single-hue pictures, and the measure of a picture's hue."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

TOLERANCE = 30.0  # degrees around a colour's hue that still count as that colour
HELD_OUT_SHARE = 0.06


@dataclass(frozen=True)
class Colour:
    """A colour word: hue in degrees, and the saturation and value that make the word true."""

    name: str
    name_zh: str
    hue: float
    saturation: float
    value: float


COLOURS = (
    Colour("red", "红色", 0, 0.85, 0.88),
    Colour("orange", "橙色", 28, 0.9, 0.97),
    Colour("yellow", "黄色", 52, 0.85, 0.98),
    Colour("green", "绿色", 125, 0.7, 0.72),
    Colour("blue", "蓝色", 212, 0.78, 0.88),
    Colour("purple", "紫色", 275, 0.65, 0.78),
    Colour("pink", "粉色", 332, 0.5, 0.97),
)


def rgb_to_hsv(rgb: np.ndarray) -> np.ndarray:
    """[..., 3] in 0..1 to hue in degrees, saturation and value in 0..1."""
    high, low = rgb.max(-1), rgb.min(-1)
    span = high - low
    safe = np.where(span > 0, span, 1)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.select([high == r, high == g], [(g - b) / safe % 6, (b - r) / safe + 2], (r - g) / safe + 4) * 60
    return np.stack([np.where(span > 0, hue, 0), np.where(high > 0, span / np.where(high > 0, high, 1), 0), high], -1)


def hsv_to_rgb(hsv: np.ndarray) -> np.ndarray:
    """The inverse of ``rgb_to_hsv``."""
    hue, saturation, value = hsv[..., 0:1], hsv[..., 1:2], hsv[..., 2:3]
    k = (np.array([5.0, 3.0, 1.0]) + hue / 60) % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)


def weights(hsv: np.ndarray) -> np.ndarray:
    """How much each pixel's hue counts: its chroma, zero below 0.15."""
    chroma = hsv[..., 1] * hsv[..., 2]
    return np.where(chroma > 0.15, chroma, 0)


def hue_of(picture: np.ndarray) -> tuple[float, float]:
    """Chroma-weighted circular mean hue in degrees, and its concentration (1: one hue). picture: uint8 [H, W, 3]."""
    hsv = rgb_to_hsv(picture.astype(np.float64) / 255)
    weight, angle = weights(hsv), np.deg2rad(hsv[..., 0])
    total = weight.sum()
    if total == 0:
        return 0.0, 0.0
    mean = (weight * np.exp(1j * angle)).sum() / total
    return float(np.rad2deg(np.angle(mean)) % 360), float(abs(mean))


def hue_difference(a: float, b: float) -> float:
    """Degrees between two hues, 0..180."""
    return abs((a - b + 180) % 360 - 180)


def colour_of(picture: np.ndarray) -> Colour:
    """The colour word whose hue is nearest to the picture's mean hue."""
    hue, _ = hue_of(picture)
    return min(COLOURS, key=lambda colour: hue_difference(colour.hue, hue))


def obeys(picture: np.ndarray, colour: Colour) -> bool:
    """Whether the mean hue is within ``TOLERANCE`` of the colour and no other colour word is nearer."""
    hue, _ = hue_of(picture)
    return colour_of(picture) is colour and hue_difference(colour.hue, hue) <= TOLERANCE


def is_single_hue(picture: np.ndarray) -> bool:
    """Enough coloured ink (30 % of the ink, 8 % of the square) and one hue (concentration over 0.93)."""
    hsv = rgb_to_hsv(picture.astype(np.float64) / 255)
    coloured, ink = (weights(hsv) > 0).mean(), (picture.min(-1) < 240).mean()
    return hue_of(picture)[1] > 0.93 and coloured > 0.08 and coloured > 0.3 * ink


def recolour(picture: np.ndarray, colour: Colour) -> np.ndarray:
    """Turn the hue to the colour's; saturation and value follow by a power curve. uint8 [H, W, 3] both ways."""
    hsv = rgb_to_hsv(picture.astype(np.float64) / 255)
    weight = weights(hsv)
    hue, _ = hue_of(picture)
    spread = (hsv[..., 0] - hue + 180) % 360 - 180
    share = np.clip(hsv[..., 1] * hsv[..., 2] / 0.15, 0, 1)  # greys and white stay what they are
    turned = hsv.copy()
    turned[..., 0] = (colour.hue + 0.4 * spread) % 360
    for channel, target in ((1, colour.saturation), (2, colour.value)):
        mean = np.clip((weight * hsv[..., channel]).sum() / weight.sum(), 0.05, 0.98)
        power = np.clip(np.log(target) / np.log(mean), 0.35, 2.5)
        turned[..., channel] = hsv[..., channel] * (1 - share) + hsv[..., channel] ** power * share
    return np.clip(hsv_to_rgb(turned) * 255 + 0.5, 0, 255).astype(np.uint8)


def held_out(emoji: str, colour: Colour) -> bool:
    """Pairs kept out of training: a fixed hash of emoji and colour word, so that the list never changes."""
    digest = hashlib.sha256(f"{emoji}/{colour.name}".encode()).digest()
    return digest[0] / 256 < HELD_OUT_SHARE
