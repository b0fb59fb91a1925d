"""A batch that is sampled in pieces: run to a point, choose or repeat rows, go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Conditioning, Guide, Model
from ..runtime import Runtime
from ..schedulers import DEFAULT
from .frozen import Frozen
from .latents import geometry
from .pause import Pause, Paused
from .pipe import decoder_name, skeleton
from .sample import OnStep, sampled


@dataclass(frozen=True)
class Sampler:
    """`stages.sample` with its settings, for runs that stop on the way. on_step and the numbers: as there.

    estimates: whether a stop brings the estimate of the clean sample. own_noise: the steps draw each row's noise from the
    row's generator, also in families whose own call draws it for the whole batch at once.
    """

    model: Model
    conditioning: Conditioning
    runtime: Runtime
    seed: int = 0
    steps: int = 20
    cfg: float = 5.0
    scheduler: str = DEFAULT
    denoise: float = 1.0
    guide: Guide | None = None
    on_step: OnStep | None = None
    estimates: bool = False
    own_noise: bool = False

    def start(
        self,
        latents: Mapping[str, Any],
        rows: Sequence[int],
        until: float = 1.0,
        change_noise: Callable[[torch.Tensor], None] | None = None,
    ) -> Any:
        """Sample until this share of the steps: a Frozen, or a finished LATENT where that is all of them.

        latents: one row each, as `spread` makes them. rows: the prompt of each. change_noise: see Pause.
        """
        return self._run(latents, rows, self._pause(until, None, change_noise))

    def go_on(self, frozen: Frozen, until: float = 1.0) -> Any:
        """Go on from where a run stopped until this share of the steps: a Frozen, or a finished LATENT."""
        noise = frozen.noise
        change = None if noise is None else (lambda latents: latents.copy_(noise))
        return self._run(frozen.latents, frozen.rows, self._pause(until, frozen, change))

    def _pause(self, until: float, frozen: Frozen | None, change_noise: Any) -> Pause:
        if not 0 < until <= 1:
            raise AigcError(f"Expected a share of the steps above 0 and up to 1, got {until}: 0.5 is half-way.")
        return Pause(
            until, frozen, estimates=self.estimates, own_noise=self.own_noise, change_noise=change_noise
        )  # fmt: skip

    def _run(self, latents: Mapping[str, Any], rows: Sequence[int], pause: Pause) -> Any:
        try:
            return sampled(
                self.model, self.conditioning, latents, seed=self.seed, steps=self.steps, cfg=self.cfg,
                scheduler=self.scheduler, denoise=self.denoise, guide=self.guide, on_step=self.on_step,
                runtime=self.runtime, rows=rows, pause=pause,
            )  # fmt: skip
        except Paused:
            assert pause.result is not None
            return pause.result


def spread(
    model: Model, conditioning: Conditioning, latents: Mapping[str, Any], each: int, runtime: Runtime
) -> tuple[dict[str, Any], list[int]]:
    """A LATENT of one row, or one a prompt, with `each` rows a prompt; and the prompt of every row.

    Row i is what row i of a batch of that size would be: its noise is that of seed + i. Raises AigcError for a family
    whose frames lie along the batch, and for another number of rows.
    """
    pipe = skeleton(model, runtime)
    shape = geometry(pipe, getattr(pipe, decoder_name(model)))
    prompts, given = len(conditioning.prompts), latents["samples"]
    if shape.frames_in_batch:
        raise AigcError(
            f"Expected a model whose latents go by row, got {shape.family}, whose frames lie along the batch: sample with "
            "several seeds, then Score and Rank."
        )
    if given.shape[0] not in (1, prompts):
        raise AigcError(
            f"Expected latents of one row, or one for each of the {prompts} prompts, got {given.shape[0]}: set batch_size to 1."
        )
    rows = [prompt for prompt in range(prompts) for _ in range(each)]
    index = torch.tensor(rows if given.shape[0] == prompts else [0] * len(rows))
    out = {**latents, "samples": given[index], "batch_index": list(range(len(rows)))}
    mask = latents.get("noise_mask")
    if isinstance(mask, torch.Tensor):
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
        out["noise_mask"] = mask[index if len(mask) == given.shape[0] else torch.zeros_like(index)]
    return out, rows
