"""Weights that lie in one file in their original layout: a whole checkpoint, or one part that replaces a model's own.

Everything else a part needs comes from a config-only folder beside this file (`families.py`) and from the host's
tokenizer files. Only the tensors of the part that is asked for are read; diffusers' own converters rename them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch

from ..errors import AigcError
from ..payloads import Model
from . import quantised, words
from .converting import BUFFERS, convert
from .families import BY_CONFIG, CONFIGS, DENOISER, NAMED, VAE, Family, recognise
from .folder import component_entry, part_class
from .quantised import header_of
from .stubs import set_buffer
from .weights import TensorInfo, read_header

__all__ = ["CONFIGS", "CheckpointModel", "Source", "load_weights", "part_tensors", "recognise", "settled", "source_of"]

# A whole model's later layers have no such bias in the epsilon models; in the v-prediction ones it is strong.
SD2_BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
SD2_V_DEVIATION = 0.09
# Where the parts of a model may lie in a file of one part, beside under no prefix at all.
ALONE = {"vae": VAE, "transformer": DENOISER, "transformer_2": DENOISER, "unet": DENOISER}
# Beside a text encoder's weights in its file, and none of them.
NO_WEIGHTS = ("spiece_model", "tekken_model", "logit_scale")


@dataclass(frozen=True)
class CheckpointModel(Model):
    """A Model whose weights are one file.

    tokenizers: the host's tokenizer folders by kind, such as "clip" and "t5".
    family: what the file was recognised as, where its config is the user's own folder; None for the shipped ones.
    """

    tokenizers: Mapping[str, Path] = field(default_factory=dict)
    family: Family | None = None


class Source(NamedTuple):
    """The file that holds a part's weights, and what stands before their names there."""

    path: Path
    prefix: str


def family_of(model: Model) -> Family:
    """The family of a checkpoint: by its own config folder, or the one that it was opened as."""
    return getattr(model, "family", None) or BY_CONFIG[model.config.name]


def in_folder(model: Model, name: str) -> bool:
    """Whether a part's weights lie in the model's folder, or in the config folder that the user gave a checkpoint."""
    if any(part.name == name for part in model.parts):
        return False
    own = getattr(model, "family", None) is not None and any((model.config / name).glob("*.safetensors"))
    return not model.single_file or (own and _found(model.path, family_of(model).prefixes.get(name, ())) is None)


def source_of(model: Model, name: str) -> Source | None:
    """The single file of a part; None when it lies in the model's own folder.

    Raises AigcError when the file has no such part.
    """
    for part in reversed(model.parts):
        if part.name == name:
            return _found(part.path, (*ALONE.get(name, ()), "")) or _refuse(name, part.path, (*ALONE.get(name, ()), ""))
    if in_folder(model, name):
        return None
    prefixes = family_of(model).prefixes.get(name, ())
    return _found(model.path, prefixes) or _refuse(name, model.path, prefixes)


def _found(path: Path, prefixes: tuple[str, ...]) -> Source | None:
    header = header_of(path)
    return next((Source(path, prefix) for prefix in prefixes if any(key.startswith(prefix) for key in header)), None)


def _refuse(name: str, path: Path, prefixes: tuple[str, ...]) -> NoReturn:
    looked = " or ".join(f"{prefix}*" for prefix in prefixes) or "its own"
    raise AigcError(
        f"Expected the part {name!r} in {path}, but the file has no tensors named {looked}. Get a complete checkpoint, "
        f"or connect Replace Part with a file of this part."
    )


def settled(family: Family, path: Path) -> Path:
    """The config folder of a checkpoint: by its family, by its name where that tells more, for SD 2 by its values."""
    from safetensors import safe_open

    for pattern, named in NAMED.get(family.config, ()):
        if re.search(pattern, path.name.lower()):
            return named.folder
    if family.config != "sd2" or SD2_BIAS not in read_header(path):
        return family.folder
    with safe_open(path, "pt") as file:
        deviation = file.get_tensor(SD2_BIAS).float().std(unbiased=False)
    return family.folder if deviation > SD2_V_DEVIATION else CONFIGS / "sd2_base"


def part_tensors(model: Model, name: str) -> dict[str, TensorInfo]:
    """The header entries of one part by their names in the file."""
    source = source_of(model, name)
    assert source is not None, "only called for parts of a single file"
    return {key: info for key, info in header_of(source.path).items() if key.startswith(source.prefix)}


def load_weights(
    model: Model, name: str, cls: Any, dtype: torch.dtype, unused: tuple[str, ...] = ()
) -> torch.nn.Module:
    """One part, converted. Tensors that are only renamed stay pages of the file when `dtype` is theirs.

    unused: words in the names of weights that the part never runs, and that a file may leave out.
    """
    source = source_of(model, name)
    assert source is not None
    packed = quantised.is_gguf(source.path)
    tensors = _packed(source, name, cls, dtype) if packed else _plain(source, dtype)
    if cls.__module__.startswith("transformers"):
        part = _load_encoder(cls, model.config / name, tensors, dtype, unused)
    else:
        part = convert(cls, tensors, model.config, name, dtype, **(quantised.gguf_options(dtype) if packed else {}))
    if packed:
        quantised.unpack_strays(part, dtype)
    _check_complete(part, name, source.path)
    return part


def _plain(source: Source, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The tensors of a part by their own names; 8-bit floats widened to `dtype`."""
    from safetensors import safe_open

    header = read_header(source.path)
    quantised.refuse_unread(header, source.path)
    names = [key for key in header if key.startswith(source.prefix) and not key.endswith(NO_WEIGHTS)]
    with safe_open(source.path, "pt") as file:
        tensors = {key.removeprefix(source.prefix): file.get_tensor(key) for key in names}
    return quantised.widened(tensors, dtype)


def _packed(source: Source, name: str, cls: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    if name not in ("transformer", "transformer_2", "unet"):
        raise AigcError(
            f"Expected a .safetensors file for the part {name!r} ({cls.__name__}), got {source.path.name}: GGUF is read for "
            f"denoisers only. Get this part's .safetensors version."
        )
    tensors = quantised.gguf_tensors(source.path, dtype)
    return {key.removeprefix(source.prefix): value for key, value in tensors.items() if key.startswith(source.prefix)}


def _check_complete(part: torch.nn.Module, name: str, path: Path) -> None:
    missing = [key for key, value in part.state_dict().items() if value.is_meta]
    if missing:
        raise AigcError(
            f"Expected every weight of {name!r} in {path}, but {len(missing)} are not there, e.g. {missing[0]}. "
            f"Get a complete checkpoint, or the right file for this part."
        )


def load_small_buffers(
    model: Model, name: str, module: torch.nn.Module, *, device: torch.device, dtype: torch.dtype
) -> None:
    """Give a part without weights the small values that a pipeline reads from it, from the part's single file."""
    wanted = BUFFERS.get(type(module).__name__, {})
    source = source_of(model, name) if wanted else None
    if source is None:
        return
    from safetensors import safe_open

    header = read_header(source.path)
    with safe_open(source.path, "pt") as file:
        for buffer, original in wanted.items():
            stored = next((key for key in (source.prefix + original, source.prefix + buffer) if key in header), "")
            if stored:
                set_buffer(module, buffer, file.get_tensor(stored).to(device), dtype)


def _load_encoder(
    cls: Any, folder: Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype, unused: tuple[str, ...]
) -> torch.nn.Module:
    """A text encoder from tensors in transformers' layout, old or new, or in OpenCLIP's."""
    config = cls.config_class.from_pretrained(str(folder), local_files_only=True)
    if any(key.startswith("transformer.resblocks.") for key in tensors):
        from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

        with torch.device("meta"):
            shape = cls(config)
        tensors = convert_open_clip_checkpoint(shape, tensors, prefix="")
    elif "CLIPText" in cls.__name__:
        # Early files leave out CLIP's `text_model.`
        bare = ("embeddings.", "encoder.", "final_layer_norm.")
        tensors = {f"text_model.{key}" if key.startswith(bare) else key: value for key, value in tensors.items()}
        if "WithProjection" in cls.__name__ and "text_projection.weight" not in tensors:
            tensors["text_projection.weight"] = torch.eye(config.hidden_size)  # what a file without one means
    part, report = cls.from_pretrained(None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True)
    if absent := sorted(key for key in report["missing_keys"] if not any(head in key for head in unused)):
        raise AigcError(
            f"Expected every weight of {cls.__name__}, but {len(absent)} are not in the file, e.g. {absent[0]}. "
            f"Get a complete checkpoint, or the right file for this part."
        )
    return part


def load_tokenizer(model: Model, cls: Any, folder: Path, name: str) -> Any:
    """A tokenizer, its words from the host's files or the text encoder's, its settings from our config."""
    inside = _sentencepiece(model, name)
    # Where a family brings its words along, the host's files of the same class are another model's.
    kind = "" if family_of(model).words else words.kind_of(cls)
    files = getattr(model, "tokenizers", {}).get(kind)
    return words.tokenizer(cls, folder, files=files, model=inside, kind=kind, asked_by=model.path.name)


def load_processor(model: Model, cls: Any, folder: Path) -> Any:
    """A processor of text with pictures: the model's own tokenizer, and what the config says of the pictures."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    tokenizer = load_tokenizer(model, part_class(*component_entry(model, "tokenizer")), folder, "tokenizer")
    pictures = Qwen2VLImageProcessor.from_pretrained(str(folder), local_files_only=True)
    return cls(pictures, tokenizer, Qwen2VLVideoProcessor.from_pretrained(str(folder), local_files_only=True))


def _sentencepiece(model: Model, name: str) -> bytes | None:
    """The sentencepiece model that lies beside a text encoder in its file; None when the family needs none."""
    wanted = family_of(model).words
    source = source_of(model, name.replace("tokenizer", "text_encoder")) if wanted else None
    if source is None:
        return None
    from safetensors import safe_open

    found = next((key for key in read_header(source.path) if key.endswith(wanted)), None)
    if found is None:
        return None
    with safe_open(source.path, "pt") as file:
        return file.get_tensor(found).numpy().tobytes()
