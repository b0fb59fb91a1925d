"""Image encoders for IP-Adapters: a transformers folder, or a CLIP vision model in one .safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from .folder import read_json
from .weights import part_weights, read_header

HEADS = {1024: 64, 1280: 80, 1664: 104}  # the width of a head by the model's: L, H and bigG
QUICK = 1024  # of these L alone has the quick GELU


def load_encoder(path: Path, pipeline: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """The encoder of a pipeline class, in eval mode on the CPU, and the processor that shows it pictures.

    Raises AigcError when the path holds no such encoder.
    """
    from transformers import CLIPImageProcessor, SiglipImageProcessor

    cls = _class(pipeline)
    with torch.inference_mode(False):
        net = _from_file(path, cls, dtype) if path.is_file() else _from_folder(path, cls, dtype)
    side = net.config.image_size
    if "Siglip" in cls.__name__:
        return net, SiglipImageProcessor(size={"height": side, "width": side})
    return net, CLIPImageProcessor(size=side, crop_size=side)


def _class(pipeline: Any) -> Any:
    import transformers

    kinds = [
        kind.__name__ for kind in pipeline._get_signature_types().get("image_encoder", ()) if isinstance(kind, type)
    ]
    name = next((kind for kind in kinds if kind != "NoneType"), "CLIPVisionModelWithProjection")
    return getattr(transformers, name)


def _from_folder(path: Path, cls: Any, dtype: torch.dtype) -> Any:
    config = read_json(path / "config.json")
    kind = cls.config_class.model_type
    if config.get("model_type") not in (kind, kind.split("_")[0]):
        raise AigcError(
            f"Expected a {cls.__name__} in {path}, got {config.get('model_type')}: choose another image encoder."
        )
    for file in part_weights(path)[1]:
        read_header(file)
    net = cls.from_pretrained(str(path), dtype=dtype, use_safetensors=True, local_files_only=True)
    return net.eval().requires_grad_(False)


def _from_file(path: Path, cls: Any, dtype: torch.dtype) -> Any:
    from safetensors.torch import load_file
    from transformers import CLIPVisionConfig

    shapes = {key: info.shape for key, info in read_header(path).items()}
    inside = "vision_model.embeddings."
    if f"{inside}class_embedding" not in shapes or "CLIP" not in cls.__name__:
        raise AigcError(
            f"Expected a {cls.__name__}, got {path.name}: choose a CLIP vision file, or the encoder's folder."
        )
    width, patch = shapes[f"{inside}patch_embedding.weight"][0], shapes[f"{inside}patch_embedding.weight"][-1]
    layers = {key.split(".")[3] for key in shapes if key.startswith("vision_model.encoder.layers.")}
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=len(layers),
        num_attention_heads=width // HEADS.get(width, 64) or 1,
        patch_size=patch,
        image_size=round((shapes[f"{inside}position_embedding.weight"][0] - 1) ** 0.5) * patch,
        projection_dim=shapes["visual_projection.weight"][0],
        hidden_act="quick_gelu" if width == QUICK else "gelu",
    )
    net = cls.from_pretrained(None, config=config, state_dict=load_file(path), dtype=dtype)
    return net.eval().requires_grad_(False)
