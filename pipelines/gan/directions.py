"""Directions that change one thing at a time, found without labels: in the weights (SeFa) or in w itself (PCA)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..errors import AigcError
from ..menus import DIRECTIONS as METHODS
from ..payloads import Gan, Style
from ..runtime import Runtime
from . import dcgan, opening, r3gan, stack, stylegan2
from .network import Generator
from .styles import checked, is_mapped, layer_count, layer_strengths, mapped

DRAWN = 4096  # w's, whose spread gives the unit of strength


@dataclass(frozen=True)
class Directions:
    """rows: [K, D], each one standard deviation of w (or z) long; weight: [K], the share of each of what they explain."""

    rows: torch.Tensor
    share: torch.Tensor


def sefa(affine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit directions n [K, D] that change a layer's answer most, and their shares: eigenvectors of A^T A by eigenvalue.

    affine: A [O, D]. Shen & Zhou 2021, arXiv 2007.06600, equation 5.
    """
    _, size, rows = torch.linalg.svd(affine.double(), full_matrices=False)
    return _signed(rows), size.square() / size.square().sum()


def pca(w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit directions [K, D] in which w [N, D] varies most, and their shares. Härkönen et al. 2020, arXiv 2004.02546."""
    _, size, rows = torch.linalg.svd((w - w.mean(0)).double(), full_matrices=False)
    return _signed(rows), size.square() / size.square().sum()


def _signed(rows: torch.Tensor) -> torch.Tensor:
    """An eigenvector has no sign of its own: here its largest number is positive."""
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return rows * largest.sign()


def affine_of(g: Generator, layers: torch.Tensor | None) -> torch.Tensor:
    """The weights [O, D] that take w of these layers, or z. Raises AigcError for a generator that begins otherwise."""
    if isinstance(g, stylegan2.Generator):
        rows = []
        place = 0
        for block in g.blocks:
            assert isinstance(block, stylegan2.Block)
            for conv in block.convs:
                if layers is None or layers[place]:
                    rows.append(conv.affine.weight * conv.affine.gain)
                place += 1
            if place == g.layers - 1 and (layers is None or layers[place]):
                rows.append(block.rgb.affine.weight * block.rgb.affine.gain)
        return torch.cat(rows)
    if isinstance(g, r3gan.Generator):
        return g.scale.weight[:, : g.z_dim]
    first = g.main[0] if isinstance(g, dcgan.Generator | stack.Generator) else None
    if isinstance(first, torch.nn.ConvTranspose2d):
        return first.weight[: g.z_dim].flatten(1).T
    if isinstance(first, torch.nn.Linear):
        return first.weight[:, : g.z_dim]
    raise AigcError(f"Expected a generator that begins with a linear layer, got {type(first).__name__}: no directions.")


def found(gan: Gan, method: str, *, layers: str = "", runtime: Runtime) -> Directions:
    """Directions of a GAN, the strongest first. Raises AigcError for PCA without a mapping network."""
    if method not in METHODS:
        raise AigcError(f"Expected a method of {', '.join(METHODS)}, got '{method}': choose one of them.")
    if not is_mapped(gan) and (method == "pca" or layers.strip()):
        raise AigcError(
            f"Expected a GAN with a mapping network for {'PCA' if method == 'pca' else 'layers'}, got {gan.path.name} "
            f"({gan.kind}): its z is spread alike in every direction. Use sefa, with no layers."
        )
    with opening.generating(gan, runtime) as g, torch.no_grad():
        if not isinstance(g, stylegan2.Generator):
            rows, share = sefa(affine_of(g, None).cpu())
            return Directions(rows.float(), share.float())  # z is normal: 1 is a standard deviation already
        draw = torch.Generator().manual_seed(0)
        z = torch.randn(DRAWN, g.z_dim, generator=draw).to(runtime.device)
        labels = torch.arange(DRAWN) % g.classes if g.classes else None
        w = g.mapping(z, labels).cpu()
        chosen = layer_strengths(layers, g.layers) != 0
        rows, share = pca(w) if method == "pca" else sefa(affine_of(g, chosen).cpu())
    spread = ((w - w.mean(0)).double() @ rows.T).std(0)
    return Directions((rows * spread[:, None]).float(), share.float())


def edit(
    gan: Gan, style: Style, *, method: str, index: int, strength: float, layers: str = "", runtime: Runtime
) -> tuple[Style, Directions]:
    """Each style moved along one direction. strength: in standard deviations, any real number; 0 is off. Raises AigcError."""
    checked(gan, style)
    directions = found(gan, method, layers=layers, runtime=runtime)
    if not 0 <= index < len(directions.rows):
        raise AigcError(f"Expected a direction from 0 to {len(directions.rows) - 1}, got {index}: set a smaller index.")
    if strength == 0:
        return style, directions
    move = strength * directions.rows[index]
    if not is_mapped(gan):
        return replace(style, z=style.z + move), directions
    style = mapped(gan, style, runtime=runtime)
    share = layer_strengths(layers, layer_count(gan))[:, None]
    return replace(style, w=style.w + share * move), directions


def told(directions: Directions, index: int, count: int = 10) -> str:
    """The chosen direction's share, and those of the first ones."""
    shares = ", ".join(f"{i}: {float(s):.1%}" for i, s in enumerate(directions.share[:count]))
    return f"direction {index} of {len(directions.rows)}, {float(directions.share[index]):.1%} of the change; {shares}"
