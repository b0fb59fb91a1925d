"""How far a set of generated ones is from a set of real ones: FID, KID, precision, recall, density, coverage."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from ..runtime import Runtime
from . import descriptor, features, pictures, prdc
from .scoring import in_space

LEAST = 10  # of each: below it, none of these figures says anything
KID_ADVISED = 2000
SUBSETS, SUBSET_MOST = 50, 1000
CHUNK = 16


@dataclass(frozen=True)
class Compared:
    """fid, kid, kid_std: 0 for equal sets. covered: precision and the like. k: neighbours. notes: what a reader should know."""

    fid: float
    kid: float
    kid_std: float
    subset: int
    covered: prdc.Covered
    k: int
    real: int
    generated: int
    net: str
    notes: tuple[str, ...] = field(default=())


class _Given(nn.Module):
    """torchmetrics asks for a network: the features were made already."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def fid(real: torch.Tensor, fake: torch.Tensor) -> float:
    """Frechet distance of features [N, D] and [M, D] as normal distributions (Heusel et al. 2017, arXiv 1706.08500, eq. 6)."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    return _measured(FrechetInceptionDistance(feature=_Given(real.shape[1])).set_dtype(torch.float64), real, fake)


def kid(real: torch.Tensor, fake: torch.Tensor, *, subset: int, seed: int = 0) -> tuple[float, float]:
    """Mean and spread over SUBSETS draws of the unbiased squared MMD with a cubic kernel (Binkowski et al. 2018,
    arXiv 1801.01401, eq. 4) of features [N, D] and [M, D]; subset: of each set in a draw, from 2 to the smaller one's size."""
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # it keeps all features, and says so
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(feature=_Given(real.shape[1]), subsets=SUBSETS, subset_size=subset)
        mean, std = _measured(metric, real, fake)
    return float(mean), float(std)


def _measured(metric: Any, real: torch.Tensor, fake: torch.Tensor) -> Any:
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    found = metric.compute()
    return found if isinstance(found, tuple) else float(found)


def subset_of(count: int) -> int:
    """How many of each set KID draws at once: half of the smaller set, SUBSET_MOST at most."""
    return max(2, min(SUBSET_MOST, count // 2))


def compare(
    real: Any, generated: Any, net: features.Net, *, k: int = 5, base: Path = Path(), runtime: Runtime
) -> Compared:
    """Of two sets, each an IMAGE, a LATENT or the name of a folder of pictures (relative to `base`), which is streamed.

    Raises AigcError for fewer than LEAST of either, or a set of another kind than the net takes.
    """
    skipped: list[str] = []
    x, y = (features.points(net, _batches(given, net, base, skipped), runtime) for given in (real, generated))
    for found, what in ((x, "real"), (y, "generated")):
        if len(found) < LEAST:
            raise AigcError(f"Expected at least {LEAST} {what} ones to compare sets, got {len(found)}: add more.")
    fewer = min(len(x), len(y))
    near = min(k, fewer - 1)
    subset = subset_of(fewer)
    runtime.check_interrupt()
    mean, std = kid(x, y, subset=subset)
    runtime.check_interrupt()
    return Compared(
        fid=fid(x, y),
        kid=mean,
        kid_std=std,
        subset=subset,
        covered=prdc.prdc(x, y, near),
        k=near,
        real=len(x),
        generated=len(y),
        net=f"{net.name} ({net.note}), {x.shape[1]} features",
        notes=(*_advice(fewer, x.shape[1]), *skipped),
    )


def _advice(fewer: int, size: int) -> Iterator[str]:
    if fewer < KID_ADVISED:
        yield f"go by KID: FID is biased upwards below {KID_ADVISED} of each, here {fewer}"
    if fewer <= size:
        yield f"FID of {fewer} with {size} features rests on a covariance that they cannot fill"


def chosen(net: features.Net, folder: str, image: Any, latents: Any, what: str) -> Any:
    """Of what is connected for one set, the one to compare. Raises AigcError when there is none, or more than one."""
    given = latents if net.spec.modality == "latent" else image
    if folder.strip() and given is not None:
        raise AigcError(
            f"Expected one set of {what} ones, got a batch and a folder: empty {what}_folder, or disconnect the batch."
        )
    if not folder.strip() and given is None:
        name = f"{what}_latents" if net.spec.modality == "latent" else f"{what}_image or {what}_folder"
        raise AigcError(f"Expected {what} ones for {net.name}, got none: connect {name}.")
    return folder if folder.strip() else given


def _batches(given: Any, net: features.Net, base: Path, skipped: list[str]) -> Iterator[torch.Tensor]:
    if not isinstance(given, str):
        yield from in_space(net.spec, given).split(CHUNK)
        return
    if net.spec.modality not in ("image", "video"):
        raise AigcError(f"Expected {net.spec.modality}s for {net.name}, got a folder of pictures: connect latents.")
    files = pictures.listed(given, base)
    for _, x in pictures.batches(files, CHUNK, lambda path, why: skipped.append(f"left out {path.name}: {why}")):
        yield x


def diversity(given: Any) -> float:
    """The mean distance between two items of an IMAGE, by their descriptors, or of a LATENT, root mean square."""
    if isinstance(given, torch.Tensor):
        parts = [descriptor.describe(x[..., :3].movedim(-1, 1)) for x in given.split(CHUNK)]
        return prdc.spread(torch.cat(parts).cpu()) if len(given) else 0.0
    x = given["samples"].float().cpu().flatten(1)
    return prdc.spread(x) / max(x.shape[1], 1) ** 0.5


def table(found: Compared) -> str:
    """The comparison as text."""
    lines = [
        f"{found.real} real ones against {found.generated} generated ones, by {found.net}",
        f"FID        {found.fid:.4g}   lower is better",
        f"KID        {found.kid:.4g} +- {found.kid_std:.2g}   lower is better; {SUBSETS} draws of {found.subset}",
        f"precision  {found.covered.precision:.3f}   how many generated ones look real",
        f"recall     {found.covered.recall:.3f}   how much of the real ones is reached",
        f"density    {found.covered.density:.3f}   how deep among the real ones they lie; 1 for equal sets",
        f"coverage   {found.covered.coverage:.3f}   how many real ones have a generated one near",
        f"k = {found.k} neighbours for the last four",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])
