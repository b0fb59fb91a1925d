"""Figures of the shipped GAN of faces, and a sheet of what it draws.

    python -m training.faces.evaluate --gan models/gan/faces.safetensors --sheet docs/faces.jpg

KID by colour, edges and spectrum (`pipelines.score.descriptor`) of 512 pictures against the set that it learned from, beside
that of one half of the set against the other; the distance of each picture to the nearest of the set, beside the same between
pictures of the set: a GAN that copies is nearer to the set than its pictures are to each other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from pipelines.data import batches, collecting
from pipelines.gan import files
from pipelines.score import descriptor, sets

COUNT, SHEET = 512, 96


def pictures(gan: Path, count: int, truncation: float, noise: str) -> torch.Tensor:
    """[count, 3, R, R] in 0..1, from seeds 0, 1, ..."""
    found, _ = files.describe(gan)
    net = files.network(found, "average" if "average" in found.parts else "generator")
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        w = net.map(torch.randn(count, net.z_dim, generator=rng), None)
        w = torch.lerp(net.w_average.expand_as(w), w, truncation)
        made = torch.cat([net.synthesize(some, noise=noise) for some in w.split(64)])
    return ((made + 1) / 2).clamp(0, 1)


def nearest(a: torch.Tensor, b: torch.Tensor, apart: bool = False) -> torch.Tensor:
    """Root mean square distance of each of a to the nearest of b, at 16 x 16; apart: not to itself."""
    small = [torch.nn.functional.adaptive_avg_pool2d(x, 16).flatten(1) for x in (a, b)]
    distance = torch.cdist(*small) / small[0].shape[1] ** 0.5
    if apart:
        distance.fill_diagonal_(torch.inf)
    return distance.min(1).values


def sheet(x: torch.Tensor, columns: int = 16) -> Image.Image:
    rows = [torch.cat(list(row), 2) for row in x.split(columns)]
    return Image.fromarray((torch.cat(rows, 1).movedim(0, -1) * 255).round().byte().numpy())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gan", type=Path, default=Path("models/gan/faces.safetensors"))
    parser.add_argument("--data", type=Path, default=Path("models/data/faces.zip"))
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    data = collecting.collect([str(given.data.resolve())], Path())
    side = files.describe(given.gan)[0].options["resolution"]
    real = (batches.batch(data, 0, 0, len(data.items), batches.View((side, side))).pixels + 1) / 2

    def points(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([descriptor.describe(some) for some in x.split(64)])

    there = points(real)
    halves = sets.kid(there[::2], there[1::2], subset=sets.subset_of(len(there) // 2))[0]
    print(f"KID of one half of the set to the other: {halves:.3f}")
    for truncation, noise in ((1.0, "const"), (1.0, "none"), (0.7, "none")):
        made = pictures(given.gan, COUNT, truncation, noise)
        kid = sets.kid(there, points(made), subset=sets.subset_of(min(len(there), COUNT)))[0]
        near = nearest(made, real).median()
        print(
            f"truncation {truncation}, noise {noise}: KID {kid:.3f}, median distance to the nearest of the set {near:.3f}"
        )
    print(f"median distance between neighbours of the set: {nearest(real, real, apart=True).median():.3f}")
    if given.sheet:
        sheet(pictures(given.gan, SHEET, 0.8, "none")).save(given.sheet, quality=92)


if __name__ == "__main__":
    main()
