"""DNSMOS P.835: how clean speech sounds, by networks that imitate listeners (Reddy et al. 2022, arXiv 2110.01763).

The weights are in the wheel `speechmos` (MIT). It is read, not imported: its package needs librosa for another model of it.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .judge import Beside, Judge

RATE = 16000
SECONDS = 9.01  # that the network hears at once; it moves on by one
WINDOW = int(SECONDS * RATE)
# Polynomials from the network's outputs to opinion scores, highest power first: signal, background, overall.
SCALES = {
    "dnsmos-signal": (0, (-0.08397278, 1.22083953, 0.0052439)),
    "dnsmos-background": (1, (-0.13166888, 1.60915514, -0.39604546)),
    "dnsmos": (2, (-0.06766283, 1.11546468, 0.04602535)),
}
NOTES = {
    "dnsmos": "speech quality overall; made for noisy calls, says nothing of music",
    "dnsmos-signal": "how undistorted the speech itself is",
    "dnsmos-background": "how little the background disturbs",
}
INSTALL = "pip install speechmos onnxruntime"


def spec(name: str) -> JudgeSpec:
    return JudgeSpec(
        id=name,
        licence="MIT",
        modality="audio",
        space=f"wav@{RATE}",
        unit="mean opinion, 1 to 5",
        differentiable=False,
        note=NOTES[name],
    )


def weights() -> Path:
    """The network's file in the installed wheel. Raises AigcError when wheel or runtime is missing."""
    try:
        metadata.distribution("onnxruntime")
        wheel = metadata.distribution("speechmos")
        found = Path(str(wheel.locate_file("speechmos/dnsmos_models/sig_bak_ovr.onnx")))
    except metadata.PackageNotFoundError as error:
        raise AigcError(
            f"Expected the package {error.name} for DNSMOS, which is not installed: run `{INSTALL}` in ComfyUI's Python and "
            "restart ComfyUI."
        ) from error
    if not found.is_file():
        raise AigcError(f"Expected {found.name} in the wheel speechmos, which lacks it: run `{INSTALL}` again.")
    return found


def discriminator(name: str) -> Discriminator:
    """The judge; refused here, before anything is made, when its package is missing."""
    weights()
    return Discriminator(spec(name), name)


def windows(wave: torch.Tensor) -> torch.Tensor:
    """[T] at 16 kHz -> [N, WINDOW], a second apart; short ones are repeated until they fill a window."""
    while len(wave) < WINDOW:
        wave = torch.cat([wave, wave])
    count = int(len(wave) // RATE - SECONDS) + 1  # whole seconds only, as the package counts
    parts = [wave[i * RATE : int((i + SECONDS) * RATE)] for i in range(count)]
    return torch.stack([part for part in parts if len(part) == WINDOW])


def session(path: Path) -> Any:
    """The network in an ONNX file, on the processor. Its threads wait without spinning: a host has work for the cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Dnsmos(Judge):
    chunk = 4

    def __init__(self, name: str) -> None:
        self.spec, self.session = spec(name), session(weights())
        self.output, self.polynomial = SCALES[name]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        if not x.shape[-1]:
            raise AigcError(f"Expected sound for {self.spec.id}, got none of any length: connect some.")
        return torch.stack([self._mean(wave) for wave in x.float().cpu().clamp(-1, 1)]).to(x)

    def _mean(self, wave: torch.Tensor) -> torch.Tensor:
        heard = [self.session.run(None, {"input_1": w[None].numpy()})[0][0] for w in windows(wave)]
        raw = torch.tensor([float(h[self.output]) for h in heard], dtype=torch.float64)
        a, b, c = self.polynomial
        return ((a * raw + b) * raw + c).mean()


def open_judge(discriminator: Discriminator) -> Dnsmos:
    return Dnsmos(discriminator.kind)
