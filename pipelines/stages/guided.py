"""Guiders on a classic pipeline, which computes its guidance itself: both halves of its batch get the guided answer.

The pipeline then computes neg + cfg (pos - neg) of two equal halves, which is the guided answer unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from .. import guiders
from ..errors import AigcError
from ..payloads import Model
from .pipe import parts_of
from .replay import map_tensors, shadowed

# They put the half with the prompt first.
PROMPT_FIRST = {"LuminaPipeline", "LuminaText2ImgPipeline"}


@contextmanager
def guided_by(
    pipe: Any, model: Model, guider: guiders.Guider, cfg: float, *, rows: int, done: Callable[[], int]
) -> Iterator[None]:
    """Guide every call of the model's denoisers with `guider`. rows: of the batch; done(): steps that are finished.

    A modular pipeline has a guider of its own to be replaced. Raises AigcError from the denoiser's call when a classic
    one doesn't guide in one batch of two halves.
    """
    if hasattr(pipe, "guide"):
        with shadowed(pipe, "chosen_guider", guider):
            yield
        return
    first = type(pipe).__name__ in PROMPT_FIRST
    with ExitStack() as stack:
        for module in parts_of(pipe, model, "denoiser"):
            if "ControlNet" in type(module).__name__ or "Adapter" in type(module).__name__:
                continue
            made = guiders.make(guider, cfg, module)
            had = {id(m) for m in module.modules() if hasattr(m, "_diffusers_hook")}
            stack.callback(_forget_hooks, module, had)
            stack.enter_context(shadowed(module, "forward", _Guided(pipe, module, made, rows, first, done)))
        yield


class _Guided:
    """A denoiser's forward whose answer is guided."""

    def __init__(
        self, pipe: Any, module: nn.Module, guider: Any, rows: int, first: bool, done: Callable[[], int]
    ) -> None:
        self.pipe, self.module, self.guider, self.rows = pipe, module, guider, rows
        self.first, self.done, self.plain = first, done, module.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self.plain(*args, **kwargs)
        both = answer[0] if isinstance(answer, tuple) else answer.sample
        if not isinstance(both, torch.Tensor) or len(both) != 2 * self.rows:
            raise AigcError(
                f"Expected a model that denoises with and without the prompt in one batch, got {type(self.pipe).__name__}, "
                "which does not (or cfg is 1, which is without guidance): disconnect the guider, or raise cfg."
            )
        guided = self._combined(both, args, kwargs)
        return _with_sample(answer, torch.cat([guided, guided]).to(both.dtype))

    def _combined(self, both: torch.Tensor, args: Any, kwargs: Any) -> torch.Tensor:
        total = len(self.pipe.scheduler.timesteps)
        self.guider.set_state(step=self.done(), num_inference_steps=total, timestep=None)
        halves = both.chunk(2)
        negative, positive = halves[::-1] if self.first else halves
        wanted = self.guider.prepare_inputs({"noise_pred": (positive, negative)})
        for batch in wanted:
            self.guider.prepare_models(self.module)
            try:
                if getattr(batch, self.guider._identifier_key) not in ("pred_cond", "pred_uncond"):
                    batch.noise_pred = self._perturbed(args, kwargs)
            finally:
                self.guider.cleanup_models(self.module)
        return self.guider(wanted).pred

    def _perturbed(self, args: Any, kwargs: Any) -> torch.Tensor:
        """What the denoiser says of the half with the prompt while it is perturbed."""
        half = slice(0, self.rows) if self.first else slice(self.rows, None)
        only = lambda t: t[half] if t.ndim and len(t) == 2 * self.rows else t  # noqa: E731
        answer = self.plain(*map_tensors(args, only), **map_tensors(kwargs, only))
        return answer[0] if isinstance(answer, tuple) else answer.sample


def _with_sample(answer: Any, sample: torch.Tensor) -> Any:
    return (sample, *answer[1:]) if isinstance(answer, tuple) else type(answer)(**{**answer, "sample": sample})


def _forget_hooks(module: nn.Module, had: set[int]) -> None:
    """Take away the empty registries that diffusers leaves on modules it once hooked."""
    for part in module.modules():
        if id(part) not in had and hasattr(part, "_diffusers_hook"):
            del part._diffusers_hook
