"""ComfyUI's LATENT against what `vae.decode` takes: the same tensor, but for the families listed here.

The host's VAE of these families undoes the normalisation itself, so its LATENT is the normalised tensor. A family is a
row: how to normalise, and whether its latents are folded into patches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

Stats = Callable[[Any, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class Row(NamedTuple):
    """stats(pipe, z) -> mean and standard deviation, broadcastable to z; fold: 2 x 2 patches become channels."""

    stats: Stats
    fold: bool = False


def _ltx(pipe: Any, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = pipe.vae.latents_mean.to(z), pipe.vae.latents_std.to(z)
    return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1) / pipe.vae.config.scaling_factor


def _flux2(pipe: Any, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    norm = pipe.vae.bn
    std = (norm.running_var.to(z) + pipe.vae.config.batch_norm_eps).sqrt()
    return norm.running_mean.to(z).view(1, -1, 1, 1), std.view(1, -1, 1, 1)


_COSMOS_SIGMA = 0.5  # sigma_data: the host's autoencoder multiplies by it, whatever the scheduler says


def _cosmos(pipe: Any, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    config = pipe.vae.config
    if config.get("latents_mean") is None:
        return torch.zeros(1).to(z), torch.ones(1).to(z) / _COSMOS_SIGMA
    mean, std = (
        torch.tensor(config[k]).view(1, config.latent_channels, -1, 1, 1).to(z) for k in ("latents_mean", "latents_std")
    )
    frames = torch.arange(z.shape[2], device=z.device) % mean.shape[2]  # longer videos begin again, as in the host
    return mean[:, :, frames], std[:, :, frames] / _COSMOS_SIGMA


ROWS: dict[str, Row | None] = {
    "LTXI2VLong": None,  # it undoes the normalisation in its own decode
    "LTX": Row(_ltx),
    "Flux2": Row(_flux2, fold=True),
    "Flux3": Row(_flux2, fold=True),  # the same autoencoder
    "CosmosTextToWorld": Row(_cosmos),
    "CosmosVideoToWorld": Row(_cosmos),
}


def _row(family: str) -> Row | None:
    return next((row for start, row in ROWS.items() if family.startswith(start)), None)


def _fold(z: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] -> [B, 4C, H/2, W/2], the order of FLUX.2's patches."""
    b, c, h, w = z.shape
    return z.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(b, c * 4, h // 2, w // 2)


def _unfold(z: torch.Tensor) -> torch.Tensor:
    b, c, h, w = z.shape
    return z.view(b, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, c // 4, h * 2, w * 2)


def to_host(family: str, z: torch.Tensor, pipe: Any) -> torch.Tensor:
    """What `vae.decode` takes, as ComfyUI's LATENT."""
    row = _row(family)
    if row is None:
        return z
    z = _fold(z) if row.fold else z
    mean, std = row.stats(pipe, z)
    return (z - mean) / std


def from_host(family: str, samples: torch.Tensor, pipe: Any) -> torch.Tensor:
    """The inverse of `to_host`."""
    row = _row(family)
    if row is None:
        return samples
    mean, std = row.stats(pipe, samples)
    z = samples * std + mean
    return _unfold(z) if row.fold else z


def from_host_shape(family: str, samples: torch.Tensor) -> tuple[int, ...]:
    """The shape that `from_host` gives."""
    row = _row(family)
    if row is None or not row.fold or samples.ndim != 4:
        return tuple(samples.shape)
    b, c, h, w = samples.shape
    return (b, c // 4, h * 2, w * 2)


def folded(family: str, z: torch.Tensor) -> torch.Tensor:
    """Values that lie as `vae.decode` takes its input, where ComfyUI's LATENT has them."""
    row = _row(family)
    return _fold(z) if row is not None and row.fold else z


def unfolded(family: str, z: torch.Tensor) -> torch.Tensor:
    """The inverse of `folded`."""
    row = _row(family)
    return _unfold(z) if row is not None and row.fold else z
