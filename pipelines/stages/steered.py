"""A judge beside the sampler: where its picture of the latents lies in the denoiser's space."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..payloads import Guide
from ..runtime import Runtime
from ..score.judges import judging
from ..score.scoring import to_space
from ..score.steering import Steering, check_guides, gain_of
from .convention import to_host, unfolded
from .tail import TailMap


@contextmanager
def steered(guide: Guide, tail: TailMap, family: str, pipe: Any, runtime: Runtime) -> Iterator[Steering]:
    """What `schedulers.Watch.change_x0` is to be for this judge. Raises AigcError for one that cannot steer."""
    check_guides(guide.discriminator)
    spec = guide.discriminator.spec

    def unfold(x: torch.Tensor) -> torch.Tensor:
        return to_space(spec, to_host(family, tail.forward(x), pipe))

    def fold(gradient: torch.Tensor) -> torch.Tensor:
        return tail.place(unfolded(family, gradient))

    with judging(guide.discriminator, runtime) as judge:
        gain = gain_of(spec, unfold, torch.zeros(tail.shape))
        yield Steering(judge, guide.weight, guide.discriminator.calibration, unfold, fold, gain)
