"""Small GANs for the tests: the real classes, every weight with a say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipelines import gan
from pipelines.gan import files, generate
from pipelines.payloads import Design, Gan, Style
from pipelines.runtime import Runtime

CPU = Runtime("cpu")

SMALL: dict[str, dict[str, Any]] = {
    "dcgan": {"resolution": 32, "width": 4, "z_dim": 8},
    "r3gan": {"resolution": 32, "width": 4, "z_dim": 8, "group": 4, "blocks": 1},
    "stylegan2": {"resolution": 32, "width": 4, "z_dim": 8, "w_dim": 8, "mapping_layers": 2},
}


def design(kind: str, **options: Any) -> Design:
    return Design("gan", kind, {**SMALL[kind], **options})


def networks(kind: str, seed: int = 0, **options: Any) -> tuple[gan.Generator, gan.Discriminator]:
    """Both networks in evaluation. What begins at zero is drawn too: branches, noise strengths, norms' statistics."""
    g, d = gan.build(design(kind, **options), seed=seed)
    draw = torch.Generator().manual_seed(seed)
    for module in (g, d):
        for value in module.state_dict().values():
            if value.is_floating_point() and (value == value.flatten()[:1]).all():
                value += 0.3 * torch.rand(value.shape, generator=draw)
    for norm in (m for m in g.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0  # one pass, and its statistics are those of its activations
    with torch.no_grad():
        g.train()(*latents(g, 16))
    return g.eval(), d.eval()


def latents(g: gan.Generator, count: int = 3, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor | None]:
    """z and, where it has classes, labels."""
    z = torch.randn(count, g.z_dim, generator=torch.Generator().manual_seed(seed))
    return z, torch.arange(count) % g.classes if g.classes else None


def made(folder: Path, kind: str = "stylegan2", **options) -> Gan:
    """A small GAN in a file, its average w measured."""
    g, d = networks(kind, **options)
    if kind == "stylegan2":
        with torch.no_grad():
            z = torch.randn(512, g.z_dim, generator=torch.Generator().manual_seed(9))
            labels = torch.arange(512) % g.classes if g.classes else None
            g.w_average.copy_(g.mapping(z, labels).mean(0))
    return files.save(folder / f"{kind}.safetensors", design(kind, **options), {"generator": g, "discriminator": d})


def drawn(gan: Gan, style: Style, noise: str = "const") -> torch.Tensor:
    """Its pictures of a style."""
    return generate.images(gan, style, noise=noise, runtime=CPU)
