"""Aspect-ratio buckets: which size each picture is trained at."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from ..errors import AigcError
from ..payloads import Dataset, Item, Rejected

Size = tuple[int, int]


def buckets(size: int, step: int = 64, ratio: float = 2.0) -> list[Size]:
    """(width, height) with sides that are multiples of `step`, an area up to size x size, and sides up to 1 to `ratio`.

    For each width the tallest height that fits; the square itself is one of them. diffusers.training_utils has a fixed list of
    ratios and no limit for them, so it is not used. Raises AigcError when a side has no room for one step.
    """
    if step < 1 or size < step or size % step or ratio < 1:
        raise AigcError(
            f"Expected a size that is a multiple of step, and a ratio of 1 or more, got size {size}, step {step} and ratio "
            f"{ratio:g}: take {max(1, size // max(1, step)) * max(1, step)}, or a smaller step."
        )
    found = set()
    for short in range(step, size + 1, step):
        long = size * size // short // step * step
        if long <= short * ratio:
            found |= {(short, long), (long, short)}
    return sorted(found)


def bucket_of(item: Item, among: list[Size], upscale: float) -> Size | None:
    """The bucket nearest in shape of those that the picture fills without being enlarged by more than `upscale`; or None."""
    fits = [bucket for bucket in among if enlarged(item, bucket) <= upscale + 1e-9]
    shape = math.log(item.width / item.height)
    return min(fits, key=lambda b: (abs(math.log(b[0] / b[1]) - shape), -b[0] * b[1], b)) if fits else None


def enlarged(item: Item, bucket: Size) -> float:
    """By how much a picture is scaled to cover a bucket."""
    return max(bucket[0] / item.width, bucket[1] / item.height)


def bucketed(dataset: Dataset, size: int, step: int = 64, ratio: float = 2.0, upscale: float = 1.0) -> Dataset:
    """Every item with its bucket; those that are too small for each of them are left out, with the number."""
    among = buckets(size, step, ratio)
    items, out = [], []
    for item in dataset.items:
        bucket = bucket_of(item, among, upscale)
        if bucket:
            items.append(replace(item, bucket=bucket))
        else:
            least = min(enlarged(item, bucket) for bucket in among)
            why = f"too small: {item.width} x {item.height} would be enlarged {least:.2f} times, at most {upscale:g}"
            out.append(Rejected(item, why))
    return replace(dataset, items=tuple(items), rejected=(*dataset.rejected, *out))


def counts(dataset: Dataset) -> dict[Size, int]:
    """How many items each bucket has, in the order of the buckets."""
    found = Counter(item.bucket for item in dataset.items if item.bucket)
    return {bucket: found[bucket] for bucket in sorted(found)}


def cropped(item: Item) -> float:
    """The share of a picture that its bucket cuts off, in 0..1."""
    assert item.bucket is not None
    scale = enlarged(item, item.bucket)
    return 1 - item.bucket[0] * item.bucket[1] / (item.width * item.height * scale * scale)


def report(before: Dataset, after: Dataset) -> str:
    """The buckets and what is in them, how much is cut off, and what was left out."""
    lines = [f"{len(after.items)} pictures in {len(counts(after))} buckets"]
    for bucket, count in counts(after).items():
        lost = [cropped(item) for item in after.items if item.bucket == bucket]
        lines.append(
            f"{bucket[0]} x {bucket[1]}: {count}, cut off {sum(lost) / count:.1%} on average, {max(lost):.1%} at most"
        )
    new = after.rejected[len(before.rejected) :]
    return "\n".join([*lines, *(f"left out {out.item.name}: {out.reason}" for out in new)])
