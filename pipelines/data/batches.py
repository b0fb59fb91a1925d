"""Batches of a dataset: batch k is a function of (dataset, seed, k) alone, so that a resumed training needs no state."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from weakref import ReferenceType, ref

import numpy as np

from ..errors import AigcError
from ..payloads import Dataset, Item
from . import draws, handles, reading
from .kept import kept
from .split import held_out

if TYPE_CHECKING:
    import torch

__all__ = ["Batch", "View", "ahead", "batch", "epoch_of", "held_out", "indices"]

ORDER, OFFSET, TURN, COIN, PLACE = range(5)  # one stream of draws for each purpose
Sizes = dict[tuple[int, int], list[int]]


@dataclass(frozen=True)
class View:
    """How items become pictures of one size. size: (width, height) for items without a bucket; None: their own, if it is one.

    crop: as in `reading.fitted`. mirror: half of the visits are mirrored, by a coin of the seed.
    """

    size: tuple[int, int] | None = None
    crop: str = "centre"
    mirror: bool = False


class Batch(NamedTuple):
    """pixels: float32 [B, 3, H, W] in -1..1. labels: int64 [B], -1 for none."""

    pixels: torch.Tensor
    captions: tuple[str, ...]
    labels: torch.Tensor
    items: tuple[Item, ...]


PLAIN = View()
Batches = Generator[Batch, None, None]


def batch(dataset: Dataset, seed: int, k: int, size: int, view: View = PLAIN) -> Batch:
    """The k-th batch of `size` pictures of one bucket, k from 0.

    Every picture comes equally often: each bucket goes through one drawn order after another, and buckets take turns in
    proportion to what is in them. Raises AigcError for an empty dataset, one without a size, or a picture that is gone.
    """
    import torch

    sizes = _sizes(dataset, view)
    number, turn = _turn(tuple(map(len, sizes.values())), seed, k, size)
    (width, height), members = list(sizes.items())[number]
    items = tuple(dataset.items[members[place]] for place in _places(len(members), number, seed, turn, size))
    coins = draws.raw(size, seed, COIN, number, turn) >> np.uint64(63) if view.mirror else np.zeros(size)
    spots = draws.uniform(2 * size, seed, PLACE, number, turn).reshape(size, 2)
    pixels = np.empty((size, 3, height, width), np.uint8)
    for row, (item, coin, spot) in enumerate(zip(items, coins, spots)):
        rgb = _picture(item, width, height, view.crop, (float(spot[0]), float(spot[1])))
        pixels[row] = (rgb[:, ::-1] if coin else rgb).transpose(2, 0, 1)
    with torch.inference_mode(False):  # a host runs nodes in it, and what is made there cannot be trained on
        x = torch.from_numpy(pixels).float().div_(127.5).sub_(1)
        labels = torch.tensor([item.label for item in items], dtype=torch.int64)
    return Batch(x, tuple(item.caption for item in items), labels, items)


def indices(dataset: Dataset, seed: int, k: int, size: int, view: View = PLAIN) -> tuple[int, ...]:
    """The places in the dataset of batch k, without decoding."""
    sizes = _sizes(dataset, view)
    number, turn = _turn(tuple(map(len, sizes.values())), seed, k, size)
    members = list(sizes.values())[number]
    return tuple(members[place] for place in _places(len(members), number, seed, turn, size))


def epoch_of(dataset: Dataset, k: int, size: int) -> float:
    """How often the whole dataset was gone through before batch k."""
    return k * size / max(1, len(dataset.items))


def _turn(counts: Sequence[int], seed: int, k: int, size: int) -> tuple[int, int]:
    """(bucket, which of its batches) of batch k. Until the end of epoch e a bucket of n has floor((e + 1) n / size + u) batches,
    u drawn in 0..1; within an epoch their order is drawn.
    """
    if k < 0 or size < 1:
        raise AigcError(f"Expected batch 0 or later of one picture or more, got batch {k} of {size}.")
    offsets = draws.uniform(len(counts), seed, OFFSET)

    def before(epoch: int) -> list[int]:
        return [int(epoch * count / size + offset) for count, offset in zip(counts, offsets)]

    epoch = k * size // sum(counts)
    while sum(before(epoch)) > k:
        epoch -= 1
    while sum(before(epoch + 1)) <= k:
        epoch += 1
    done = before(epoch)
    own = [after - so_far for after, so_far in zip(before(epoch + 1), done)]
    order = np.repeat(np.arange(len(counts)), own)[draws.permutation(sum(own), seed, TURN, epoch)]
    place = k - sum(done)
    number = int(order[place])
    return number, done[number] + int((order[:place] == number).sum())


def _places(count: int, number: int, seed: int, turn: int, size: int) -> list[int]:
    """Which of a bucket's `count` items its batch `turn` has: a piece of its endless row of drawn orders."""
    places = range(turn * size, (turn + 1) * size)
    return [int(_order(count, seed, number, place // count)[place % count]) for place in places]


@lru_cache(maxsize=64)
def _order(count: int, seed: int, number: int, epoch: int) -> np.ndarray:
    return draws.permutation(count, seed, ORDER, number, epoch)


_known: dict[tuple[int, tuple[int, int] | None], tuple[ReferenceType[Dataset], Sizes]] = {}


def _sizes(dataset: Dataset, view: View) -> Sizes:
    """The items' places by the size that they are trained at, in the order of the sizes. Kept for the last few datasets."""
    key = (id(dataset), view.size)
    if key in _known and _known[key][0]() is dataset:
        return _known[key][1]
    sizes: Sizes = {}
    own = {(item.width, item.height) for item in dataset.items if item.bucket is None}
    if view.size is None and len(own) > 1:
        raise AigcError(
            f"Expected pictures of one size, or with buckets, got {len(own)} sizes: put Bucket Images before the training."
        )
    for place, item in enumerate(dataset.items):
        sizes.setdefault(item.bucket or view.size or (item.width, item.height), []).append(place)
    if not sizes:
        raise AigcError(
            f"Expected pictures to train on, got none ({len(dataset.rejected)} left out): widen the limits."
        )
    while len(_known) >= 8:
        _known.pop(next(iter(_known)), None)
    ordered = dict(sorted(sizes.items()))
    _known[key] = (ref(dataset), ordered)
    return ordered


def _picture(item: Item, width: int, height: int, crop: str, at: tuple[float, float]) -> np.ndarray:
    if crop == "random":
        return reading.fitted(item, width, height, crop, at)
    return kept(item, width, height, crop)


def ahead(dataset: Dataset, seed: int, start: int, size: int, view: View = PLAIN, *, depth: int = 2) -> Batches:
    """Batches start, start + 1 and so on without an end, up to `depth` of them made in a thread before they are asked for.

    The same as calling `batch`. The thread ends when the iterator is closed or forgotten; what it raises is raised here.
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=max(1, depth))
    stop = threading.Event()

    def put(value: Batch | BaseException) -> None:
        while not stop.is_set():
            try:
                return ready.put(value, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            k = start
            while not stop.is_set():
                put(batch(dataset, seed, k, size, view))
                k += 1
        except BaseException as error:  # whatever it is belongs to the one who asks for the batch
            put(error)
        finally:
            handles.close()

    thread = threading.Thread(target=work, name="aigc batches", daemon=True)
    thread.start()
    try:
        while True:
            found = ready.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stop.set()
        thread.join()
