"""A training's state in one safetensors file: nothing in it can run code, and a kill leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..errors import AigcError

HEADER = "aigc_training"


def write(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write beside `path`, sync, rename. Raises AigcError when it cannot be written; the file that was there stays."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(_apart(tensors), str(part), metadata={HEADER: json.dumps(facts)})
        _sync(part)
        part.replace(path)
        with contextlib.suppress(OSError):  # a folder cannot be opened on every system
            _sync(path.parent)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        kept = f"the one before is still in {path}" if path.exists() else "none was written before"
        raise AigcError(
            f"Expected to write the checkpoint {path.name}, but {error}: make room, then resume; {kept}."
        ) from error


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """On the CPU, contiguous, and none sharing memory with another: what the file format asks for."""
    seen: set[int] = set()
    out = {}
    for name, value in tensors.items():
        value = value.detach().to("cpu").contiguous()
        place = value.untyped_storage().data_ptr()
        out[name] = value.clone() if place in seen else value
        seen.add(place)
    return out


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the facts. Raises AigcError for a file that is no checkpoint of ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            facts = json.loads((file.metadata() or {})[HEADER])
            # Copied: a file's own memory may lie so that sums are taken in another order.
            return {name: file.get_tensor(name).clone() for name in file.keys()}, facts
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise AigcError(
            f"Expected a checkpoint of a training in {path}, got a file that is none ({error!r}): choose another."
        ) from error


def of_optimizer(name: str, optimizer: Optimizer) -> tuple[dict[str, torch.Tensor], Any]:
    """Its tensors under "optimizer.<name>.", and what is no tensor as JSON."""
    state = optimizer.state_dict()
    tensors, rest = {}, {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{name}.{index}.{key}"] = value
            else:
                rest[f"{index}.{key}"] = value
    return tensors, {"groups": state["param_groups"], "rest": rest}


def into_optimizer(name: str, optimizer: Optimizer, tensors: Mapping[str, torch.Tensor], facts: Any) -> None:
    state: dict[int, dict[str, Any]] = {}
    prefix = f"optimizer.{name}."
    found = [(key.removeprefix(prefix), value) for key, value in tensors.items() if key.startswith(prefix)]
    for place, value in [*found, *facts["rest"].items()]:
        index, _, key = place.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in facts["groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def of_network(name: str, net: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": value for key, value in net.state_dict().items()}


def into_network(name: str, net: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    prefix = f"{name}."
    state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    net.load_state_dict(state)


@contextlib.contextmanager
def best(path: Path, networks: Mapping[str, nn.Module]) -> Iterator[None]:
    """Lend networks the weights of a checkpoint, where there is one; they get their own back."""
    if not path.exists():
        yield
        return
    tensors, _ = read(path)
    own = {name: {key: value.clone() for key, value in net.state_dict().items()} for name, net in networks.items()}
    try:
        for name, net in networks.items():
            into_network(name, net, tensors)
        yield
    finally:
        for name, net in networks.items():
            net.load_state_dict(own[name])
