"""How noisy a training shows its pictures: the levels of the model's own scheduler, and what is learned at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .. import schedulers
from ..errors import AigcError
from . import losses

Tensor = torch.Tensor
PREDICTIONS = {
    "epsilon": "epsilon",
    "v_prediction": "v_prediction",
    "sample": "sample",
    "original_sample": "sample",
}


@dataclass(frozen=True)
class Levels:
    """x = alpha x0 + sigma noise at time t, each [N], from clean to noise, as densely as the model's schedule has them.

    prediction: "flow", "epsilon", "v_prediction" or "sample". between: whether levels between two of them are known too.
    """

    prediction: str
    alpha: Tensor
    sigma: Tensor
    t: Tensor
    between: bool

    def at(self, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """alpha, sigma and t [B] at shares [B] in 0..1 of the levels."""
        count = len(self.t)
        if not self.between:
            index = (share * count).long().clamp(0, count - 1)
            return self.alpha[index], self.sigma[index], self.t[index]
        place = share.clamp(0, 1) * (count - 1)
        low = place.long().clamp(max=max(0, count - 2))
        high, part = (low + 1).clamp(max=count - 1), (place - low).float()
        return (
            torch.lerp(self.alpha[low], self.alpha[high], part),
            torch.lerp(self.sigma[low], self.sigma[high], part),
            torch.lerp(self.t[low], self.t[high], part),
        )

    def pair(self, x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The noised x0 and what the model is to answer, both [B, ...]."""
        if self.prediction == "flow":
            return losses.flow_pair(x0, noise, sigma)
        x = losses.noised(x0, noise, alpha, sigma)
        targets = {"epsilon": noise, "sample": x0}
        return x, targets[self.prediction] if self.prediction in targets else losses.velocity(x0, noise, alpha, sigma)

    def weight(self, alpha: Tensor, sigma: Tensor, most: float) -> Tensor:
        """Of the squared error [B]: min-SNR up to `most`; 1 for flows, and where most is 0."""
        if self.prediction == "flow" or not most:
            return torch.ones_like(alpha)
        return losses.min_snr((alpha / sigma).square().clamp(min=1e-8), self.prediction, most)


def levels_of(scheduler: Any) -> Levels:
    """The levels of a scheduler whose schedule is set, its shift in time included. Raises AigcError for a kind that has none."""
    kind = schedulers.kind(scheduler)
    if kind == "flow":
        sigma = torch.as_tensor(scheduler.sigmas).float().cpu()
        t = torch.as_tensor(scheduler.timesteps).float().cpu()
        sigma, t = sigma[: len(t)].flip(0), t.flip(0)
        return Levels("flow", 1 - sigma, sigma, t, True)
    prediction = PREDICTIONS.get(str(scheduler.config.get("prediction_type", "epsilon")))
    if kind not in ("diffusion", "cogvideo") or prediction is None or not hasattr(scheduler, "alphas_cumprod"):
        raise AigcError(
            f"Expected a model of a flow, or one that predicts noise, v or the sample, got one with "
            f"{type(scheduler).__name__}: this kind of noise cannot be trained yet. Train a model of another family."
        )
    alpha = scheduler.alphas_cumprod.float().cpu().sqrt()
    return Levels(prediction, alpha, (1 - alpha.square()).clamp(min=0).sqrt(), torch.arange(len(alpha)).float(), False)
