"""Designs from a few words, and what they come to."""

from __future__ import annotations

from ..payloads import Design


def gan(kind: str, resolution: int, width: int = 0, classes: int = 0) -> Design:
    """A GAN's design, complete. width: channels at the full resolution, 0 to choose by the resolution."""
    from ..gan import options

    given = Design("gan", kind, {"resolution": resolution, "width": width, "classes": classes})
    return Design("gan", kind, options(given))


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
    for name, net in zip(("generator", "discriminator"), networks):
        weights = sum(p.numel() for p in net.parameters())
        lines.append(f"{name}: {weights / 1e6:.2f} million weights, {weights * 4 / 1e6:.1f} MB in float32")
    return "\n".join(lines)
