"""What a denoiser is trained with: captions encoded, the calls that they lead to, pictures as its latents; all made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from .. import stages
from ..data import batches
from ..data.kept import kept
from ..errors import AigcError
from ..payloads import Conditioning, Dataset, Item, Model, Recorded
from ..runtime import Runtime
from ..stages import asked
from ..stages.convention import from_host
from ..stages.replay import map_tensors
from ..stages.tail import TailMap
from .levels import Levels, levels_of

Size = tuple[int, int]  # (width, height)
LATENT_BYTES, CAPTION_BYTES = 2 << 30, 8 << 30


class Shown(NamedTuple):
    """A batch of one size. latents: [B, ...] in the denoiser's space."""

    latents: torch.Tensor
    captions: tuple[str, ...]
    size: Size


def size_of(item: Item) -> Size:
    return item.bucket or (item.width, item.height)


def pixels(item: Item, size: Size) -> torch.Tensor:
    """IMAGE [1, H, W, 3] in 0..1."""
    return torch.from_numpy(kept(item, *size, "centre")).float().div(255)[None]


@dataclass
class Latents:
    """LATENTs of pictures: encoded once while they fit `most` bytes, the others each time."""

    model: Model
    runtime: Runtime
    most: int = LATENT_BYTES
    held: dict[Item, torch.Tensor] = field(default_factory=dict)
    bytes: int = 0

    def __call__(self, item: Item) -> torch.Tensor:
        """[1, C, ...], the mean of the autoencoder's posterior."""
        if item in self.held:
            return self.held[item]
        self.runtime.check_interrupt()
        z = stages.encode_image(self.model, pixels(item, size_of(item)), runtime=self.runtime)["samples"]
        if self.bytes + z.nbytes <= self.most:
            self.held[item] = z
            self.bytes += z.nbytes
        return z

    def fill(self, items: Iterable[Item]) -> None:
        for item in items:
            if self.bytes >= self.most:
                return
            self(item)


@dataclass
class Material:
    """way: how the denoiser is called. calls: by caption and size. pipe: the denoiser's stage, open."""

    pipe: Any
    way: asked.Way
    calls: Mapping[tuple[str, Size], asked.Arguments]
    levels: Mapping[Size, Levels]
    tails: Mapping[Size, TailMap]
    latents: Latents

    @property
    def module(self) -> Any:
        return getattr(self.pipe, self.way.part)

    def x0(self, items: Sequence[Item]) -> torch.Tensor:
        """Pictures of one size in the denoiser's space, [B, ...]."""
        rows = []
        for item in items:
            decoded = from_host(type(self.pipe).__name__, self.latents(item).float(), self.pipe)
            rows.append(self.tails[size_of(item)].inverse(decoded.double()).float())
        return torch.cat(rows)

    def feed(self, dataset: Dataset, seed: int, size: int) -> Callable[[int], Shown]:
        def feed(k: int) -> Shown:
            items = [dataset.items[place] for place in batches.indices(dataset, seed, k, size)]
            return Shown(self.x0(items), tuple(item.caption for item in items), size_of(items[0]))

        return feed


def encoded(model: Model, captions: Iterable[str], runtime: Runtime) -> dict[str, Conditioning]:
    """Each caption by itself, on the CPU. Raises AigcError when they take more than CAPTION_BYTES."""
    found, total = {}, 0
    for caption in dict.fromkeys(captions):
        runtime.check_interrupt()
        found[caption] = stages.encode_prompt(model, [caption], guided=False, runtime=runtime)
        total += sum(map(_bytes, found[caption].calls))
        if total > CAPTION_BYTES:
            raise AigcError(
                f"Expected captions whose encodings take at most {CAPTION_BYTES >> 30} GB, got more after {len(found)} of them: "
                "use fewer different captions."
            )
    return found


def _bytes(call: Recorded) -> int:
    sizes: list[int] = []
    map_tensors(call.result, lambda t: sizes.append(t.nbytes))
    return sum(sizes)


def material(
    model: Model,
    pipe: Any,
    conditionings: Mapping[str, Conditioning],
    pairs: Iterable[tuple[str, Size]],
    latents: Latents,
    runtime: Runtime,
) -> Material:
    """Record what the denoiser is called with for each pair of caption and size. Raises AigcError when that cannot be replayed."""
    pairs = list(dict.fromkeys(pairs))
    empty = {size: stages.empty_latents(model, width=size[0], height=size[1], frames=1) for _, size in pairs}
    first, size = pairs[0]
    way = asked.way_of(model, pipe, conditionings[first], empty[size], runtime=runtime)
    calls, levels, tails = {}, {}, {}
    for caption, size in pairs:
        runtime.check_interrupt()
        seen = asked.record(model, pipe, conditionings[caption], empty[size], runtime=runtime)
        calls[caption, size] = map_tensors(dict(seen.steps[0].arguments), lambda t: t.cpu())
        if size not in levels:
            levels[size] = levels_of(seen.scheduler)
            tails[size] = asked.tail(model, pipe, conditionings[caption], empty[size], runtime)
    return Material(pipe, way, calls, levels, tails, latents)


def checked(model: Model, dataset: Dataset) -> None:
    """Raises AigcError for what cannot be trained, before anything is loaded."""
    from ..stages import modular

    if modular.handles(model):
        raise asked.refusal(model.pipeline_class, "no call of its own but blocks")
    if any(lora.strength for lora in model.loras):
        raise AigcError(
            "Expected a model without a LoRA to train on, got one with "
            f"{', '.join(lora.path.name for lora in model.loras)}: connect the model before Load LoRA."
        )
    for width, height in sorted({size_of(item) for item in dataset.items}):
        stages.empty_latents(model, width=width, height=height, frames=1)


def sized(dataset: Dataset, resolution: int) -> Dataset:
    """Every item with the size that it is trained at: a square of `resolution`, or with 0 its bucket or own size."""
    if resolution:
        square = (resolution, resolution)
        return replace(dataset, items=tuple(replace(item, bucket=square) for item in dataset.items))
    batches.indices(dataset, 0, 0, 1)  # it says what is missing where there are several sizes and no buckets
    return replace(
        dataset, items=tuple(replace(item, bucket=item.bucket or (item.width, item.height)) for item in dataset.items)
    )
