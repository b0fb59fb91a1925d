"""A judge's heatmap over the pictures it judged."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..errors import AigcError

RED = (1.0, 0.1, 0.1)


def shown(coarse: torch.Tensor, image: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [B, H, W, 3] tinted red where the heatmap [B, h, w] is lowest, and the mask [B, H, W] of the lowest `share`.

    Each picture has its own scale: its best place is untouched, its worst one red. A flat heatmap marks nothing.
    """
    if len(coarse) != len(image):
        raise AigcError(
            f"Expected one picture a heatmap ({len(coarse)}), got {len(image)}: connect the pictures of these latents."
        )
    fine = F.interpolate(coarse[:, None].float(), image.shape[1:3], mode="bicubic", align_corners=False)[:, 0]
    low, high = fine.flatten(1).min(1).values, fine.flatten(1).max(1).values
    spread = (high - low)[:, None, None]
    fault = torch.where(spread > 0, (high[:, None, None] - fine) / spread.clamp_min(1e-12), torch.zeros(()))
    tint = (0.7 * fault.square())[..., None]
    tinted = image[..., :3] * (1 - tint) + torch.tensor(RED).to(image) * tint
    return tinted, _worst(fault, share)


def _worst(fault: torch.Tensor, share: float) -> torch.Tensor:
    """1 in the `share` of each [B, H, W] with the most fault, 0 elsewhere and where there is none."""
    flat = fault.flatten(1)
    count = round(share * flat.shape[1])
    mask = torch.zeros_like(flat)
    if count:
        mask.scatter_(1, flat.topk(count, dim=1).indices, 1.0)
    return (mask * (flat > 0)).reshape(fault.shape)
