"""Weights that a file keeps in fewer bits: 8-bit floats with or without scales, and GGUF.

8-bit floats are widened when they are read. GGUF stays packed: diffusers' own layers widen each weight when it is used.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from .weights import TensorInfo, read_header

GGUF = ".gguf"
INSTALL = "pip install 'gguf>=0.10'"
# What stands after a layer's name for the number its 8-bit weights are multiplied by, in ComfyUI's older and newer files.
SCALES = (".scale_weight", ".weight_scale")
# Tensors that only a quantised multiplication needs, and marks of the format; none of them is a weight.
NO_WEIGHTS = (".scale_input", ".input_scale", "scaled_fp8", ".comfy_quant")
# Formats that are not read: what only their tensors' names have.
UNREAD = {
    ".weight_scale_2": "4-bit floats (nvfp4)",
    ".absmax": "bitsandbytes weights",
    ".weight.quant_map": "nf4 weights",
}
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
WHOLE = ("F32", "F16")  # GGUF's plain tensors


def refuse_unread(header: dict[str, TensorInfo], path: Path) -> None:
    """Raise for a file whose weights are packed in a way that is not read here."""
    for name in header:
        for piece, kind in UNREAD.items():
            if piece in name:
                raise AigcError(
                    f"Expected weights of 8 bits or more, got {kind} in {path.name}, e.g. {name}. Get the file's fp8, "
                    f"bf16 or GGUF version."
                )


def widened(tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The same weights in `dtype` where they were 8-bit floats, times their scale; everything else stays as it is.

    A scale is one number, or one for each row. The product is taken in float32, as ComfyUI does.
    Raises AigcError for a scale of another shape.
    """
    found = {}
    for name, value in tensors.items():
        if name.endswith((*SCALES, *NO_WEIGHTS)):
            continue
        if value.dtype not in FLOAT8:
            found[name] = value
            continue
        scale = _scale(tensors, name)
        found[name] = value.to(dtype) if scale is None else (value.float() * _fitting(scale, value, name)).to(dtype)
    return found


def _scale(tensors: dict[str, torch.Tensor], name: str) -> torch.Tensor | None:
    layer = name.removesuffix(".weight")
    return next((tensors[layer + end] for end in SCALES if layer + end in tensors), None)


def _fitting(scale: torch.Tensor, value: torch.Tensor, name: str) -> torch.Tensor:
    rows = value.shape[0] if value.ndim else 1
    if scale.numel() == 1:
        return scale.float().reshape(())
    if scale.numel() == rows and scale.shape[0] == rows:
        return scale.float().reshape(rows, *[1] * (value.ndim - 1))
    raise AigcError(
        f"Expected a scale of one number or of {rows} for {name}, got shape {list(scale.shape)}: scales of blocks are not "
        f"read. Get the file's bf16 or GGUF version."
    )


def is_gguf(path: Path) -> bool:
    return path.suffix.lower() == GGUF


def header_of(path: Path) -> dict[str, TensorInfo]:
    """The tensors of a safetensors or GGUF file by name; AigcError when it is damaged."""
    return gguf_header(path) if is_gguf(path) else read_header(path)


def gguf_header(path: Path) -> dict[str, TensorInfo]:
    """The tensors of a GGUF file by name, their kind as dtype ("Q8_0") and their own shape, rows first.

    Raises AigcError when the package is missing or the file is damaged.
    """
    stat = path.stat() if path.is_file() else None
    if stat is None:
        raise AigcError(f"Expected the file {path}, but it is not there. Download the model again, or mend its path.")
    return dict(_header(path, stat.st_size, stat.st_mtime_ns))


@cache
def _header(path: Path, size: int, time: int) -> dict[str, TensorInfo]:
    reader = _reader(path)
    found = {}
    for tensor in reader.tensors:
        shape = _own_shape(reader, tensor.name) or tuple(int(n) for n in reversed(tensor.shape))
        whole = tensor.tensor_type.name in WHOLE
        found[tensor.name] = TensorInfo(tensor.tensor_type.name, shape, 0 if whole else int(tensor.n_bytes))
    return found


def _reader(path: Path) -> Any:
    try:
        import gguf
    except ImportError:
        raise AigcError(
            f"Expected the package gguf, which reads {path.name}, but it is not installed. Install it with {INSTALL} in "
            f"ComfyUI's Python and start ComfyUI again, or get the .safetensors version."
        ) from None
    try:
        return gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError, OverflowError, UnicodeDecodeError, TypeError) as error:
        raise AigcError(
            f"Expected a whole GGUF file, but {path} does not read ({type(error).__name__}: {error}"[:300] + "). "
            "Download it again."
        ) from None


def _own_shape(reader: Any, name: str) -> tuple[int, ...] | None:
    """The shape of a tensor that was flattened for GGUF, which knows four dimensions: ComfyUI's files note it."""
    field = reader.get_field(f"comfy.gguf.orig_shape.{name}")
    return None if field is None else tuple(int(field.parts[index][0]) for index in field.data)


def gguf_tensors(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights of a GGUF file: matrices packed, for diffusers' own layers; everything else in `dtype`."""
    header = gguf_header(path)
    from diffusers.models.model_loading_utils import load_gguf_checkpoint

    try:
        tensors = load_gguf_checkpoint(str(path))
    except ValueError as error:  # a kind of packing that diffusers does not know
        raise AigcError(
            f"Expected a GGUF of a kind that diffusers unpacks, got {path.name}: {str(error).splitlines()[0]} Get its "
            f"Q8_0, Q4_K_M or bf16 version."
        ) from None
    return {name: _usable(value, header[name], dtype) for name, value in tensors.items()}


def _usable(value: Any, info: TensorInfo, dtype: torch.dtype) -> torch.Tensor:
    if info.dtype in WHOLE:
        return value.reshape(info.shape)
    return value if len(info.shape) == 2 else unpacked(value).reshape(info.shape).to(dtype)


def unpacked(value: Any) -> torch.Tensor:
    """A packed weight as plain numbers."""
    from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

    return torch.Tensor._make_subclass(torch.Tensor, dequantize_gguf_tensor(value))


def plain(value: torch.Tensor) -> torch.Tensor:
    """A weight as plain numbers, packed or not."""
    return unpacked(value) if hasattr(value, "quant_type") else value


def gguf_options(dtype: torch.dtype) -> dict[str, Any]:
    """What diffusers' from_single_file is told for weights that stay packed."""
    from diffusers import GGUFQuantizationConfig

    return {"quantization_config": GGUFQuantizationConfig(compute_dtype=dtype)}


def unpack_strays(part: torch.nn.Module, dtype: torch.dtype) -> None:
    """Unpack what no packed layer uses, such as tables and embeddings: other layers take plain numbers only."""
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter

    for module in part.modules():
        for name, value in list(module._parameters.items()):
            if isinstance(value, GGUFParameter) and not (isinstance(module, GGUFLinear) and name == "weight"):
                module._parameters[name] = torch.nn.Parameter(unpacked(value).to(dtype), requires_grad=False)
