"""A small picture of the estimate at one step, made from latents without the autoencoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from ..payloads import Model
from .latents import Geometry
from .tail import TailMap

# Latents to colour by channels and pixels a cell, rows are channels. SD1.5 and SDXL: the field's well-known least-squares
# fits; pictures are their own.
RGB = {
    (4, 8): ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473)),
    (3, 1): ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
}


def _fit(model: Model, shape: Geometry) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Colour factors [C, 3] and bias [3]: the model's own `latent_rgb.json`, else the field's for its channels, else none."""
    try:
        own = json.loads((model.config / "latent_rgb.json").read_text("utf-8"))
        return torch.tensor(own["factors"]), torch.tensor(own["bias"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if shape.dims == 4 and (shape.channels, shape.spatial) in RGB:
        return torch.tensor(RGB[shape.channels, shape.spatial]) / 2, torch.full((3,), 0.5)
    return None, torch.zeros(3)


class Preview:
    """Turns the denoiser's estimate into a PIL image; asks nothing of the autoencoder."""

    def __init__(self, model: Model, shape: Geometry, call: Mapping[str, Any], tail: TailMap | None) -> None:
        self.shape, self.call, self.tail = shape, call, tail
        self.factors, self.bias = _fit(model, shape)

    def __call__(self, x0: torch.Tensor) -> Any:
        """x0: [B, ...] in the denoiser's space. Returns a PIL image, or None for what has no picture."""
        picture = self._picture(x0)
        if picture is None:
            return None
        from PIL import Image

        pixels = (self._colour(picture[0]) * 255).to(torch.uint8).cpu().numpy()
        image = Image.fromarray(pixels)
        factor = max(1, 256 // max(image.size))
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.BILINEAR)

    def _picture(self, x0: torch.Tensor) -> torch.Tensor | None:
        """The latents as [B, C, H, W]: the first frame of a video, packed ones unfolded."""
        if self.shape.dims == 3:
            return None
        if x0.ndim == 3 and self.tail is not None:
            x0 = self.tail.forward(x0)
        elif x0.ndim == 3:
            x0 = self._unfold(x0)
        return x0[:, :, 0] if x0.ndim == 5 else x0 if x0.ndim == 4 else None

    def _unfold(self, packed: torch.Tensor) -> torch.Tensor:
        """[B, cells, C * patch] of a packed family as [B, C, H, W]: the mean over each patch is enough for a preview."""
        b, cells, values = packed.shape
        height, width = self.call.get("height") or 1, self.call.get("width") or 1
        rows = max(1, round((cells * height / width) ** 0.5))
        columns = max(1, cells // rows)
        channels = self.shape.channels if values % self.shape.channels == 0 else values
        x = packed[:, : rows * columns].reshape(b, rows, columns, channels, -1).mean(-1)
        return x.permute(0, 3, 1, 2)

    def _colour(self, x: torch.Tensor) -> torch.Tensor:
        """[C, H, W] -> [H, W, 3] in 0..1: a known fit where there is one, else the first three principal components."""
        flat = x.float().permute(1, 2, 0)
        if self.factors is not None and self.factors.shape[0] == flat.shape[-1]:
            return (flat @ self.factors.to(flat) + self.bias.to(flat)).clamp(0, 1)
        points = flat.reshape(-1, flat.shape[-1])
        points = points - points.mean(0)
        if points.shape[-1] > 3:
            points = points @ torch.linalg.svd(points, full_matrices=False).Vh[:3].T
        else:
            points = torch.nn.functional.pad(points, (0, 3 - points.shape[-1]))
        points = points / points.std(0).clamp_min(1e-6) / 4 + 0.5
        return points.clamp(0, 1).reshape(*flat.shape[:2], 3)
