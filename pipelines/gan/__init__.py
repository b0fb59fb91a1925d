"""GANs as plain modules: `build(design)` makes the two networks of a row of KINDS."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Design
from . import dcgan, r3gan, stylegan2
from .network import Discriminator, Generator

__all__ = ["KINDS", "Discriminator", "Generator", "Kind", "build", "options"]


@dataclass(frozen=True)
class Kind:
    """options: a frozen dataclass; generator, discriminator: classes that are made from it."""

    options: Any
    generator: Any
    discriminator: Any


KINDS = {
    "dcgan": Kind(dcgan.Options, dcgan.Generator, dcgan.Discriminator),
    "r3gan": Kind(r3gan.Options, r3gan.Generator, r3gan.Discriminator),
    "stylegan2": Kind(stylegan2.Options, stylegan2.Generator, stylegan2.Discriminator),
}


def options(design: Design) -> dict[str, Any]:
    """Every option of a design in JSON's types, those that it leaves open at their defaults. Raises AigcError."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(_made(design)).items()}


def _made(design: Design) -> Any:
    if design.purpose != "gan" or design.kind not in KINDS:
        raise AigcError(
            f"Expected the design of a GAN ({', '.join(KINDS)}), got {design.purpose} '{design.kind}': connect another one."
        )
    kind = KINDS[design.kind].options
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(design.options) - known)
    if unknown:
        raise AigcError(
            f"Expected options of {design.kind} ({', '.join(sorted(known))}), got '{unknown[0]}': leave it out."
        )
    return kind(**design.options)


def build(design: Design, *, seed: int | None = None) -> tuple[Generator, Discriminator]:
    """(generator, discriminator) with fresh weights, on the CPU; drawn from `seed`, else from torch's own generator."""
    made, kind = _made(design), KINDS[design.kind]
    with torch.random.fork_rng(devices=[], enabled=seed is not None), torch.inference_mode(False):
        if seed is not None:
            torch.manual_seed(seed)
        return kind.generator(made), kind.discriminator(made)
