"""Sampling that starts from a LATENT: partial denoising, and a mask that keeps a part of it."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from ..errors import AigcError
from .tail import TailMap


def noised(scheduler: Any, x0: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """x0 with as much noise as the schedule has at its present step. All [B, ...]; timestep: [1]."""
    if hasattr(scheduler, "scale_noise"):
        return scheduler.scale_noise(x0, timestep, noise)
    if hasattr(scheduler, "add_noise"):
        return scheduler.add_noise(x0, noise, timestep)
    # A flow that leaves the interpolation to its pipelines.
    index = getattr(scheduler, "step_index", None)
    sigma = scheduler.sigmas[-len(scheduler.timesteps) - 1 if index is None else index].to(noise)
    return (1 - sigma) * x0 + sigma * noise


class Start:
    """A LATENT in the denoiser's space, one row a picture, and what becomes of it.

    decoded: the LATENT as `vae.decode` takes it, [1 or B, C, ...]. partial: begin from it, noised, instead of from noise.
    mask: [1 or B, 1, H, W], of a sound [1 or B, 1, T], in 0..1 at any size; where it is 0 the LATENT is kept.
    """

    def __init__(
        self, tail: TailMap, decoded: torch.Tensor, rows: int, *, partial: bool, mask: torch.Tensor | None = None
    ) -> None:
        if decoded.shape[1:] != tail.decoded[1:]:
            raise AigcError(
                f"Expected a latent of the size that this model makes, {list(tail.decoded[1:])}, got "
                f"{list(decoded.shape[1:])}: sample or encode it with this model at this length first."
            )
        self.map, self.partial = tail, partial
        self.x0 = _rows(tail.inverse(decoded.double()).float(), rows)
        self.mask = None if mask is None else _rows(denoiser_mask(tail, mask), rows)
        self.noise: torch.Tensor | None = None  # as the pipeline drew it, in place of which sampling begins
        self.drawn: torch.Tensor | None = None
        self.scheduler: Any = None

    def prepared(self, noise: torch.Tensor) -> None:
        """The pipeline has drawn its noise [B, ...]; it is changed in place."""
        self.noise, self.drawn = noise, noise.clone()
        self._lay()

    def scheduled(self, scheduler: Any) -> None:
        """The schedule is set."""
        self.scheduler = scheduler
        self._lay()

    def _lay(self) -> None:
        """Once noise and schedule are both there, in whichever order: overwrite the noise by the noised start."""
        if not self.partial or self.noise is None or self.drawn is None or self.scheduler is None:
            return
        t = self.scheduler.timesteps[:1].to(self.noise.device)
        self.noise.copy_(noised(self.scheduler, self.x0.to(self.noise), self.drawn, t))
        self.noise = None

    def keep(self, scheduler: Any, sample: torch.Tensor, done: int) -> torch.Tensor:
        """A step's result with the kept part put back at the noise level that the step has reached.

        As diffusers' own inpainting does for denoisers without mask channels (Lugmayr et al. 2022, arXiv 2201.09865,
        eq. 8). Raises AigcError for a pipeline that steps on something else than its latents.
        """
        if self.mask is None:
            return sample
        if self.drawn is None or sample.shape != self.x0.shape:
            raise AigcError(
                f"Expected a model that samples its latents {list(self.x0.shape)} as a whole, got a step on "
                f"{list(sample.shape)}: this family takes no mask. Remove the latent's noise mask."
            )
        kept = self.x0.to(sample)
        if done < len(scheduler.timesteps):
            # What was drawn is scaled for pure noise, except where the start was laid over it.
            unit = self.drawn if self.partial else self.drawn / float(getattr(scheduler, "init_noise_sigma", 1.0))
            kept = noised(scheduler, kept, unit.to(sample), scheduler.timesteps[done : done + 1].to(sample.device))
        mask = self.mask.to(sample)
        return mask * sample + (1 - mask) * kept.to(sample)


def _rows(x: torch.Tensor, rows: int) -> torch.Tensor:
    return x.repeat(rows, *[1] * (x.ndim - 1)) if x.shape[0] == 1 else x


def denoiser_mask(tail: TailMap, mask: torch.Tensor) -> torch.Tensor:
    """A mask [H, W], [B, H, W] or [B, 1, H, W] as values for each element of the denoiser's latents [B, ...].

    It is resized bilinearly, as the host does; a video has it in every frame. That of a sound is [B, 1, T]. Raises AigcError for
    a sound with another one.
    """
    shape = tail.decoded
    if len(shape) == 3:
        if mask.numel() != mask.shape[0] * mask.shape[-1]:
            raise AigcError(
                f"Expected a noise mask [B, 1, T] for a sound, got {list(mask.shape)}: make it with Encode Audio, or remove it."
            )
        cells = F.interpolate(mask.float().reshape(-1, 1, mask.shape[-1]), size=shape[-1], mode="linear")
        return tail.place(cells.expand(-1, *shape[1:]))
    mask = mask.float().reshape(-1, 1, *mask.shape[-2:])
    cells = F.interpolate(mask, size=tail.decoded[-2:], mode="bilinear")  # [B, 1, h, w]
    cells = cells.reshape(cells.shape[0], *[1] * (len(tail.decoded) - 3), *cells.shape[-2:])
    return tail.place(cells.expand(-1, *tail.decoded[1:]))
