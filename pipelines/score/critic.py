"""Any GAN's own discriminator as a judge: a DCGAN-class network, its architecture read off its file's shapes.

Radford et al. 2015, arXiv 1511.06434: strided convolutions, batch norms, leaky ReLU of 0.2, one logit at the end. What a
state dict does not hold (strides, paddings, slopes) is that paper's; a network that does not fit it is refused.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..sources import Roots
from .formulas import luma
from .judge import Beside, Judge

SUFFIXES = (".safetensors", ".pth", ".pt")
HOLDERS = re.compile(r"(net_?)?d(isc(riminator)?)?(_state_dict)?|critic|state_dict|model(_state_dict)?", re.IGNORECASE)
PADDING = {3: 1, 4: 1, 5: 2}  # of a kernel with stride 2, so that it halves even sizes


@dataclass(frozen=True)
class Layer:
    """One layer with weights: "conv", "norm" or "linear", under `name`; shape of its weight; whether it has a bias."""

    kind: str
    name: str
    shape: tuple[int, ...]
    bias: bool


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """The discriminator's state dict in a file; a pickle is opened for its tensors only, never for code. Raises AigcError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: Any = load_file(str(path)) if path.suffix == ".safetensors" else _pickled(path)
    except pickle.UnpicklingError as error:
        raise AigcError(
            f"Expected weights only in {path.name}, got a pickle that holds more ({str(error).splitlines()[0][:120]}): save "
            "D.state_dict(), best as safetensors."
        ) from error
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise AigcError(
            f"Expected a discriminator, got {path.name}, which is damaged ({error}): copy it again."
        ) from error
    state = _state_in(found)
    # Copied: a file's own memory may lie so that sums are taken in another order.
    return {name.removeprefix("module."): value.clone() for name, value in state.items()}


def _pickled(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _state_in(found: Any) -> dict[str, torch.Tensor]:
    """The state dict in what a file holds: itself, or the one under a name such as netD_state_dict."""
    if not isinstance(found, Mapping):
        return {}
    held = {k: v for k, v in found.items() if isinstance(k, str)}
    inside = [v for k, v in held.items() if isinstance(v, Mapping) and HOLDERS.fullmatch(k)]
    if inside:
        return _state_in(inside[0])
    own = {k: v for k, v in held.items() if isinstance(v, torch.Tensor)}
    both = {k.partition(".")[2]: v for k, v in own.items() if HOLDERS.fullmatch(k.partition(".")[0])}
    return both or own


def plain(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With spectral normalisation worked in (Miyato et al. 2018, arXiv 1802.05957): W / (u^T W v), by the u and v it has."""
    out = dict(state)
    for before, names in (("weight_orig", ("weight_u", "weight_v")), ("parametrizations.weight.original", _NEW_NAMES)):
        for name in [n for n in state if n.endswith(f".{before}")]:
            layer = name.removesuffix(before)
            weight, (u, v) = state[name], (state[layer + n] for n in names)
            sigma = torch.dot(u, torch.mv(weight.flatten(1), v))
            out[f"{layer}weight"] = weight / sigma
            for gone in (before, *names):
                out.pop(layer + gone)
    return out


_NEW_NAMES = ("parametrizations.weight.0._u", "parametrizations.weight.0._v")


def layers(state: Mapping[str, torch.Tensor]) -> list[Layer]:
    """The layers in the order they run: by the numbers in their names, a norm after its convolution."""
    found = []
    for name in [n.removesuffix(".weight") for n in state if n.endswith(".weight")]:
        weight = state[f"{name}.weight"]
        kind = {4: "conv", 2: "linear", 1: "norm"}.get(weight.ndim, "")
        if kind == "norm" and f"{name}.running_var" not in state:
            kind = ""
        found.append(Layer(kind, name, tuple(weight.shape), f"{name}.bias" in state))
    return sorted(found, key=_place)


def _place(layer: Layer) -> tuple[Any, ...]:
    numbers = [int(n) for n in re.findall(r"\d+", layer.name)]
    return (not numbers, numbers, ("conv", "norm", "linear", "").index(layer.kind), layer.name)


def problem(found: list[Layer]) -> str:
    """Why these layers are no DCGAN discriminator; "" when they are."""
    weighted = [layer for layer in found if layer.kind != "norm"]
    if len(weighted) < 3 or any(layer.kind != "conv" for layer in weighted[:-1]):
        return "its layers are not a row of convolutions with one output layer"
    convs, last = weighted[:-1], weighted[-1]
    if convs[0].shape[1] not in (1, 3):
        return f"it takes {convs[0].shape[1]} channels, not pictures of 1 or 3"
    if any(c.shape[2] != c.shape[3] or c.shape[2] not in PADDING for c in convs):
        return "its kernels are not 3, 4 or 5 wide"
    wide = [c.shape[0] for c in convs]
    if [c.shape[1] for c in convs[1:]] != wide[:-1] or last.shape[0] != 1:
        return "its widths do not follow one another to a single logit"
    if last.kind == "linear" and (
        last.shape[1] % wide[-1] or round((last.shape[1] / wide[-1]) ** 0.5) ** 2 * wide[-1] != last.shape[1]
    ):
        return "its output layer fits no square picture"
    if last.kind == "conv" and (last.shape[1] != wide[-1] or last.shape[2] != last.shape[3]):
        return "its output layer does not fit the one before"
    for before, layer in pairwise(found):
        if layer.kind == "norm" and (
            before.kind != "conv" or before.shape[0] != layer.shape[0] or _apart(before, layer)
        ):
            return "a norm does not follow its convolution at once"
    return ""


def _apart(before: Layer, layer: Layer) -> bool:
    """Whether numbers in a Sequential leave room for a layer without weights between the two."""
    a, b = (re.fullmatch(r"(.*\.)?(\d+)", item.name) for item in (before, layer))
    return bool(a and b and a[1] == b[1] and int(b[2]) - int(a[2]) != 1)


def side(found: list[Layer]) -> int:
    """Pixels a side of the pictures that it was trained on."""
    weighted = [layer for layer in found if layer.kind != "norm"]
    last = weighted[-1]
    end = last.shape[2] if last.kind == "conv" else round((last.shape[1] / weighted[-2].shape[0]) ** 0.5)
    return end * 2 ** (len(weighted) - 1)


def network(state: Mapping[str, torch.Tensor], found: list[Layer]) -> nn.Sequential:
    """The discriminator up to its logit, in evaluation."""
    modules: list[nn.Module] = []
    for place, layer in enumerate(found):
        last = place == len(found) - 1
        if layer.kind == "conv":
            out, into, kernel = layer.shape[:3]
            stride, padding = (1, 0) if last else (2, PADDING[kernel])
            module: nn.Module = nn.Conv2d(into, out, kernel, stride, padding, bias=layer.bias)
        elif layer.kind == "norm":
            module = nn.BatchNorm2d(layer.shape[0])
        else:
            modules.append(nn.Flatten())
            module = nn.Linear(layer.shape[1], layer.shape[0], bias=layer.bias)
        names = {key: value for key in module.state_dict() if (value := state.get(f"{layer.name}.{key}")) is not None}
        module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in names.items()}, strict=False)
        modules.append(module)
        if not last and found[place + 1].kind != "norm":
            modules.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*modules).eval().requires_grad_(False)


def recognised(path: Path, roots: Roots) -> Discriminator | None:
    """The judge in a file of a GAN's discriminator; None for another kind of file. Raises AigcError for one that is damaged."""
    if path.suffix not in SUFFIXES:
        return None
    state = plain(tensors(path))
    found = layers(state)
    if not any(layer.kind == "conv" for layer in found):
        return None
    why = problem(found)
    if why:
        raise AigcError(
            f"Expected a DCGAN's discriminator in {path.name}, but {why}: its state dict must be of strided convolutions, batch "
            "norms and one logit. Train a judge of your own instead."
        )
    spec = JudgeSpec(
        id=path.stem,
        note=f"a GAN's own discriminator ({side(found)} pixels, shown -1..1): real against what its generator drew",
    )
    return Discriminator(spec, "critic", path)


class Critic(Judge):
    """Pictures of any size are made its own first, filtered against aliasing; those of its own size are left as they are."""

    chunk = 64

    def __init__(self, spec: JudgeSpec, state: Mapping[str, torch.Tensor]) -> None:
        found = layers(state)
        self.spec, self.side, self.net = spec, side(found), network(state, found)
        self.grey = found[0].shape[1] == 1

    def parts(self) -> list[nn.Module]:
        return [self.net]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        x = luma(x) if self.grey else x
        if tuple(x.shape[-2:]) != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        return self.net(2 * x - 1).flatten(1).mean(1)


def open_file(discriminator: Discriminator) -> Critic:
    assert discriminator.path is not None
    return Critic(discriminator.spec, plain(tensors(discriminator.path)))
