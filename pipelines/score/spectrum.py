"""`spectrum`: does the power of a picture fall off with frequency as that of photographs does?

Photographs follow 1 / f^a (van der Schaaf and van Hateren 1996); what was enlarged, smoothed or drawn by transposed
convolutions has too little or too much at the top (Durall et al. 2020, arXiv 2003.01826).
"""

from __future__ import annotations

import math

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .formulas import luma
from .judge import Beside, Judge

RINGS = 12  # of equal ratio between FROM and the Nyquist frequency, 0.5 cycles a pixel
FROM = 0.06  # cycles a pixel; below it the picture's content decides
LEAST = 64  # pixels a side: every ring must hold frequencies


def profile(x: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] in 0..1 -> [B, RINGS]: slope of the azimuthally averaged power, and each ring's deviation from its line.

    The first is the exponent a of 1 / f^a by least squares over the logarithms; the others, in nepers, are the residuals of
    all rings but the first. Size and contrast cancel.
    """
    rows, columns = x.shape[-2:]
    grey = luma(x)[:, 0]
    windows = (torch.hann_window(n, periodic=False, dtype=x.dtype, device=x.device) for n in (rows, columns))
    down, across = windows
    grey = (grey - grey.mean((1, 2), keepdim=True)) * down[:, None] * across
    power = torch.fft.rfft2(grey).abs().square().flatten(1)  # [B, H (W/2 + 1)]
    ring, inside = _rings(rows, columns)
    ring, inside = ring.to(x.device), inside.to(x.device)
    total = torch.zeros(len(x), RINGS, dtype=x.dtype, device=x.device).index_add_(1, ring, power[:, inside])
    count = torch.zeros(RINGS, dtype=x.dtype, device=x.device).index_add_(0, ring, torch.ones_like(ring, dtype=x.dtype))
    level = (total / count + 1e-9).log()
    at = torch.linspace(-1, 1, RINGS, dtype=x.dtype, device=x.device)
    steps = math.log(0.5 / FROM) / RINGS * (RINGS - 1) / 2  # log frequency from the middle ring to the last
    slope = (level * at).sum(1) / at.square().sum()
    rest = level - level.mean(1, keepdim=True) - slope[:, None] * at
    return torch.cat([-slope[:, None] / steps, rest[:, 1:]], dim=1)


def _rings(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ring of every frequency that lies in one, and the places of those in the flat half spectrum."""
    f = torch.hypot(torch.fft.fftfreq(rows)[:, None], torch.fft.rfftfreq(columns)[None]).flatten()
    inside = ((f >= FROM) & (f < 0.5)).nonzero()[:, 0]
    ring = ((f[inside] / FROM).log() / math.log(0.5 / FROM) * RINGS).long().clamp(0, RINGS - 1)
    return ring, inside


def closeness(profiles: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Minus the root mean square deviation of profiles [B, RINGS] from the photographs', in their standard deviations."""
    return -(((profiles - mean) / std).square().mean(1) + 1e-9).sqrt()


SPEC = JudgeSpec(
    id="spectrum",
    licence="Apache-2.0",
    unit="standard deviations",
    note="fall-off of the power spectrum against that of photographs, which lie at about -1; drawings fall off otherwise",
)


class Spectrum(Judge):
    spec = SPEC

    def __init__(self) -> None:
        from .natural import figures

        law = figures()["spectrum"]
        self.mean, self.std = torch.tensor(law["mean"]), torch.tensor(law["std"])

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        if min(x.shape[-2:]) < LEAST:
            raise AigcError(
                f"Expected pictures of at least {LEAST} pixels a side for {self.spec.id}, got {list(x.shape[-2:])}: use larger "
                "ones."
            )
        return closeness(profile(x), self.mean.to(x), self.std.to(x))


def open_judge(discriminator: Discriminator) -> Spectrum:
    return Spectrum()
