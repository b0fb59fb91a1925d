"""Files of GANs: ours (one safetensors file with its design in the header) and, through `foreign`, other people's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import whole
from ..errors import AigcError
from ..payloads import Design, Gan
from . import build, foreign, naming, options
from .foreign import Read
from .network import Discriminator, Generator

FORMAT = "aigc-gan-1"
PARTS = ("generator", "average", "discriminator")
# What a file may leave out: noise that only "const" uses, counters, the average that is made below.
OPTIONAL = (".const", "w_average", "num_batches_tracked")


def save(
    path: Path, design: Design, networks: Mapping[str, nn.Module | Mapping[str, torch.Tensor]], *, licence: str = ""
) -> Gan:
    """Write a GAN to one .safetensors file, whole or not at all. networks: by PARTS. Raises AigcError for no generator."""
    if not {"generator", "average"} & set(networks) or set(networks) - set(PARTS):
        raise AigcError(f"Expected networks of {', '.join(PARTS)}, a generator among them, got {', '.join(networks)}.")
    full = options(design)
    header = {"format": FORMAT, "kind": design.kind, "options": json.dumps(full), "licence": licence}
    states = {k: v.state_dict() if isinstance(v, nn.Module) else v for k, v in networks.items()}
    # Copied: two networks may share memory, which the format does not allow.
    tensors = {f"{part}.{k}": v.detach().clone() for part, s in states.items() for k, v in s.items()}
    whole.write(path, tensors, header)
    return Gan(path, design.kind, full, tuple(p for p in PARTS if p in networks), licence)


def describe(path: Path, classes: int = -1) -> tuple[Gan, tuple[str, ...]]:
    """The GAN in a file, and what was inferred about it. Raises AigcError for a file that is none.

    classes: of a conditional DCGAN's file that does not say how many it has; -1 to infer it.
    """
    found = _read(path, classes, weights=False)
    design = Design("gan", found.kind, found.options)
    return Gan(
        path, found.kind, options(design), tuple(p for p in PARTS if p in found.weights), found.licence
    ), found.notes


def is_own(path: Path) -> bool:
    """Whether a .safetensors file is one of ours. Raises AigcError when it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (OSError, SafetensorError) as error:
        raise AigcError(
            f"Expected the file of a GAN, got {path.name}, which is damaged ({error}): copy it again."
        ) from error


def _read(path: Path, classes: int = -1, *, weights: bool = True) -> Read:
    if not path.is_file():
        raise AigcError(f"Expected the file of a GAN, got {path.name}, which is not there: choose one of models/gan.")
    ours = path.suffix == ".safetensors" and is_own(path)
    return _own(path, weights) if ours else foreign.read(path, classes)


def _own(path: Path, weights: bool) -> Read:
    """A file of ours. Without `weights` each part is there and empty."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            header: dict[str, Any] = file.metadata() or {}
            given = json.loads(header["options"])
            states: dict[str, dict[str, torch.Tensor]] = {}
            for name in file.keys():
                part, _, inside = name.partition(".")
                state = states.setdefault(part, {})
                if weights:
                    state[inside] = file.get_tensor(name).clone()
        return Read(header["kind"], given, states, header.get("licence", ""))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AigcError(
            f"Expected the file of a GAN, got {path.name}, which is damaged ({error}): copy it again."
        ) from error


def weights(gan: Gan) -> dict[str, dict[str, torch.Tensor]]:
    """Each part's state dict under our names, in float32, complete. Raises AigcError for a file that does not fit its design."""
    found = _read(gan.path, int(gan.options.get("classes", -1)) if gan.kind == "stack" else -1)
    return {part: network(gan, part, found).state_dict() for part in gan.parts}


def network(gan: Gan, part: str, found: Read | None = None) -> Generator | Discriminator:
    """One network of a GAN with its weights, in evaluation, on the CPU. Raises AigcError."""
    if part not in gan.parts:
        raise AigcError(
            f"Expected a GAN with its {part}, got {gan.path.name} with {', '.join(gan.parts)}: choose another."
        )
    found = found or _read(gan.path, int(gan.options.get("classes", -1)) if gan.kind == "stack" else -1)
    module = build(Design("gan", gan.kind, gan.options), seed=0)[part == "discriminator"]
    state = {k: v.float() if v.is_floating_point() else v for k, v in found.weights[part].items()}
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()[:160]
        raise AigcError(f"Expected weights that fit {gan.kind}, got {gan.path.name} with others ({line}).") from error
    missing = [name for name in missing if not name.endswith(OPTIONAL)]
    if missing or unexpected:
        line = ", ".join([*(f"no {name}" for name in missing), *(f"also {name}" for name in unexpected)][:6])
        raise AigcError(
            f"Expected weights that fit {gan.kind}, got {gan.path.name} with {line}: choose a complete file."
        )
    if gan.kind == "stylegan2" and part != "discriminator" and not state.get("w_average", torch.zeros(1)).any():
        naming.average(module)
    return module.eval().requires_grad_(False)


def copied(gan: Gan, folder: Path, name: str, licence: str = "") -> Gan:
    """The GAN in a file of ours in `folder`; a name that is taken gets a number. licence: "" keeps what it has."""
    from ..score.learning import free_path

    path = free_path(folder, name)
    return save(path, Design("gan", gan.kind, gan.options), weights(gan), licence=licence.strip() or gan.licence)


def told(gan: Gan, notes: tuple[str, ...] = ()) -> str:
    """What a GAN is, a line each."""
    classes = gan.options.get("classes") or "no"
    generator, _ = build(Design("gan", gan.kind, gan.options), seed=0)
    size = sum(p.numel() for p in generator.parameters()) / 1e6
    kind = "DCGAN read off its shapes" if gan.kind == "stack" else gan.kind
    lines = [
        f"{gan.path.name}: {kind}, {generator.resolution} pixels, z of {generator.z_dim}, {classes} classes",
        f"parts: {', '.join(gan.parts)}; generator of {size:.1f} million weights",
        f"{generator.layers} layers of w" if generator.layers else "no mapping network: no truncation, no layers",
    ]
    return "\n".join([*lines, *notes, f"licence: {gan.licence or 'unknown'}"])
