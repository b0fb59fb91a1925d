"""Image encoders of transformers (CLIP's image tower, SigLIP's, DINOv2 and their kin) as feature nets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import AigcError
from ..loading.folder import read_json

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# model_type of a config: the transformers class, and the mean and spread of colours it was trained with.
KINDS = {
    "clip": ("CLIPVisionModel", CLIP),
    "clip_vision_model": ("CLIPVisionModel", CLIP),
    "siglip": ("SiglipVisionModel", HALF),
    "siglip_vision_model": ("SiglipVisionModel", HALF),
    "dinov2": ("Dinov2Model", IMAGENET),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", IMAGENET),
    "dinov3_vit": ("DINOv3ViTModel", IMAGENET),
}


@dataclass(frozen=True)
class Encoder:
    """model: in eval mode; kind: its model_type; side: of the square that it looks at; mean, std: of the colours."""

    model: nn.Module
    kind: str
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def points(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, H, W] in 0..1 -> pooled features [B, D]; the whole picture, squeezed to a square."""
        x = F.interpolate(x, (self.side, self.side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        mean, std = (torch.tensor(v, device=x.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return self.model(pixel_values=(x - mean) / std).pooler_output


@lru_cache(maxsize=1)
def open_encoder(path: Path) -> Encoder:
    """The encoder in a folder, in float32. Raises AigcError when it is of no known kind or damaged."""
    import transformers

    kind = str(read_json(path / "config.json").get("model_type"))
    if kind not in KINDS:
        raise AigcError(
            f"Expected an image encoder of {', '.join(KINDS)} in {path.name}, got {kind}: choose another feature net."
        )
    cls, colours = KINDS[kind]
    # A host runs nodes in inference mode; weights made there could not be moved between devices in place.
    with torch.inference_mode(False):
        try:
            made: Any = getattr(transformers, cls)
            model = made.from_pretrained(str(path), dtype=torch.float32, use_safetensors=True, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise AigcError(f"Expected a whole image encoder in {path.name}, got an error: {error}") from error
    file = path / "preprocessor_config.json"
    said = read_json(file) if file.is_file() else {}
    mean, std = (tuple(said.get(k) or default) for k, default in zip(("image_mean", "image_std"), colours))
    return Encoder(model.eval().requires_grad_(False), kind, _side(said, model.config), mean, std)


def _side(said: dict[str, Any], config: Any) -> int:
    """The side of the square: of the processor's crop or size, else the model's own."""
    for given in (said.get("crop_size"), said.get("size")):
        if isinstance(given, int):
            return given
        if isinstance(given, dict) and (side := given.get("height") or given.get("shortest_edge")):
            return int(side)
    return int(config.image_size)
