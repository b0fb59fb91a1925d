"""NVIDIA's network pickles (StyleGAN2-ADA), read for their tensors and settings; nothing in them is ever executed.

Such a file holds each module as a call of `_reconstruct_persistent_obj` with the module's source code and its state. Here
that call, like every other one that the format needs, makes an inert record, and the source code is dropped unread. A file
that names anything else is refused before the name is looked up.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError


@dataclass(frozen=True)
class Module:
    """What a file says of one module: its class's name, its tensors by name, the settings that it was made with."""

    class_name: str
    tensors: Mapping[str, torch.Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Persistent:
    class_name: str
    state: Mapping[str, Any]


class _Inert:
    """Stands for a value that is not needed, such as a numpy number; takes any argument and any state."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


class _Call:
    """A function that a file may call and cannot change: a pickle can set attributes of what it is handed."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"an attempt to change a function ({name})")


def _persistent(meta: Mapping[str, Any]) -> _Persistent:
    return _Persistent(str(meta.get("class_name", "")), meta.get("state") or {})


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """The view that a file describes, within the bounds of its storage (torch checks them), in memory of its own."""
    if not isinstance(storage, torch.TypedStorage):
        raise pickle.UnpicklingError(f"a tensor of {type(storage).__name__}")
    whole = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return whole.as_strided(tuple(size), tuple(stride), int(offset)).clone(memory_format=torch.contiguous_format)


def _parameter(data: torch.Tensor, *_: Any) -> torch.Tensor:
    return data


# Everything that a file may name. The types are immutable or made anew for each file, the functions are wrapped.
_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("numpy.core.multiarray", "scalar"): _Inert,
    ("numpy._core.multiarray", "scalar"): _Inert,
    ("numpy", "dtype"): _Inert,
}
_TYPES: dict[tuple[str, str], type] = {("collections", "OrderedDict"): OrderedDict, ("builtins", "set"): set}
_SETTINGS = {("dnnlib.util", "EasyDict"), ("dnnlib", "EasyDict")}


class _Reader(pickle.Unpickler):
    """`find_class` is the only way from a name in a pickle to an object; this one knows a list and imports nothing."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self._settings = type("Settings", (dict,), {})

    def find_class(self, module: str, name: str) -> Any:
        asked = (module, name)
        if asked in _SETTINGS:
            return self._settings
        if asked in _TYPES:
            return _TYPES[asked]
        if asked in _CALLS:
            return _Call(_CALLS[asked])
        raise pickle.UnpicklingError(f"{module}.{name}")


def read(path: Path) -> dict[str, Module]:
    """The networks in a file by their names there ("G", "G_ema", "D"). Raises AigcError for what is no such file.

    The file's own source code is neither run nor kept; its tensors are bit for bit the file's.
    """
    try:
        with path.open("rb") as file:
            found = _Reader(file).load()
        held = found if isinstance(found, Mapping) else {"G_ema": found}
        networks = {
            str(key): Module(value.class_name, _tensors(value), _settings(value))
            for key, value in held.items()
            if isinstance(value, _Persistent)
        }
    except pickle.UnpicklingError as error:
        raise AigcError(
            f"Expected a network pickle of StyleGAN2-ADA in {path.name}, got one that asks for {error}: it was refused, and "
            "nothing of it ran. Use a file of weights only, best .safetensors."
        ) from error
    except Exception as error:  # a torn or hostile pickle raises whatever it likes
        raise AigcError(
            f"Expected a network pickle of StyleGAN2-ADA, got {path.name}, which is damaged or another format "
            f"({type(error).__name__}: {str(error)[:120]}): copy it again, or use .safetensors."
        ) from error
    if not networks:
        raise AigcError(
            f"Expected networks named G, G_ema or D in {path.name}, got {', '.join(map(str, held)) or 'none'}: choose another file."
        )
    return networks


def _tensors(module: Any, before: str = "", depth: int = 0) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a module and those in it, named as a state dict names them."""
    if not isinstance(module, _Persistent) or depth > 20:
        raise pickle.UnpicklingError(f"a module that is {type(module).__name__}, or modules too deep in one another")
    found: dict[str, torch.Tensor] = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in (module.state.get(kind) or {}).items():
            if isinstance(value, torch.Tensor):
                found[f"{before}{name}"] = value
    for name, part in (module.state.get("_modules") or {}).items():
        if part is not None:
            found.update(_tensors(part, f"{before}{name}.", depth + 1))
    return found


def _settings(module: _Persistent) -> dict[str, Any]:
    """`_init_kwargs`: the settings that are plain numbers, words and tables of them."""

    def plain(value: Any, depth: int = 0) -> Any:
        if isinstance(value, Mapping) and depth < 5:
            return {str(key): plain(inside, depth + 1) for key, inside in value.items()}
        return value if isinstance(value, bool | int | float | str) else None

    return plain(module.state.get("_init_kwargs") or {})
