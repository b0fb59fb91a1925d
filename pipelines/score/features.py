"""Feature nets: what turns a set of pictures or latents into points that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..runtime import Runtime
from ..sources import Roots, list_networks
from . import descriptor
from .judges import judging

STATISTICS = "statistics"
PICTURES = JudgeSpec(id=STATISTICS)


@dataclass(frozen=True)
class Net:
    """An open feature net. spec: what it takes (its modality, its space). points: [B, ...] in that space to [B, D]."""

    name: str
    spec: JudgeSpec
    points: Callable[[torch.Tensor], torch.Tensor]
    note: str = ""


def names(roots: Roots) -> list[str]:
    """ "statistics" first, then the image encoders in folders that the user has."""
    return [STATISTICS, *(name for name in list_networks(roots.image_encoders) if not name.endswith(".safetensors"))]


@contextmanager
def opened(name: str, judge: Discriminator | None, *, roots: Roots, runtime: Runtime) -> Iterator[Net]:
    """The judge's own trunk when one is given, else the net of that name. Raises AigcError when there is none."""
    if judge is not None:
        with judging(judge, runtime) as net:
            yield Net(judge.spec.id, judge.spec, net.features, f"what {judge.spec.id} sees before it decides")
    elif name == STATISTICS:
        yield Net(name, PICTURES, descriptor.describe, "colour, edges and spectrum: coarse, it knows no objects")
    else:
        path = _folder(name, roots)
        from . import vision  # which needs what reads models; the nodes' menus do not

        net = vision.open_encoder(path)
        with runtime.placed([net.model]):
            yield Net(path.name, PICTURES, net.points, f"{net.kind} in {path.name}")


def _folder(name: str, roots: Roots) -> Path:
    from ..sources import find_network

    path = find_network(name, roots.image_encoders, "image encoder")
    if not path.is_dir():
        raise AigcError(f"Expected a folder with a config.json for the feature net, got {path.name}: choose another.")
    return path


def points(net: Net, batches: Iterable[torch.Tensor], runtime: Runtime) -> torch.Tensor:
    """The features [N, D] in float32 of batches in the net's space; one batch is in memory at a time."""
    found: list[torch.Tensor] = []
    with torch.no_grad():
        for batch in batches:
            runtime.check_interrupt()
            found.append(net.points(batch.to(runtime.device)).float().cpu())
    made: Any = torch.cat(found) if found else torch.zeros(0, 1)
    if not torch.isfinite(made).all():
        raise AigcError(
            f"Expected numbers from {net.name}, got NaN or infinity: check the pictures, or choose another."
        )
    return made
