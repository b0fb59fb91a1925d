"""A model's own latents for a judge to learn from: the space they lie in, real pictures encoded, its own generations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from ..payloads import Conditioning, Model
from ..runtime import Runtime
from ..score.learning import Space, affine
from .convention import folded, from_host
from .decode import encode_image
from .latents import empty_latents
from .pipe import stage
from .sample import plain_tail, sample

BATCH = 8


def space_of(model: Model, conditioning: Conditioning, latents: Mapping[str, Any], *, runtime: Runtime) -> Space:
    """The denoiser's space as a LATENT of this size maps into it."""
    with stage(model, "denoiser", runtime) as pipe:
        shape, tail = plain_tail(model, pipe, conditioning, latents, runtime)

        def into(samples: torch.Tensor) -> torch.Tensor:
            return folded(shape.family, tail.lie(tail.inverse(from_host(shape.family, samples, pipe))))

        return affine(into, latents["samples"][:1].float(), f"latent:{shape.family.removesuffix('Pipeline')}")


def encoded(model: Model, pictures: Iterable[torch.Tensor], *, runtime: Runtime) -> torch.Tensor:
    """LATENTs [N, C, ...] of pictures [3, H, W] of one size."""
    found, held = [], []
    for picture in pictures:
        held.append(picture.movedim(0, -1))
        if len(held) == BATCH:
            found.append(encode_image(model, torch.stack(held), runtime=runtime)["samples"].float())
            held = []
    if held:
        found.append(encode_image(model, torch.stack(held), runtime=runtime)["samples"].float())
    return torch.cat(found) if found else torch.zeros(0, 4, 1, 1)


def generations(
    model: Model,
    conditioning: Conditioning,
    count: int,
    *,
    size: tuple[int, int],
    steps: int,
    cfg: float,
    seed: int,
    on_item: Callable[[int, int], None],
    runtime: Runtime,
) -> torch.Tensor:
    """`count` LATENTs [N, C, ...] of the model's own, of this width and height (0: its own), prompts in turn.

    Seeds go on from `seed`. on_item(done, count) is called once a step and may raise.
    """
    prompts = len(conditioning.prompts)
    rows = prompts if prompts > 1 else min(BATCH, count)
    found, done = [], 0
    while done < count:
        empty = empty_latents(model, width=size[0], height=size[1], batch_size=rows)
        options = {"seed": seed + done, "steps": steps, "cfg": cfg, "runtime": runtime}
        made = sample(model, conditioning, empty, on_step=lambda *_, done=done: on_item(done, count), **options)
        found.append(made["samples"].float())
        done += len(made["samples"])
    return torch.cat(found)[:count]
