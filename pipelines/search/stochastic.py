"""Which samplers draw noise at their steps: only with those do copies of a particle part again."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from .. import schedulers
from ..errors import AigcError


def draws(own: Any, name: str) -> bool:
    """Whether the named scheduler draws from a generator that it is given, on the config of the model's own one."""
    try:
        scheduler = schedulers.watched(own, name, schedulers.Watch())
        scheduler.set_timesteps(4, **({"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}))
        takes = inspect.signature(scheduler.step).parameters
        if "generator" not in takes:
            return False
        generator = torch.Generator("cpu").manual_seed(0)
        before, x = generator.get_state(), torch.zeros(1, 4, 8, 8)
        extra = {"eta": 0.0} if "eta" in takes else {}  # what pipelines hand on
        for t in scheduler.timesteps[:2]:
            if hasattr(scheduler, "scale_model_input"):
                scheduler.scale_model_input(x, t)
            scheduler.step(torch.zeros_like(x), t, x, generator=generator, **extra)
    except (TypeError, ValueError, RuntimeError, ImportError):
        return False
    return not torch.equal(before, generator.get_state())


def check(pipe: Any, name: str) -> None:
    """Refuse a sampler that draws nothing. Raises AigcError naming those that do."""
    own = getattr(pipe, "scheduler", None)
    if own is None:
        raise AigcError(
            f"Expected a model that a scheduler samples, got {type(pipe).__name__}, which keeps its schedule to itself: sample "
            "it with several seeds, then Score and Rank."
        )
    if draws(own, name):
        return
    fitting = [other for other in schedulers.fitting(own) if other != schedulers.DEFAULT and draws(own, other)]
    remedy = f"choose one of {', '.join(fitting)}" if fitting else "none of this model's does; use Best of N"
    raise AigcError(
        f"Expected a scheduler that draws noise at its steps, got '{name}', with which copies of a particle stay the same to "
        f"the end, so that resampling only throws particles away: {remedy}."
    )
