"""The moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


def averaged(net: nn.Module) -> nn.Module:
    """A frozen copy to hold the average."""
    return copy.deepcopy(net).eval().requires_grad_(False)


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """average = decay * average + (1 - decay) * net for parameters; buffers are taken as they are."""
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in net.parameters()], 1 - decay)
    for kept, now in zip(average.buffers(), net.buffers()):
        kept.copy_(now)


def decay_of(half_life: float, images: int, batch: int, ramp: float = 0.05) -> float:
    """The decay of one step whose memory halves in `half_life` images, and in `ramp` of the images seen so far while these are
    few (Karras et al. 2020, arXiv 2006.06676, appendix A)."""
    memory = min(half_life, ramp * images) if ramp else half_life
    return 0.5 ** (batch / max(memory, 1e-8))
