"""A judge that was trained: one safetensors file with its spec in the header."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import whole
from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..sources import Roots
from .judge import Beside, Judge
from .net import NetConfig, PatchNet
from .training import Report

FORMAT = "aigc-judge-1"


class LearnedJudge(Judge):
    """The network in the space it was trained in: pictures [B, 3, H, W] in 0..1, or latents in the denoiser's space.

    A video's latents [B, C, T, H, W] are judged frame by frame; the mean counts.
    """

    chunk = 64

    def __init__(self, spec: JudgeSpec, net: PatchNet) -> None:
        self.spec, self.net = spec, net

    def parts(self) -> list[nn.Module]:
        return [self.net]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        frames, count = _frames(x)
        levels = torch.zeros(len(x)) if beside.sigma is None else beside.sigma
        return self.net(self._fitted(frames), levels.repeat_interleave(count)).view(-1, count).mean(1)

    def heatmap(self, x: torch.Tensor, *, prompts: Sequence[str] = ()) -> torch.Tensor:
        frames, count = _frames(x)
        with torch.no_grad():
            maps = self.net.patches(self._fitted(frames), torch.zeros(len(frames)))
        return maps.view(-1, count, *maps.shape[1:]).mean(1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.net.trunk(self._fitted(x), torch.zeros(len(x), device=x.device)).flatten(2).mean(2)

    def _fitted(self, x: torch.Tensor) -> torch.Tensor:
        """x, cut at the right and below to whole patches. Raises AigcError for other channels or a size below one patch."""
        channels, stride = self.net.config.channels, self.net.stride
        if x.ndim != 4 or x.shape[1] != channels:
            raise AigcError(
                f"Expected {channels} channels as {self.spec.id} was trained on ({self.spec.space}), got shape {list(x.shape)}: "
                "choose a judge of this space."
            )
        height, width = (n - n % stride for n in x.shape[-2:])
        if not height or not width:
            raise AigcError(
                f"Expected at least {stride} by {stride} for {self.spec.id}, got {list(x.shape[-2:])}: use a larger size."
            )
        return x[..., :height, :width]


def _frames(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A video's latents [B, C, T, H, W] as pictures [B T, C, H, W], and T; pictures as they are, and 1."""
    return (x.movedim(2, 1).flatten(0, 1), x.shape[2]) if x.ndim == 5 else (x, 1)


def save(path: Path, discriminator: Discriminator, net: PatchNet) -> None:
    """Write a judge to one file, whole or not at all."""
    header = {
        "format": FORMAT,
        "spec": json.dumps(asdict(discriminator.spec)),
        "net": json.dumps(net.config.to_json()),
        "calibration": json.dumps(discriminator.calibration),
        "real": json.dumps(discriminator.real),
    }
    whole.write(path, net.state_dict(), header)


def read_header(path: Path) -> tuple[Discriminator, NetConfig]:
    """The judge in a file, without its weights. Raises AigcError when it is none of ours, or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            header: dict[str, Any] = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise AigcError(
                f"Expected a judge ({FORMAT}), got {path.name}, which is another kind of file: choose one of models/judges."
            )
        spec, net, calibration, real = (tupled(json.loads(header[k])) for k in ("spec", "net", "calibration", "real"))
        judge = Discriminator(JudgeSpec(**spec), "learned", path, calibration=calibration, real=real)
        config = NetConfig(**net)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AigcError(
            f"Expected a judge's file, got {path.name}, which is damaged ({error}): copy it again."
        ) from error
    return judge, config


def format_of(path: Path) -> str:
    """The mark of ours in a file's header, "" where there is none. Raises AigcError when the file is damaged."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return ""
    try:
        with safe_open(str(path), "pt") as file:
            return (file.metadata() or {}).get("format", "")
    except (OSError, SafetensorError) as error:
        raise AigcError(
            f"Expected a judge's file, got {path.name}, which is damaged ({error}): copy it again."
        ) from error


def recognised(path: Path, roots: Roots) -> Discriminator | None:
    """The judge in a file of ours, None for another kind of file. Raises AigcError for one that is damaged."""
    return read_header(path)[0] if format_of(path) == FORMAT else None


def tupled(value: Any) -> Any:
    """What JSON made a list of, as the tuple it was, at any depth."""
    if isinstance(value, dict):
        return {k: tupled(v) for k, v in value.items()}
    return tuple(tupled(v) for v in value) if isinstance(value, list) else value


def open_file(discriminator: Discriminator) -> LearnedJudge:
    """The judge with its weights."""
    from safetensors.torch import load_file

    assert discriminator.path is not None
    _, config = read_header(discriminator.path)
    with torch.device("meta"):
        net = PatchNet(config)
    net.load_state_dict({k: v.float() for k, v in load_file(str(discriminator.path)).items()}, assign=True)
    return LearnedJudge(discriminator.spec, net.eval().requires_grad_(False))


def described(spec: JudgeSpec, report: Report) -> Discriminator:
    """The judge that a training made: what its examination found goes into the spec."""
    aware = report.auc[-1][0] if len(report.auc) > 1 else None
    spec = replace(spec, auc=report.auc, sigma_range=(0.0, aware) if aware else None, differentiable=True)
    return Discriminator(spec, "learned", None, calibration=report.calibration, real=quantiles(report.real))


def quantiles(real: Sequence[float], count: int = 101) -> tuple[float, ...]:
    """Scores of real ones at evenly spaced shares, for percentiles."""
    if not real:
        return ()
    return tuple(
        torch.quantile(
            torch.tensor(real, dtype=torch.float64), torch.linspace(0, 1, count, dtype=torch.float64)
        ).tolist()
    )
