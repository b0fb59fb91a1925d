"""LAION's aesthetic predictor (the second one, "sac+logos+ava1"): CLIP ViT-L/14's image tower and linear layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...payloads import Discriminator, JudgeSpec
from ..judge import Beside, Judge
from .heads import Linears, linears
from .pictures import Transform, transform_of
from .weights import filled, read, read_folder


class Aesthetic(Judge):
    def __init__(self, spec: JudgeSpec, tower: Any, head: Linears, transform: Transform) -> None:
        self.spec, self.tower, self.head, self.transform = spec, tower, head, transform

    def parts(self) -> list[nn.Module]:
        return [self.tower, self.head]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        embedding = self.tower(pixel_values=self.transform(x).to(self.tower.dtype)).image_embeds
        return self.head(F.normalize(embedding.float(), dim=-1))


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> Aesthetic:
    from transformers import CLIPConfig, CLIPVisionModelWithProjection

    folder, name = discriminator.path, discriminator.spec.id
    assert folder is not None
    config: Any = CLIPConfig.from_pretrained(folder)
    tensors = {k: v for k, v in read_folder(folder).items() if k.startswith(("vision_model.", "visual_projection."))}
    config.vision_config.projection_dim = config.projection_dim
    made = CLIPVisionModelWithProjection
    tower = filled(made, config.vision_config, tensors, dtype, name, spare=r".*position_ids$")
    head = linears(read(dict(discriminator.files)["head"]), "layers.", name)
    return Aesthetic(discriminator.spec, tower, head, transform_of(folder, Transform()))
