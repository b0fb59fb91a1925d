"""What of a denoiser learns: a LoRA laid on it by peft, or all of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .. import menus
from ..errors import AigcError

ADAPTER = "aigc_trained"
ATTENTION = re.compile(r"(^|\.)(to_(q|k|v|qkv|kv|out|add_out)|add_(q|k|v)_proj|(q|k|v|out|o)_proj)(\.0)?$")
TARGETS = menus.LORA_TARGETS


class Weights(nn.Module):
    """Parameters that live elsewhere, under their names there, as a network that a checkpoint can hold."""

    def __init__(self, named: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.held = nn.ParameterDict({name.replace(".", "/"): value for name, value in named.items()})

    def named(self) -> dict[str, torch.Tensor]:
        return {name.replace("/", "."): value.detach() for name, value in self.held.items()}


def layers(module: nn.Module, targets: str) -> list[str]:
    """The names of the layers that a LoRA of these targets is laid on. Raises AigcError when there are none."""
    kinds = (nn.Linear, nn.Conv2d) if targets == "linear and convolution" else (nn.Linear,)
    names = [name for name, layer in module.named_modules() if isinstance(layer, kinds)]
    if targets == "attention":
        names = [name for name in names if ATTENTION.search(name)]
    names = [name for name in names if getattr(module.get_submodule(name), "groups", 1) == 1]
    if not names:
        raise AigcError(f"Expected layers of {targets} in {type(module).__name__}, got none: choose other targets.")
    return names


def lay(module: Any, *, rank: int, alpha: float, targets: str, seed: int) -> Weights:
    """A fresh LoRA in float32, which changes nothing yet; all else is frozen."""
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    module.requires_grad_(False)
    options: dict[str, Any] = {"r": rank, "lora_alpha": alpha, "target_modules": layers(module, targets)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module.add_adapter(LoraConfig(**options), adapter_name=ADAPTER)
    cast_training_params(module, torch.float32)
    return Weights({name: p for name, p in module.named_parameters() if p.requires_grad})


def whole(module: nn.Module) -> Weights:
    """All weights of a denoiser, in float32."""
    module.float().requires_grad_(True)
    return Weights(dict(module.named_parameters()))


def lora_state(weights: dict[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
    """A LoRA's tensors under diffusers' names "<layer>.lora_A.weight", with its scale alpha / rank in the second half."""
    state = {name.replace(f".{ADAPTER}", ""): value.float().cpu() for name, value in weights.items()}
    return {name: value * scale if name.endswith(".lora_B.weight") else value for name, value in state.items()}


@contextmanager
@torch.no_grad()
def standing_in(weights: Weights, average: Weights | None) -> Iterator[None]:
    """While open the network computes with the average; afterwards with its own weights again, to the bit."""
    if average is None:
        yield
        return
    own = [value.detach().clone() for value in weights.held.values()]
    for value, mean in zip(weights.held.values(), average.held.values()):
        value.data.copy_(mean)
    try:
        yield
    finally:
        for value, kept in zip(weights.held.values(), own):
            value.data.copy_(kept)
