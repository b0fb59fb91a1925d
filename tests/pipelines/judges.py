"""Small judges for the tests: the real network, trained for seconds or not at all."""

from __future__ import annotations

from pathlib import Path

import torch

from pipelines.payloads import Discriminator, JudgeSpec
from pipelines.score import learned
from pipelines.score.net import NetConfig, PatchNet
from pipelines.score.training import Report


def spec(**values) -> JudgeSpec:
    return JudgeSpec(**{"id": "test", "licence": "Apache-2.0", "modality": "latent", "space": "latent:test", **values})


def net(config: NetConfig, seed: int = 0) -> PatchNet:
    """Random weights, every layer of them with a say."""
    torch.manual_seed(seed)
    made = PatchNet(config)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval().requires_grad_(False)


def judge_file(path: Path, *, channels: int = 4, seed: int = 0, noise_aware: bool = True, **values) -> Discriminator:
    """A judge in a file, as its header says it is."""
    made = net(NetConfig(channels=channels, widths=(8, 16), depth=1, noise_aware=noise_aware), seed)
    auc = ((0.0, 0.95), (1.0, 0.75), (3.0, 0.55)) if noise_aware else ((0.0, 0.95),)
    report = Report(auc=auc, calibration=(0.5, 0.1), real=tuple(float(i) for i in range(-5, 6)))
    described = learned.described(spec(**values), report)
    learned.save(path, described, made)
    return learned.read_header(path)[0]
