"""Autoencoders by their designs: diffusers' classes at any size, and the folder that one is saved in."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Design

Tensor = torch.Tensor
FOLDER = "vae"
LINEAR_SCALING = (
    1.8  # latents of a linear encoder have deviation 1 / 1.8: AutoencoderTiny's decoder bends what is beyond 3
)


@dataclass(frozen=True)
class KlOptions:
    """AutoencoderKL. factor: pixels of a side that one latent stands for. width: channels of the first level, doubled with each
    halving up to four times; widths: of every level instead. layers: residual blocks a level. attention: in the middle.
    """

    resolution: int = 64
    latent_channels: int = 4
    factor: int = 8
    width: int = 32
    widths: tuple[int, ...] = ()
    layers: int = 1
    attention: bool = True


@dataclass(frozen=True)
class TinyOptions:
    """AutoencoderTiny. linear_encoder: it is computed from principal components, and only the decoder is trained. hidden:
    channels of the encoder. blocks: of the decoder, one number a level from the latents on; empty to choose.
    """

    resolution: int = 64
    latent_channels: int = 16
    factor: int = 8
    width: int = 32
    hidden: int = 64
    blocks: tuple[int, ...] = ()
    linear_encoder: bool = True


def _levels(factor: int) -> int:
    levels = round(math.log2(max(1, factor))) + 1
    if 2 ** (levels - 1) != factor or levels < 2:
        raise AigcError(f"Expected a factor of 2, 4, 8, 16 or 32, got {factor}: choose one of them.")
    return levels


def _kl(o: KlOptions) -> Any:
    from diffusers import AutoencoderKL

    levels = _levels(o.factor)
    widths = o.widths or tuple(o.width * 2 ** min(level, 2) for level in range(levels))
    if len(widths) != levels:
        raise AigcError(f"Expected {levels} widths for a factor of {o.factor}, got {len(widths)}: one for each level.")
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,  # type: ignore[arg-type]
        up_block_types=("UpDecoderBlock2D",) * levels,  # type: ignore[arg-type]
        block_out_channels=widths,  # type: ignore[arg-type]
        layers_per_block=o.layers,
        latent_channels=o.latent_channels,
        norm_num_groups=math.gcd(16, *widths),
        sample_size=o.resolution,
        scaling_factor=1.0,
        force_upcast=False,
        mid_block_add_attention=o.attention,
    )


def _tiny(o: TinyOptions) -> Any:
    from diffusers import AutoencoderTiny

    levels = _levels(o.factor)
    blocks = o.blocks or (3, 2, *(1,) * (levels - 2))
    if len(blocks) != levels:
        raise AigcError(f"Expected {levels} counts of blocks for a factor of {o.factor}, got {len(blocks)}.")
    return AutoencoderTiny(
        encoder_block_out_channels=(o.hidden,) * levels,
        num_encoder_blocks=((0,) if o.linear_encoder else (1,)) * levels,
        decoder_block_out_channels=(o.width,) * levels,
        num_decoder_blocks=blocks,
        latent_channels=o.latent_channels,
        scaling_factor=LINEAR_SCALING if o.linear_encoder else 1.0,
    )


@dataclass(frozen=True)
class Kind:
    """options: a frozen dataclass; build: a diffusers class from it."""

    options: Any
    build: Callable[[Any], Any]


KINDS = {"kl": Kind(KlOptions, _kl), "tiny": Kind(TinyOptions, _tiny)}


def made(design: Design, purpose: str, kinds: dict[str, Any]) -> Any:
    """The options of a design as their dataclass. Raises AigcError for one of something else."""
    if design.purpose != purpose or design.kind not in kinds:
        raise AigcError(
            f"Expected a design of purpose {purpose} ({', '.join(kinds)}), got {design.purpose} '{design.kind}': connect another."
        )
    kind = kinds[design.kind].options
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(design.options) - known):
        raise AigcError(
            f"Expected options of {design.kind} ({', '.join(sorted(known))}), got '{unknown[0]}': leave it out."
        )
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in design.options.items()})


def plain(options: Any) -> dict[str, Any]:
    """Every option in JSON's types."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}


def options(design: Design) -> dict[str, Any]:
    """Every option of a VAE's design, those that it leaves open at their defaults. Raises AigcError."""
    found = made(design, "vae", KINDS)
    if found.resolution % found.factor or found.resolution < 2 * found.factor:
        raise AigcError(
            f"Expected a resolution that {found.factor} divides, at least {2 * found.factor}, got {found.resolution}."
        )
    return plain(found)


def build(design: Design, *, seed: int) -> Any:
    """An autoencoder with fresh weights, on the CPU."""
    options(design)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        torch.manual_seed(seed)
        return KINDS[design.kind].build(made(design, "vae", KINDS))


def encoded(vae: Any, x: Tensor) -> Tensor:
    """Latents of pictures [B, 3, H, W] in -1..1 as the decoder takes them, without the scaling factor; a KL one's means."""
    found = vae.encode(x)
    return found.latent_dist.mode() if hasattr(found, "latent_dist") else found.latents


def factor_of(vae: Any) -> int:
    return 2 ** (len(vae.config.block_out_channels) - 1)


def load(folder: Path) -> Any:
    """The autoencoder of a diffusers folder, float32, on the CPU. Raises AigcError for another class, or none."""
    import diffusers

    try:
        name = json.loads((folder / "config.json").read_text("utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AigcError(f"Expected an autoencoder in {folder}, got none that can be read ({error!r}).") from error
    if name not in ("AutoencoderKL", "AutoencoderTiny"):
        raise AigcError(f"Expected AutoencoderKL or AutoencoderTiny in {folder}, got {name}: connect another one.")
    with torch.inference_mode(False):
        found = getattr(diffusers, name).from_pretrained(str(folder), torch_dtype=torch.float32)
    return found.eval().requires_grad_(False)


def save(folder: Path, parts: dict[str, Any], more: Callable[[Path], None] | None = None) -> Path:
    """Write parts by `save_pretrained` into a folder of their names; "" is the folder itself. The old one stays until the new
    one is whole. more: writes further files into it."""
    part, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    try:
        for name, value in parts.items():
            value.save_pretrained(str(part / name))
        if more is not None:
            more(part)
        for config in part.rglob("config.json"):  # a path of this machine is nobody's business
            known = json.loads(config.read_text("utf-8"))
            config.write_text(json.dumps({k: v for k, v in known.items() if k != "_name_or_path"}, indent=2) + "\n")
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    except OSError as error:
        raise AigcError(f"Expected to write {folder.name}, but {error}: make room, then run it again.") from error
    shutil.rmtree(old, ignore_errors=True)
    return folder
