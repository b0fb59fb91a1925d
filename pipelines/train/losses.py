"""What is minimised: functions of tensors, each with its equation. No model, no file, no state."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

Tensor = torch.Tensor
LEVELS = 127.5  # an 8-bit step is 1 / LEVELS of the range -1..1


# Adversarial. `real` and `fake` are logits [B]; higher is real.


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean of softplus(-(D(x) - D(G(z)))): each real one against a fake (Jolicoeur-Martineau 2018, arXiv 1807.00734, eq. 6)."""
    return F.softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The same with the roles changed: mean of softplus(-(D(G(z)) - D(x)))."""
    return F.softplus(real - fake).mean()


def plain_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1), by logits."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(G(z)) (the same paper, section 3); `real` is not needed."""
    return F.softplus(-fake).mean()


ADVERSARIAL = {
    "relativistic": (relativistic_discriminator, relativistic_generator),
    "non-saturating": (plain_discriminator, non_saturating_generator),
}


def gradient_penalty(logits: Tensor, x: Tensor) -> Tensor:
    """Mean over the batch of |dD/dx|^2: R1 at real ones, R2 at fakes (Mescheder et al. 2018, arXiv 1801.04406, eq. 9).

    logits: [B], made from x [B, ...], which needs a slope.
    """
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return slope.square().flatten(1).sum(1).mean()


# Variational.


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats, [B] of [B, ...] (Kingma and Welling 2013, arXiv 1312.6114, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)


def laplace_nats(x: Tensor, y: Tensor, log_scale: Tensor) -> Tensor:
    """-log p(x | y) in nats, [B]: sum over pixels of log(2 b) + |x - y| / b with b = exp(log_scale), a number."""
    return (log_scale + math.log(2) + (x - y).abs() * (-log_scale).exp()).flatten(1).sum(1)


def bits_per_dimension(nats: Any, dimensions: int) -> Any:
    """Of 8-bit pixels shown as -1..1: nats / (D log 2) + log2(127.5), the density's nats made those of a level."""
    return nats / (dimensions * math.log(2)) + math.log2(LEVELS)


def edges(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of the slopes along rows and columns of [B, C, H, W]."""
    difference = x - y
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last: Tensor) -> Tensor:
    """|d rec / d last| / (|d adv / d last| + 1e-4), at most 1e4 (Esser et al. 2021, arXiv 2012.09841, eq. 7)."""
    (a,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (b,) = torch.autograd.grad(adversarial, last, retain_graph=True)
    return (a.norm() / (b.norm() + 1e-4)).clamp(0, 1e4).detach()


# Diffusion. x0: data of about unit variance, noise: standard normal, both [B, ...]; level: [B] in 0..1.


def along(level: Tensor, x: Tensor) -> Tensor:
    """level [B] shaped to multiply x [B, ...]."""
    return level.to(x).reshape(-1, *[1] * (x.ndim - 1))


def flow_pair(x0: Tensor, noise: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """x = (1 - t) x0 + t noise and its velocity noise - x0 (Lipman et al. 2022, arXiv 2210.02747, with t = 1 for noise)."""
    t = along(level, x0)
    return (1 - t) * x0 + t * noise, noise - x0


def noised(x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """alpha x0 + sigma noise, alpha and sigma [B] (Ho et al. 2020, arXiv 2006.11239, eq. 4)."""
    return along(alpha, x0) * x0 + along(sigma, x0) * noise


def velocity(x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v = alpha noise - sigma x0 (Salimans and Ho 2022, arXiv 2202.00512, appendix D)."""
    return along(alpha, x0) * noise - along(sigma, x0) * x0


def min_snr(snr: Tensor, prediction: str, most: float = 5.0) -> Tensor:
    """The weight [B] of a squared error at signal-to-noise ratio snr [B] (Hang et al. 2023, arXiv 2303.09556, section 3.4)."""
    capped = snr.clamp(max=most)
    return {"epsilon": capped / snr, "v_prediction": capped / (snr + 1), "sample": capped}[prediction]


def shifted(level: Tensor, shift: float) -> Tensor:
    """Levels in 0..1 moved towards noise by shift >= 1 (Esser et al. 2024, arXiv 2403.03206, section 5.3.2)."""
    return shift * level / (1 + (shift - 1) * level)
