"""A dataset in two parts that share nothing: what is held out has no twin among what is trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import AigcError
from ..payloads import Dataset
from . import draws, looks, near

BITS = 4  # up to which two pictures are the same one for this purpose
DRAW = 16  # a stream of draws of its own beside those of batches


def held_out(
    dataset: Dataset, share: float, seed: int, *, on_item: Callable[[int, int], None] | None = None
) -> tuple[Dataset, Dataset]:
    """(train, held): about `share` of the items, in 0..1, are held, drawn by seed; both keep their order.

    Near-duplicates, and the frames of one video, are on one side. Each picture is decoded once, unless Clean Images has done so.
    Both sides have at least one item, for a share that is not 0. Raises AigcError when that cannot be.
    """
    count = len(dataset.items)
    if not 0 <= share < 1:
        raise AigcError(f"Expected a share of 0 to below 1 to hold out, got {share:g}.")
    if share == 0:
        return replace(dataset, rejected=()), Dataset((), (), dataset.labels)
    of = related(dataset, on_item)
    members: dict[int, list[int]] = {}
    for i, group in enumerate(of):
        members.setdefault(group, []).append(i)
    if len(members) < 2:
        raise AigcError(
            f"Expected pictures of at least two subjects to hold some out, got {count} that are all alike: add others, or hold "
            "none out."
        )
    order = [list(members)[i] for i in draws.permutation(len(members), seed, DRAW)]
    wanted = min(max(1, round(share * count)), count - 1)
    held: set[int] = set()
    for group in order:
        if len(held) + len(members[group]) <= wanted:  # one that would overshoot waits: a later one may fit
            held.update(members[group])
    held = held or set(min((members[group] for group in order), key=len))
    parts = [tuple(item for i, item in enumerate(dataset.items) if (i in held) is side) for side in (False, True)]
    return replace(dataset, items=parts[0], rejected=()), Dataset(parts[1], (), dataset.labels)


def related(dataset: Dataset, on_item: Callable[[int, int], None] | None = None) -> list[int]:
    """A number for each item, equal for near-duplicates and frames of one video."""
    signatures, links = [], []
    videos: dict[str, int] = {}
    for i, item in enumerate(dataset.items):
        if on_item is not None:
            on_item(i, len(dataset.items))
        signatures.append(looks.of(item).signature)
        if item.frame >= 0:
            links.append((videos.setdefault(str(item.path), i), i, 0))
    found = near.pairs(signatures, BITS)
    return near.groups(len(signatures), np.concatenate([found, np.array(links, np.int64).reshape(-1, 3)]))
