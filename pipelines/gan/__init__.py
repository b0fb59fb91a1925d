"""GANs as plain modules: `build(design)` makes the two networks of a row of KINDS."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Design
from . import dcgan, r3gan, stack, stylegan2
from .network import Discriminator, Generator

__all__ = ["KINDS", "READ", "Discriminator", "Generator", "Kind", "build", "options"]


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
# What is not designed but read off a file's shapes.
READ = {"stack": Kind(stack.Options, stack.Generator, stack.Discriminator)}


def options(design: Design) -> dict[str, Any]:
    """Every option of a design in JSON's types, those that it leaves open at their defaults. Raises AigcError."""
    return json.loads(json.dumps(asdict(_made(design))))


def _kind(design: Design) -> Kind:
    return KINDS.get(design.kind) or READ[design.kind]


def _made(design: Design) -> Any:
    if design.purpose != "gan" or design.kind not in (*KINDS, *READ):
        raise AigcError(
            f"Expected the design of a GAN ({', '.join(KINDS)}), got {design.purpose} '{design.kind}': connect another one."
        )
    kind = _kind(design).options
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(design.options) - known)
    if unknown:
        raise AigcError(
            f"Expected options of {design.kind} ({', '.join(sorted(known))}), got '{unknown[0]}': leave it out."
        )
    return kind(**design.options)


def build(design: Design, *, seed: int | None = None) -> tuple[Generator, Discriminator]:
    """(generator, discriminator) with fresh weights, on the CPU; drawn from `seed`, else from torch's own generator."""
    made, kind = _made(design), _kind(design)
    with torch.random.fork_rng(devices=[], enabled=seed is not None), torch.inference_mode(False):
        if seed is not None:
            torch.manual_seed(seed)
        return kind.generator(made), kind.discriminator(made)
