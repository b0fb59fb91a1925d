"""GANs in other people's files: which state dicts are in one, what each is, and the architecture that their shapes imply."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..score import critic
from . import naming, nvidia, stack

State = Mapping[str, torch.Tensor]
# What a network is called, by the whole of its name in any case.
CALLED = {
    "average": r"(net_?)?g(en(erator)?)?_?(ema|average|avg)|ema(_?(net_?)?g(en(erator)?)?)?|params_ema|average|model_ema|ema_model",
    "generator": r"(net_?)?g(en(erator)?)?|params_g|generator_model",
    "discriminator": r"(net_?)?d(isc(riminator)?)?|critic|params_d|discriminator_model",
}
ENDS = re.compile(r"(_?(state_?dict|weights|params|model))$", re.IGNORECASE)
PREFIXES = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Read:
    """What is in a file: kind and options as in a Design, and weights under our names by part. notes: what was inferred."""

    kind: str
    options: Mapping[str, Any]
    weights: Mapping[str, State]
    licence: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """One state dict and what the names around it call it ("" for nothing)."""

    called: str
    state: dict[str, torch.Tensor]
    average: torch.Tensor | None = None
    clamp: float = 0.0


def read(path: Path, classes: int = -1) -> Read:
    """classes: how many of a conditional DCGAN's inputs are a class, -1 to infer it. Raises AigcError."""
    found = list(_in_pickle(path) if path.suffix == ".pkl" else _in_dict(_loaded(path), "", None))
    if not found:
        raise AigcError(
            f"Expected the weights of a GAN in {path.name}, got no tensors: save the state dict of its generator."
        )
    for recognise in (_stylegan2, _dcgan):
        made = recognise(found, path, classes)
        if made is not None:
            return made
    raise AigcError(
        f"Expected a GAN's generator in {path.name}, got a discriminator only: Load Discriminator opens it as a judge."
    )


def _loaded(path: Path) -> Any:
    """Tensors of a .safetensors file or a torch file; a pickle is opened for its tensors only, never for code."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise AigcError(
            f"Expected weights only in {path.name}, got a pickle that holds more ({str(error).splitlines()[0][:120]}): it was "
            "refused, and nothing of it ran. Save G.state_dict(), best as safetensors."
        ) from error
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise AigcError(
            f"Expected the weights of a GAN, got {path.name}, which is damaged ({str(error)[:120]}): copy it again."
        ) from error


def _in_pickle(path: Path) -> Iterator[_Found]:
    for name, module in nvidia.read(path).items():
        clamp = _value(module.settings, "conv_clamp") or 0.0
        yield _Found(_called(name), {k: v.clone() for k, v in module.tensors.items()}, clamp=float(clamp))


def _value(settings: Mapping[str, Any], name: str) -> Any:
    """A setting at any depth: StyleGAN2-ADA keeps it under synthesis_kwargs or block_kwargs."""
    if name in settings:
        return settings[name]
    inside = (_value(v, name) for v in settings.values() if isinstance(v, Mapping))
    return next((value for value in inside if value is not None), None)


def _called(name: str) -> str:
    plain = ENDS.sub("", name)
    return next((part for part, pattern in CALLED.items() if re.fullmatch(pattern, plain, re.IGNORECASE)), "")


def _in_dict(found: Any, called: str, average: torch.Tensor | None) -> Iterator[_Found]:
    """Every state dict in what a file holds, at any depth."""
    if not isinstance(found, Mapping):
        return
    held = {k: v for k, v in found.items() if isinstance(k, str)}
    own = {k: v for k, v in held.items() if isinstance(v, torch.Tensor)}
    average = own.pop("latent_avg", average)
    for parted, state in _parted(own).items():
        yield _Found(parted or called, state, average)
    for name, value in held.items():
        if isinstance(value, Mapping) and "optim" not in name.lower():
            yield from _in_dict(value, _called(name) or called, average)


def _parted(own: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """One state dict, or several that share it under names such as "G." and "D."; copied, since a file's memory may lie oddly."""
    out: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in own.items():
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        first, _, rest = name.partition(".")
        part = _called(first) if rest else ""
        out.setdefault(part, {})[rest if part else name] = value.clone()
    return out


def _stylegan2(found: list[_Found], path: Path, classes: int) -> Read | None:
    weights: dict[str, State] = {}
    notes: list[str] = []
    options: dict[str, Any] = {}
    for one in found:
        if naming.is_nvidia(one.state):
            state, unknown = naming.nvidia_generator(one.state)
        elif naming.is_rosinality(one.state):
            state, unknown = naming.rosinality_generator(one.state, one.average)
        else:
            continue
        if unknown or "start" not in state:
            raise AigcError(
                f"Expected StyleGAN2's layers in {path.name}, got also {', '.join(unknown[:4])}: this variant is not known "
                "here (StyleGAN3, other filters, or skips in another order). Export the StyleGAN2 of config F."
            )
        part = one.called if one.called in ("generator", "average") else "generator"
        weights.setdefault(part, state)
        options = options or naming.options(state, one.clamp)
    if not weights:
        return None
    for one in found:
        if naming.is_nvidia_critic(one.state):
            state, unknown = naming.nvidia_discriminator(one.state)
        elif naming.is_rosinality_critic(one.state):
            state, unknown = naming.rosinality_discriminator(one.state)
        else:
            continue
        extra = {} if unknown else naming.critic_options(state, options)
        if extra:
            options.update(extra)
            weights.setdefault("discriminator", state)
        else:
            notes.append("its discriminator has other layers than the generator and was left out")
    return Read("stylegan2", options, weights, notes=tuple(notes))


def _dcgan(found: list[_Found], path: Path, classes: int) -> Read | None:
    weights: dict[str, State] = {}
    notes: list[str] = []
    options: dict[str, Any] = {}
    refusal: AigcError | None = None
    for one in (one for one in found if one.called != "discriminator"):
        try:
            made, state, note = stack.read(one.state, classes)
        except AigcError as error:
            refusal = refusal or error
            continue
        options = options or made
        if made == options:
            weights.setdefault(one.called or "generator", state)
            notes += [note] if note and note not in notes else []
    for one in (one for one in found if one.called == "discriminator" or (one.called == "" and not weights)):
        plain = critic.plain(one.state)
        layers = critic.layers(plain)
        why = critic.problem(layers)
        if why and one.called == "discriminator":
            notes.append(f"its discriminator was left out: {why}")
        if not why and weights:
            options["critic"] = [_row(layer) for layer in layers]
            net = critic.network(plain, layers)
            weights.setdefault("discriminator", {f"main.{k}": v for k, v in net.state_dict().items()})
        if not why and not weights:
            return None
    if not weights:
        raise AigcError(
            f"In {path.name}: {refusal}" if refusal else f"Expected a GAN's generator in {path.name}, got none."
        )
    return Read("stack", options, weights, notes=tuple(notes))


def _row(layer: critic.Layer) -> dict[str, Any]:
    return {"kind": layer.kind, "shape": list(layer.shape), "bias": layer.bias}
