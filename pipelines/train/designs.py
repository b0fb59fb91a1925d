"""Designs from a few words, and what they come to."""

from __future__ import annotations

from typing import Any

from ..errors import AigcError
from ..payloads import Design


def gan(kind: str, resolution: int, width: int = 0, classes: int = 0) -> Design:
    """A GAN's design, complete. width: channels at the full resolution, 0 to choose by the resolution."""
    from ..gan import options

    given = Design("gan", kind, {"resolution": resolution, "width": width, "classes": classes})
    return Design("gan", kind, options(given))


def vae(kind: str, resolution: int, latent_channels: int, factor: int, width: int = 0, linear: bool = True) -> Design:
    """A VAE's design, complete. width: channels at the full resolution, 0 for the kind's own. linear: counts for tiny."""
    from . import autoencoders

    given = {"resolution": resolution, "latent_channels": latent_channels, "factor": factor}
    given |= {"width": width} if width else {}
    given |= {"linear_encoder": linear} if kind == "tiny" else {}
    return Design("vae", kind, autoencoders.options(Design("vae", kind, given)))


def diffusion(kind: str, resolution: int, widths: str, **given: int) -> Design:
    """A diffusion model's design; what it takes from its autoencoder is left open. widths: numbers with commas between."""
    from . import denoisers

    try:
        levels = [int(width) for width in widths.replace("，", ",").split(",")]
    except ValueError as error:
        raise AigcError(f"Expected widths such as 64, 128, got '{widths}': numbers with commas between.") from error
    design = Design("diffusion", kind, {"resolution": resolution, "widths": levels, **given})
    return Design("diffusion", kind, denoisers.options(design))


def sizes(design: Design) -> str:
    """The weights of a VAE's or a diffusion model's networks, a line each; the latter as for 4 latent channels."""
    import torch

    from . import autoencoders, denoisers

    options = design.options
    with torch.device("meta"):
        if design.purpose == "vae":
            side = options["resolution"] // options["factor"]
            first = f"{options['resolution']} pixels to {options['latent_channels']} x {side} x {side}"
            parts = {"autoencoder": autoencoders.build(design, seed=0)}
        else:
            first = f"{options['resolution']} pixels, {len(options['widths'])} levels"
            open_ = {**options, "latent_channels": options["latent_channels"] or 4, "latent_side": 8}
            made = autoencoders.made(Design("diffusion", design.kind, open_), "diffusion", denoisers.KINDS)
            words = denoisers.Words(made.vocabulary)
            parts = {"denoiser": denoisers.KINDS[design.kind].build(made)}
            parts["text encoder at most"] = denoisers.text_encoder(made, words)
    return "\n".join([f"{design.kind}, {first}", *(_size(name, net) for name, net in parts.items())])


def _size(name: str, net: Any) -> str:
    weights = sum(p.numel() for p in net.parameters())
    return f"{name}: {weights / 1e6:.2f} million weights, {weights * 4 / 1e6:.1f} MB in float32"


def told(design: Design) -> str:
    """The weights of each network, a line each."""
    import torch

    from ..gan import build

    with torch.device("meta"):
        networks = build(design)
    lines = [
        f"{design.kind}, {design.options['resolution']} pixels"
        + (f", {c} classes" if (c := design.options["classes"]) else "")
    ]
    lines += [_size(name, net) for name, net in zip(("generator", "discriminator"), networks)]
    return "\n".join(lines)
