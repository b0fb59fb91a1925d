"""Config-only parts on the meta device: they answer what a pipeline asks about a part, and hold no weights.

A pipeline reads `.config`, `.device`, `.dtype` and now and then a small buffer of the parts it does not run (LTX reads
the VAE's latents_mean, Flux2 its batch norm). A stub answers these and refuses to compute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from .weights import DTYPE_BYTES, part_weights, read_header

SMALL_BUFFER = 64 * 1024  # bytes
# Classes that find the config of the whole model of which they are a part in their folder, and which field is theirs.
WITHIN = {"T5GemmaEncoder": "encoder"}


class StubCalled(RuntimeError):
    """A stage ran a part that it did not load: a mistake in this pack, never in the user's input."""


def _refuse(module: nn.Module, *_: Any, **__: Any) -> Any:
    raise StubCalled(
        f"Internal error of AIGC Nodes: {type(module).__name__} was asked to compute, but this stage holds it without "
        f"weights. Please report this with the model's name."
    )


def _stay(module: nn.Module, *_: Any, **__: Any) -> nn.Module:
    return module


@property
def _device(module: nn.Module) -> torch.device:
    return module.__dict__["_stub_device"]


@property
def _dtype(module: nn.Module) -> torch.dtype:
    return module.__dict__["_stub_dtype"]


def make_stub(module: nn.Module, *, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Turn a module without weights into a stub that reports `device` and `dtype`.

    It becomes an instance of a subclass with the same name and module, so that isinstance and diffusers' own registry
    see the class they expect. Moving or casting it does nothing; computing with it or with any module in it raises
    StubCalled.
    """
    original = type(module)
    body = {
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        "device": _device,
        "dtype": _dtype,
        "forward": _refuse,
        "to": _stay,
        "_apply": _stay,
    }
    for inner in module.modules():
        inner.register_forward_pre_hook(_refuse)
    module.__class__ = type(original.__name__, (original,), body)
    module.__dict__["_stub_device"] = torch.device(device)
    module.__dict__["_stub_dtype"] = dtype
    return module


def is_stub(part: object) -> bool:
    return "_stub_device" in getattr(part, "__dict__", {})


def empty_module(cls: type, folder: Path) -> nn.Module:
    """A model of `cls` from the config in `folder`, on the meta device: no memory, no random numbers."""
    from diffusers import ModelMixin

    if issubclass(cls, ModelMixin):
        config = cls.load_config(folder, local_files_only=True)  # pyright: ignore[reportAttributeAccessIssue]
        make = cls.from_config  # pyright: ignore[reportAttributeAccessIssue]
    else:
        whole = cls.config_class.from_pretrained(folder, local_files_only=True)
        config = getattr(whole, WITHIN.get(cls.__name__, ""), whole)
        make = cls._from_config
    with torch.inference_mode(False):
        try:
            with torch.device("meta"):
                module = make(config)
        except (RuntimeError, NotImplementedError, TypeError):
            # A constructor that computes with its own tables cannot do so on the meta device.
            from accelerate import init_empty_weights

            with init_empty_weights(include_buffers=False):
                module = make(config)
    return module.eval().requires_grad_(False)


def load_small_buffers(module: nn.Module, folder: Path, *, device: torch.device, dtype: torch.dtype) -> None:
    """Read the buffers of at most 64 KB that the part's file holds, as the loaded part would have them."""
    from safetensors import safe_open

    wanted = {name for name, buffer in module.named_buffers() if _bytes(buffer) <= SMALL_BUFFER}
    if not wanted:
        return
    for path in part_weights(folder)[1]:
        names = [
            name
            for name, info in read_header(path).items()
            if name in wanted and info.numel * DTYPE_BYTES.get(info.dtype, 1) <= SMALL_BUFFER
        ]
        if names:
            with safe_open(path, "pt") as file:
                for name in names:
                    set_buffer(module, name, file.get_tensor(name).to(device), dtype)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def set_buffer(module: nn.Module, name: str, value: torch.Tensor, dtype: torch.dtype) -> None:
    owner, _, leaf = name.rpartition(".")
    module.get_submodule(owner)._buffers[leaf] = value.to(dtype) if value.is_floating_point() else value
