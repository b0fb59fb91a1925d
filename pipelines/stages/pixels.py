"""Models without an autoencoder (DeepFloyd IF, PRX Pixel): their LATENT is the picture itself."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn


class Pixels(nn.Module):
    """Stands where other models have their autoencoder. Pictures [B, 3, H, W] in -1..1 are their own latents."""

    config: ClassVar[dict[str, Any]] = {"latent_channels": 3, "scaling_factor": 1.0}
    dtype, vae_scale_factor = torch.float32, 1

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (x,)

    def decode(self, z: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        return (z,)
