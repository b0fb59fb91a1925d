"""One part of a model at a time: loaded, as a stub, or only measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Model
from . import single_file, stubs
from .folder import component_entry, part_class, part_folder
from .weights import TensorInfo, part_weights, read_header

# Heads that encoders never run: some published encoders come without them.
UNUSED_HEADS = ("lm_head", "pooler")


def load_part(model: Model, name: str, *, dtype: torch.dtype | None) -> Any:
    """Load one part of a model, e.g. "unet" or "tokenizer", on the CPU.

    A model comes in `dtype`, in eval mode and without gradients; weights stored in that dtype stay pages of the file.
    Raises AigcError when the part is missing, damaged, a pickle, or asks to run code.
    """
    folder, cls = _folder_and_class(model, name)
    with torch.inference_mode(False), _reported(model, name), without_progress_bars():
        if not has_weights(cls):
            return _load_plain(model, cls, folder, name)
        assert dtype is not None, "a part with weights is loaded in a dtype"
        if single_file.source_of(model, name) is not None:
            part = single_file.load_weights(model, name, cls, dtype, UNUSED_HEADS)
        else:
            part = _load_weights(cls, folder, dtype)
        return part.eval().requires_grad_(False)


def stub_part(model: Model, name: str, *, device: torch.device | str, dtype: torch.dtype) -> Any:
    """A part without weights that reports `device` and `dtype`, and whose forward raises `stubs.StubCalled`.

    Buffers of at most 64 KB are real. Parts that never have weights (tokenizers, schedulers) are loaded as they are.
    """
    folder, cls = _folder_and_class(model, name)
    with _reported(model, name):
        if not has_weights(cls):
            return _load_plain(model, cls, folder, name)
        module = stubs.empty_module(cls, folder)
        if single_file.in_folder(model, name):
            stubs.load_small_buffers(module, folder, device=torch.device(device), dtype=dtype)
        else:
            single_file.load_small_buffers(model, name, module, device=torch.device(device), dtype=dtype)
        return stubs.make_stub(module, device=torch.device(device), dtype=dtype)


def part_bytes(model: Model, name: str, *, dtype: torch.dtype | None = None) -> int:
    """Bytes of a part's weights in `dtype`, or as stored when None; 0 for parts without weights. Reads headers only."""
    total = 0
    for info in part_tensors(model, name).values():
        total += info.numel * dtype.itemsize if dtype is not None and info.floating else info.stored
    return total


def part_numbers(model: Model, name: str) -> int:
    """How many numbers a part's file holds, whatever its config says."""
    return sum(info.numel for info in part_tensors(model, name).values())


def part_size(model: Model, name: str) -> int:
    """How many numbers a part holds by its config, whatever its file says."""
    folder, cls = _folder_and_class(model, name)
    with _reported(model, name):
        values = stubs.empty_module(cls, folder).state_dict(keep_vars=True).values()
        return sum(value.numel() for value in {id(value): value for value in values}.values())  # shared ones count once


def part_tensors(model: Model, name: str) -> dict[str, TensorInfo]:
    """The header entries of a part's weights, by the names they have in the file; {} for parts without weights."""
    folder, cls = _folder_and_class(model, name)
    if not has_weights(cls):
        return {}
    if single_file.source_of(model, name) is not None:
        return single_file.part_tensors(model, name)
    return {key: info for path in part_weights(folder)[1] for key, info in read_header(path).items()}


def has_weights(cls: type) -> bool:
    return issubclass(cls, torch.nn.Module)


def holds_weights(model: Model, name: str) -> bool:
    """Whether a part is a network: a tokenizer of sound may be one, a tokenizer of text is none."""
    return has_weights(part_class(*component_entry(model, name)))


def _folder_and_class(model: Model, name: str) -> tuple[Path, type]:
    return part_folder(model, name), part_class(*component_entry(model, name))


def _load_plain(model: Model, cls: Any, folder: Path, name: str) -> Any:
    """A tokenizer, processor or scheduler."""
    if model.single_file and "Tokenizer" in cls.__name__:
        return single_file.load_tokenizer(model, cls, folder, name)
    if model.single_file and cls.__name__ == "Qwen2VLProcessor":
        return single_file.load_processor(model, cls, folder)
    return cls.from_pretrained(str(folder), local_files_only=True)


def _load_weights(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import ModelMixin

    weights, files = part_weights(folder)
    for path in files:
        read_header(path)
    options = {"low_cpu_mem_usage": True, "torch_dtype": dtype} if issubclass(cls, ModelMixin) else {"dtype": dtype}
    loaded: Any = cls.from_pretrained(
        str(folder),
        variant=weights.variant or None,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **options,
    )
    part, report = loaded
    missing = sorted(key for key in report["missing_keys"] if not any(head in key for head in UNUSED_HEADS))
    if missing:
        raise AigcError(
            f"Expected every weight of {cls.__name__} in {folder}, but {len(missing)} are missing, e.g. {missing[0]}. "
            f"The weights and the config are of different models: download the model again."
        )
    return part


@contextmanager
def _reported(model: Model, name: str) -> Iterator[None]:
    """Say which part failed when a library refuses it. Out of memory stays what it is: the host handles that."""
    from safetensors import SafetensorError

    try:
        yield
    except (AigcError, MemoryError, torch.OutOfMemoryError, stubs.StubCalled):
        raise
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, SafetensorError) as error:
        raise AigcError(
            f"The part {name!r} of {model.path} does not load: {_first_line(error)} "
            f"Its files do not fit together: download the model again, or update diffusers and transformers."
        ) from error
    except ImportError as error:
        raise AigcError(
            f"The part {name!r} of {model.path} needs a package that is not installed: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """transformers draws a bar for each part it loads; the node has its own progress."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
