"""Whether latents show their prompt: a linear map from a latent to the text encoder of its own model.

Ridge regression (Hoerl and Kennard 1970) of pooled text embeddings on latents; the score is the cosine to the prompt's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .. import whole
from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..sources import Roots
from .judge import Beside, Judge
from .learned import format_of, tupled

FORMAT = "aigc-agreement-1"


class Texts(nn.Module):
    """A model's own text encoder and tokenizer, from its diffusers folder: prompts to pooled embeddings [B, D]."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from transformers import AutoTokenizer, CLIPTextModel

        self.tokenizer = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
        self.encoder = CLIPTextModel.from_pretrained(
            str(folder / "text_encoder"), local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()
        self.requires_grad_(False)

    def forward(self, prompts: Sequence[str]) -> torch.Tensor:
        ids = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )  # fmt: skip
        given = {k: v.to(self.encoder.device) for k, v in ids.items()}
        return self.encoder(**given).pooler_output


class _Map(nn.Module):
    weight: torch.Tensor
    middle: torch.Tensor

    def __init__(self, weight: torch.Tensor, middle: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("middle", middle)


class Agreement(Judge):
    """weight: [C H W + 1, D], the last row the offset; middle: [D], the mean embedding; both taken off before the cosine."""

    chunk = 64

    def __init__(self, spec: JudgeSpec, texts: Texts, weight: torch.Tensor, middle: torch.Tensor) -> None:
        self.spec, self.texts = spec, texts
        self.map = _Map(weight, middle)

    def parts(self) -> list[nn.Module]:
        return [self.texts, self.map]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        weight, middle = self.map.weight, self.map.middle
        flat = x.flatten(1)
        if flat.shape[1] != len(weight) - 1:
            raise AigcError(
                f"Expected latents of {len(weight) - 1} values as {self.spec.id} was fitted on ({self.spec.space}), got shape "
                f"{list(x.shape)}: choose a judge of this space and size."
            )
        if not beside.prompts:
            raise AigcError(f"Expected a prompt for {self.spec.id}, got none: fill in prompt.")
        seen = F.normalize(flat @ weight[:-1] + weight[-1], dim=1)
        wanted = F.normalize(self.texts(beside.prompts).to(flat) - middle, dim=1)
        return (seen * wanted).sum(1)


def fitted(latents: torch.Tensor, embeddings: torch.Tensor, ridge: float) -> torch.Tensor:
    """The map [N features + 1, D] of least squares with `ridge` from latents [B, …] to unit embeddings [B, D], in float64."""
    x = torch.cat([latents.flatten(1), torch.ones(len(latents), 1)], dim=1).double()
    square = x.T @ x + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(square, x.T @ F.normalize(embeddings, dim=1).double()).float()


def save(path: Path, discriminator: Discriminator, weight: torch.Tensor, middle: torch.Tensor, model: str) -> None:
    """Write a judge to one file, whole or not at all. model: the name of the model whose text encoder it needs."""
    header = {
        "format": FORMAT, "model": model, "spec": json.dumps(asdict(discriminator.spec)),
        "calibration": json.dumps(discriminator.calibration),
    }  # fmt: skip
    whole.write(path, {"weight": weight.half(), "middle": middle.float()}, header)


def recognised(path: Path, roots: Roots) -> Discriminator | None:
    """The judge in a file of this kind, None for another one. Raises AigcError when its model is not here."""
    if format_of(path) != FORMAT:
        return None
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        header: dict[str, Any] = file.metadata()
    folders = (root / header["model"] for root in (*roots.embedded, *roots.diffusers))
    model = next((folder for folder in folders if (folder / "text_encoder").is_dir()), None)
    if model is None:
        raise AigcError(
            f"Expected the model {header['model']} for {path.name}, got none of that name: put it into ComfyUI's models/diffusers."
        )
    spec = JudgeSpec(**tupled(json.loads(header["spec"])))
    calibration = tupled(json.loads(header["calibration"]))
    return Discriminator(spec, "agreement", path, calibration=calibration, files=(("model", model),))


def open_file(discriminator: Discriminator) -> Agreement:
    """The judge with its weights and its model's text encoder."""
    from safetensors.torch import load_file

    assert discriminator.path is not None
    held = load_file(str(discriminator.path))
    texts = Texts(dict(discriminator.files)["model"])
    return Agreement(discriminator.spec, texts, held["weight"].float(), held["middle"].float())
