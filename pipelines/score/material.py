"""What a judge learns from, gathered: real pictures and generated ones, all in the space that it will judge in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Conditioning, JudgeSpec, Model
from ..runtime import Runtime
from . import pictures
from .learning import Space, fitted, own_space
from .scoring import to_space

OnItem = Callable[[int, int], None]


@dataclass(frozen=True)
class Sources:
    """What may be connected. folder: of real pictures, relative to `base`. size: pixels a side to which pictures are brought.

    space: of generated latents, where it is known from the host's model. count, steps, cfg: of the model's own generations.
    """

    folder: str = ""
    base: Path = Path()
    real_image: torch.Tensor | None = None
    real_latents: Mapping[str, Any] | None = None
    image: torch.Tensor | None = None
    latents: Mapping[str, Any] | None = None
    model: Model | None = None
    conditioning: Conditioning | None = None
    space: Space | None = None
    size: int = 256
    count: int = 400
    steps: int = 15
    cfg: float = 3.0
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """real, fake: [N, C, ...] in `space`. skipped: files that could not be read, and why."""

    space: Space
    real: torch.Tensor
    fake: torch.Tensor
    skipped: tuple[str, ...] = ()

    def spec(self, name: str) -> JudgeSpec:
        """What a judge trained on this judges."""
        space = self.space
        return JudgeSpec(
            id=name, modality=space.modality, space=space.name, scale=space.scale, shift=space.shift,
            note="trained here, on pictures of your own",
        )  # fmt: skip


def gathered(sources: Sources, *, on_item: OnItem, runtime: Runtime) -> Material:
    """Read, encode and generate what is needed. Raises AigcError when one of both sides is missing."""
    skipped: list[str] = []
    of_latents = sources.latents is not None or sources.real_latents is not None or sources.model is not None
    if not of_latents:
        if sources.image is None:
            raise _missing("generated ones: connect image, latents, or a model with its conditioning")
        real = torch.stack(_some([fitted(p, sources.size) for p in _real_pictures(sources, skipped)]))
        fake = torch.stack([fitted(p, sources.size) for p in sources.image[..., :3].movedim(-1, 1).float()])
        return Material(Space(), real, fake, tuple(skipped))
    fake = _generated(sources, on_item, runtime)
    real = _real(sources, skipped, runtime)
    if real.shape[1:] != fake.shape[1:]:
        raise AigcError(
            f"Expected real and generated latents of one shape, got {list(real.shape[1:])} and {list(fake.shape[1:])}: set size to "
            "the generated pictures' height and width, or encode the real ones at it."
        )
    space = sources.space or _space(sources, real, fake, runtime)
    judge = JudgeSpec("", scale=space.scale, shift=space.shift)
    return Material(space, to_space(judge, real), to_space(judge, fake), tuple(skipped))


def _missing(what: str) -> AigcError:
    return AigcError(f"Expected real pictures and generated ones to tell apart, got no {what}.")


def _some(items: list[torch.Tensor]) -> list[torch.Tensor]:
    if not items:
        raise _missing("real ones: name a folder of pictures, or connect them")
    return items


def _real_pictures(sources: Sources, skipped: list[str]) -> Iterator[torch.Tensor]:
    """[3, H, W] each, of any size."""
    if sources.folder.strip():
        for path in pictures.listed(sources.folder, sources.base, below=True):
            try:
                yield pictures.read(path)
            except (OSError, ValueError) as error:
                skipped.append(f"{path.name}: {error}")
    if sources.real_image is not None:
        yield from sources.real_image[..., :3].movedim(-1, 1).float()


def _generated(sources: Sources, on_item: OnItem, runtime: Runtime) -> torch.Tensor:
    if sources.latents is not None:
        return sources.latents["samples"].float()
    if sources.model is None or sources.conditioning is None:
        raise _missing("generated latents: connect them, or a model with its conditioning")
    from ..stages import own

    return own.generations(
        sources.model, sources.conditioning, sources.count, size=(sources.size, sources.size), steps=sources.steps,
        cfg=sources.cfg, seed=sources.seed, on_item=on_item, runtime=runtime,
    )  # fmt: skip


def _real(sources: Sources, skipped: list[str], runtime: Runtime) -> torch.Tensor:
    """LATENTs of the real ones."""
    from ..stages import own

    found = [] if sources.real_latents is None else [sources.real_latents["samples"].float()]
    if sources.model is not None:
        read = (fitted(p, sources.size) for p in _real_pictures(sources, skipped))
        made = own.encoded(sources.model, read, runtime=runtime)
        found += [made] if len(made) else []
    elif sources.folder.strip() or sources.real_image is not None:
        raise AigcError(
            "Expected a model to encode the real pictures with, got none: connect model, or encode them and connect "
            "real_latents."
        )
    return torch.cat(_some(found))


def _space(sources: Sources, real: torch.Tensor, fake: torch.Tensor, runtime: Runtime) -> Space:
    if sources.model is None:
        return own_space(real, f"latent:{real.shape[1]} channels")
    if sources.conditioning is None:
        raise AigcError("Expected the model's conditioning to find its latent space with, got none: connect it.")
    from ..stages import own

    return own.space_of(sources.model, sources.conditioning, {"samples": fake[:1]}, runtime=runtime)
