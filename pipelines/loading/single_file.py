"""Weights that lie in one file in their original layout: a whole checkpoint, or one part that replaces a model's own.

Everything else a part needs comes from a config-only folder beside this file (`families.py`) and from the host's
tokenizer files. Only the tensors of the part that is asked for are read; diffusers' own converters rename them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import AigcError
from ..payloads import Model
from .families import BY_CONFIG, CONFIGS, DENOISER, VAE, Family, recognise
from .folder import read_json
from .weights import TensorInfo, read_header

__all__ = ["CONFIGS", "CheckpointModel", "Source", "load_weights", "part_tensors", "recognise", "settled", "source_of"]

# A whole model's later layers have no such bias in the epsilon models; in the v-prediction ones it is strong.
SD2_BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
SD2_V_DEVIATION = 0.09
# Where the parts of a model may lie in a file of one part, beside under no prefix at all.
ALONE = {"vae": VAE, "transformer": DENOISER, "unet": DENOISER[:1]}
# Which of the host's tokenizers a class reads, and the files that must be there.
TOKENIZERS = {"CLIP": ("clip", ("vocab.json", "merges.txt")), "T5": ("t5", ("tokenizer.json",))}


@dataclass(frozen=True)
class CheckpointModel(Model):
    """A Model whose weights are one file. tokenizers: the host's tokenizer folders, by "clip" and "t5"."""

    tokenizers: Mapping[str, Path] = field(default_factory=dict)


class Source(NamedTuple):
    """The file that holds a part's weights, and what stands before their names there."""

    path: Path
    prefix: str


def source_of(model: Model, name: str) -> Source | None:
    """The single file of a part; None when it lies in the model's own folder.

    Raises AigcError when the file has no such part.
    """
    for part in reversed(model.parts):
        if part.name == name:
            return _source(model, name, part.path, (*ALONE.get(name, ()), ""))
    if not model.single_file:
        return None
    return _source(model, name, model.path, BY_CONFIG[model.config.name].prefixes.get(name, ()))


def _source(model: Model, name: str, path: Path, prefixes: tuple[str, ...]) -> Source:
    header = read_header(path)
    for prefix in prefixes:
        if any(key.startswith(prefix) for key in header):
            return Source(path, prefix)
    looked = " or ".join(f"{prefix}*" for prefix in prefixes) or "its own"
    raise AigcError(
        f"Expected the part {name!r} in {path}, but the file has no tensors named {looked}. Get a complete checkpoint, "
        f"or connect Replace Part with a file of this part."
    )


def settled(family: Family, path: Path) -> Path:
    """The config folder of a checkpoint, by its family and, for SD 2, by the objective that its values show."""
    from safetensors import safe_open

    if family.config != "sd2" or SD2_BIAS not in read_header(path):
        return family.folder
    with safe_open(path, "pt") as file:
        deviation = file.get_tensor(SD2_BIAS).float().std(unbiased=False)
    return family.folder if deviation > SD2_V_DEVIATION else CONFIGS / "sd2_base"


def part_tensors(model: Model, name: str) -> dict[str, TensorInfo]:
    """The header entries of one part by their names in the file."""
    source = source_of(model, name)
    assert source is not None, "only called for parts of a single file"
    return {key: info for key, info in read_header(source.path).items() if key.startswith(source.prefix)}


def load_weights(model: Model, name: str, cls: Any, dtype: torch.dtype) -> torch.nn.Module:
    """One part, converted. Tensors that are only renamed stay pages of the file when `dtype` is theirs."""
    from safetensors import safe_open

    source, keys = source_of(model, name), part_tensors(model, name)
    assert source is not None
    with safe_open(source.path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in keys}
    if cls.__module__.startswith("transformers"):
        plain = {key.removeprefix(source.prefix): value for key, value in tensors.items()}
        part = _load_encoder(cls, model.config / name, plain, dtype)
    else:
        part = cls.from_single_file(
            tensors, config=str(model.config), subfolder=name, torch_dtype=dtype, local_files_only=True
        )
    missing = [key for key, value in part.named_parameters() if value.is_meta]
    if missing:
        raise AigcError(
            f"Expected every weight of {name!r} in {source.path}, but {len(missing)} are not there, e.g. {missing[0]}. "
            f"Get a complete checkpoint, or the right file for this part."
        )
    return part


def _load_encoder(cls: Any, folder: Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> torch.nn.Module:
    """A text encoder from tensors in transformers' layout, old or new, or in OpenCLIP's."""
    config = cls.config_class.from_pretrained(str(folder), local_files_only=True)
    if any(key.startswith("transformer.resblocks.") for key in tensors):
        from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

        with torch.device("meta"):
            shape = cls(config)
        tensors = convert_open_clip_checkpoint(shape, tensors, prefix="")
    elif "CLIP" in cls.__name__:
        # Early files leave out CLIP's `text_model.`
        bare = ("embeddings.", "encoder.", "final_layer_norm.")
        tensors = {f"text_model.{key}" if key.startswith(bare) else key: value for key, value in tensors.items()}
        if "WithProjection" in cls.__name__ and "text_projection.weight" not in tensors:
            tensors["text_projection.weight"] = torch.eye(config.hidden_size)  # what a file without one means
    part, report = cls.from_pretrained(None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True)
    if absent := sorted(report["missing_keys"]):
        raise AigcError(
            f"Expected every weight of {cls.__name__}, but {len(absent)} are not in the file, e.g. {absent[0]}. "
            f"Get a complete checkpoint, or the right file for this part."
        )
    return part


def load_tokenizer(model: Model, cls: Any, folder: Path) -> Any:
    """A tokenizer, its words from the host's files and its settings from our config (length, padding)."""
    kind, needed = next(entry for word, entry in TOKENIZERS.items() if word in cls.__name__)
    files = getattr(model, "tokenizers", {}).get(kind)
    if files is None or not all((files / name).is_file() for name in needed):
        raise AigcError(
            f"Expected {kind.upper()}'s {' and '.join(needed)} in {files or 'a folder given by the host'}, but they are "
            f"not there: {model.path.name} comes without a tokenizer. Use ComfyUI's own copy, or the model as a "
            f"diffusers folder."
        )
    settings = read_json(folder / "tokenizer_config.json")
    settings.pop("tokenizer_class", None)
    if kind == "clip":  # by its two files: the host's settings beside them say a length that crashes the encoder
        return cls(*(str(files / name) for name in needed), **settings)
    return cls.from_pretrained(str(files), local_files_only=True, **settings)
