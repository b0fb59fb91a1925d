"""A GAN's own discriminator as a judge, from a file that holds both: ours, StyleGAN2's, or a DCGAN's."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import AigcError
from ..payloads import Discriminator, Gan, JudgeSpec
from ..score.judge import Beside, Judge
from ..sources import Roots
from . import files, network, stylegan2

KIND = "gan"


def discriminator(gan: Gan) -> Discriminator:
    """The judge in a GAN's file. Raises AigcError when the file has only a generator."""
    if "discriminator" not in gan.parts:
        raise AigcError(f"Expected a GAN with its discriminator, got {gan.path.name} with {', '.join(gan.parts)} only.")
    note = "a GAN's own discriminator (shown -1..1): real against what its generator drew"
    if gan.options.get("classes"):
        note += "; of its classes' logits the log of their mean odds"
    return Discriminator(JudgeSpec(id=gan.path.stem, licence=gan.licence, note=note), KIND, gan.path)


def recognised(path: Path, roots: Roots) -> Discriminator | None:
    """The judge in a file of ours, None for another kind of file."""
    if path.suffix != ".safetensors" or not files.is_own(path):
        return None
    return discriminator(files.describe(path)[0])


class GanJudge(Judge):
    """Pictures of any size are made its own first, filtered against aliasing. Each is judged alone: no batch says anything."""

    chunk = 64

    def __init__(self, spec: JudgeSpec, net: network.Discriminator) -> None:
        self.spec, self.net = spec, net

    def parts(self) -> list[nn.Module]:
        return [self.net]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        side = self.net.resolution
        if tuple(x.shape[-2:]) != (side, side):
            x = F.interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False)
        if not self.net.classes:
            return logits(self.net, 2 * x - 1)
        every = [logits(self.net, 2 * x - 1, torch.full((len(x),), c)) for c in range(self.net.classes)]
        return torch.stack(every).logsumexp(0) - math.log(self.net.classes)


def logits(net: network.Discriminator, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
    """[B], of each picture alone: StyleGAN2's minibatch deviation is taken within groups of one."""
    return net(x, labels, group=1) if isinstance(net, stylegan2.Discriminator) else net(x, labels)


def open_file(discriminator: Discriminator) -> GanJudge:
    assert discriminator.path is not None
    gan, _ = files.describe(discriminator.path)
    net = files.network(gan, "discriminator")
    assert isinstance(net, network.Discriminator)
    return GanJudge(discriminator.spec, net)
