"""Discriminator guidance: the sampler follows the slope of a judge that knows noise.

With l = log p_real / p_generated at noise sigma, the score of the real ones is the model's plus the slope of l (Kim et al.
2023, arXiv 2211.17091, theorem 1), so the estimate of the clean sample moves by w sigma^2 grad l.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from .judge import Judge
from .scoring import to_space


def check_guides(discriminator: Discriminator) -> None:
    """Refuse a judge that cannot steer a sampler. Raises AigcError."""
    spec = discriminator.spec
    why = ""
    if spec.modality != "latent":
        why = f"judges finished work ({spec.modality}), not what a sampler holds"
    elif not spec.differentiable:
        why = "has no gradient"
    elif spec.sigma_range is None:
        why = "knows clean latents only: steering noisy ones with it makes noise"
    if why:
        raise AigcError(
            f"Expected a noise-aware judge of latents for guidance, got {spec.id}, which {why}. Train one with noise_aware, or "
            "use this one to rank what is finished."
        )


def taper(spec: JudgeSpec, sigma: float) -> float:
    """How far the judge is to be followed at this noise, 0..1: 0 where it guesses (AUC 0.5), 1 where it always knows.

    2 AUC - 1, linear in log(1 + sigma) between the measured levels; 0 outside of the judge's range.
    """
    assert spec.sigma_range is not None
    if not spec.sigma_range[0] <= sigma <= spec.sigma_range[1]:
        return 0.0
    levels, areas = zip(*(spec.auc or ((0.0, 1.0),)))
    worth = [max(0.0, 2 * area - 1) for area in areas]
    return float(np.interp(np.log1p(sigma), np.log1p(levels), worth))


def slope(judge: Judge, x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The gradient of the judge's logit at x = x0 + sigma noise [B, C, ...], with respect to x."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().float().clone().requires_grad_()
        level = torch.full((len(x),), sigma, device=x.device)
        (gradient,) = torch.autograd.grad(judge.logit(x, sigma=level).sum(), x)
    return gradient


def gain_of(spec: JudgeSpec, unfold: Callable[[torch.Tensor], torch.Tensor], like: torch.Tensor) -> float:
    """How much louder noise is in the judge's space than in the denoiser's; like: one row of the denoiser's latents.

    Raises AigcError when that differs between channels: noise of the denoiser is then no noise that the judge knows.
    """
    spread = unfold(torch.ones_like(like)) - unfold(torch.zeros_like(like))
    low, high = float(spread.min()), float(spread.max())
    if not 0 < high <= 1.02 * low:
        raise AigcError(
            f"Expected a judge trained in this model's latent space, got {spec.id}, in whose space the model's noise is "
            f"{low:.3g} to {high:.3g} times as strong by channel: train one with this model connected."
        )
    return (low + high) / 2


class Steering:
    """`schedulers.Watch.change_x0` for a judge: adds w taper(sigma) sigma^2 a grad l, in the denoiser's own space.

    unfold: the denoiser's latents as the judge takes them, [B, C, H, W] or [B, C, T, H, W]: elements moved, each times `gain`
    and shifted. fold: moves elements back.
    """

    def __init__(
        self,
        judge: Judge,
        weight: float,
        calibration: tuple[float, float] | None,
        unfold: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
        fold: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
        gain: float = 1.0,
    ) -> None:
        self.judge, self.weight, self.unfold, self.fold, self.gain = judge, weight, unfold, fold, gain
        self.sharpness = calibration[0] if calibration else 1.0

    @classmethod
    def of(
        cls,
        discriminator: Discriminator,
        judge: Judge,
        weight: float,
        latent_of: Callable[[torch.Tensor], torch.Tensor],
        like: torch.Tensor,
        fold: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
    ) -> Steering:
        """Of a denoiser whose latents, such as `like`, are those of a LATENT by `latent_of`. Raises AigcError as `gain_of`."""
        spec = discriminator.spec

        def unfold(x: torch.Tensor) -> torch.Tensor:
            return to_space(spec, latent_of(x))

        return cls(judge, weight, discriminator.calibration, unfold, fold, gain_of(spec, unfold, like))

    def __call__(self, x: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
        """x = alpha x0 + sigma noise, in the denoiser's space."""
        level = self.gain * sigma / alpha if alpha else float("inf")
        follow = self.weight * taper(self.judge.spec, level) if level < float("inf") else 0.0
        if follow == 0:
            return torch.zeros_like(x)
        gradient = slope(self.judge, self.unfold(x.float() / alpha), level)
        return self.fold(follow * self.sharpness * level**2 / self.gain * gradient).to(x)
