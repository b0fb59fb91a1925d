"""A judge beside the sampler: where its picture of the latents lies in the denoiser's space."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..payloads import Guide
from ..runtime import Runtime
from ..score.judges import judging
from ..score.steering import Steering, check_guides
from .convention import to_host, unfolded
from .tail import TailMap


@contextmanager
def steered(guide: Guide, tail: TailMap, family: str, pipe: Any, runtime: Runtime) -> Iterator[Steering]:
    """What `schedulers.Watch.change_x0` is to be for this judge. Raises AigcError for one that cannot steer."""
    check_guides(guide.discriminator)

    def latent_of(x: torch.Tensor) -> torch.Tensor:
        return to_host(family, tail.forward(x), pipe)

    def fold(gradient: torch.Tensor) -> torch.Tensor:
        return tail.place(unfolded(family, gradient))

    with judging(guide.discriminator, runtime) as judge:
        yield Steering.of(guide.discriminator, judge, guide.weight, latent_of, torch.zeros(tail.shape), fold)
