"""Leaves out what harms a training, with the reason and its number; files stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import AigcError
from ..payloads import Dataset, Discriminator, Item, Rejected
from ..runtime import Runtime
from . import looks, near, reading

if TYPE_CHECKING:
    import torch

OnItem = Callable[[int, int], None]
AT_ONCE, PIXELS = 16, 1 << 22  # pictures and pixels that a judge gets at a time


@dataclass(frozen=True)
class Limits:
    """What a picture has to keep to; 0 switches a limit off, -1 the search for near-duplicates.

    side: px of the shorter side at least. aspect: longer by shorter side at most. bits: by which near-duplicates differ.
    sharpness: at least (`looks.sharpness`). clipped: share of black, or of white pixels, at most. spread: of brightness, at least.
    score: of the judge at least, if there is one.
    """

    side: int = 0
    aspect: float = 0.0
    bits: int = 4
    sharpness: float = 0.0
    clipped: float = 0.0
    spread: float = 0.0
    score: float = 0.0


def clean(
    dataset: Dataset,
    limits: Limits,
    *,
    judge: Discriminator | None = None,
    on_item: OnItem | None = None,
    runtime: Runtime,
) -> Dataset:
    """The pictures that keep to the limits, in their order; the others are in `rejected`, with the first limit that they break.

    Each is decoded once, and once more for a judge, which takes a picture's caption as its prompt. Of near-duplicates the one
    with the most pixels stays, of equal ones the sharpest. Raises AigcError for a judge of something else than pictures, or
    one that needs a caption that is not there.
    """
    _check(dataset, limits, judge)
    kept: list[Item] = []
    seen: list[looks.Look] = []
    out: list[Rejected] = []
    for number, item in enumerate(dataset.items):
        if on_item is not None:
            on_item(number, len(dataset.items))
        try:
            found = looks.of(item)
        except reading.Unreadable as error:
            out.append(Rejected(item, f"cannot be read: {error.reason}"))
            continue
        fault = broken(item, found, limits)
        if fault:
            out.append(Rejected(item, fault))
        else:
            kept.append(item)
            seen.append(found)
    if limits.bits >= 0:
        twins = _twins(kept, seen, limits.bits, runtime.check_interrupt)
        out += [Rejected(kept[i], why) for i, why in twins.items()]
        kept = [item for i, item in enumerate(kept) if i not in twins]
    if judge is not None:
        poor = dict(_poor(kept, judge, limits.score, on_item, runtime))
        out += [Rejected(kept[i], why) for i, why in poor.items()]
        kept = [item for i, item in enumerate(kept) if i not in poor]
    return replace(dataset, items=tuple(kept), rejected=(*dataset.rejected, *out))


def _check(dataset: Dataset, limits: Limits, judge: Discriminator | None) -> None:
    if limits.bits > near.FARTHEST:
        raise AigcError(f"Expected near-duplicates up to {near.FARTHEST} bits, got {limits.bits}: lower it.")
    if judge is not None and (judge.spec.modality != "image" or judge.spec.needs_reference):
        wants = "a reference" if judge.spec.needs_reference else f"{judge.spec.modality} as its input"
        raise AigcError(
            f"Expected a judge of single pictures, got {judge.spec.id}, which wants {wants}: choose another."
        )
    if judge is not None and judge.spec.needs_prompt and (bare := [item for item in dataset.items if not item.caption]):
        raise AigcError(
            f"Expected a caption for each picture for {judge.spec.id}, which compares with it, got {len(bare)} without, such as "
            f"{bare[0].name}: put Caption Images before Clean Images."
        )


def broken(item: Item, found: looks.Look, limits: Limits) -> str:
    """The first limit that a picture breaks, with what was measured; "" for none."""
    side, aspect = min(item.width, item.height), max(item.width, item.height) / max(1, min(item.width, item.height))
    dark, bright = found.dark, found.bright
    faults = (
        (side < limits.side, f"too small: shorter side {side} px, at least {limits.side}"),
        (0 < limits.aspect < aspect, f"too long: sides 1 to {aspect:.2f}, at most {limits.aspect:g}"),
        (found.spread < limits.spread, f"flat: brightness spreads by {found.spread:.2f}, at least {limits.spread:g}"),
        (0 < limits.clipped < dark, f"too dark: {dark:.1%} of it is black, at most {limits.clipped:.0%}"),
        (0 < limits.clipped < bright, f"too bright: {bright:.1%} of it is white, at most {limits.clipped:.0%}"),
        (
            found.sharpness < limits.sharpness,
            f"blurred: sharpness {found.sharpness:.1f}, at least {limits.sharpness:g}",
        ),
    )
    return next((said for breaks, said in faults if breaks), "")


def _twins(items: Sequence[Item], seen: Sequence[looks.Look], bits: int, on_part: Callable[[], None]) -> dict[int, str]:
    """Which items another one stands for: each is compared with what is kept, so no chain of small steps joins strangers."""
    beside: dict[int, list[tuple[int, int]]] = {}
    for i, j, apart in near.pairs([found.signature for found in seen], bits, on_part).tolist():
        beside.setdefault(i, []).append((j, apart))
        beside.setdefault(j, []).append((i, apart))
    best = sorted(beside, key=lambda i: (-items[i].width * items[i].height, -seen[i].sharpness, i))
    out: dict[int, str] = {}
    for i in best:
        if i in out:
            continue
        for j, apart in beside[i]:
            out.setdefault(j, f"near-duplicate of {items[i].short_name}: {apart} of 64 bits differ, limit {bits}")
    return {i: out[i] for i in sorted(out)}


def _poor(
    items: Sequence[Item], judge: Discriminator, least: float, on_item: OnItem | None, runtime: Runtime
) -> Iterator[tuple[int, str]]:
    """(index, why) of pictures that score less than `least`."""
    from ..score import scoring

    for numbers, image in _chunks(items, on_item, runtime):
        prompts = [items[i].caption for i in numbers]
        scores = scoring.score(judge, image, prompts=prompts, runtime=runtime)
        for i, value in zip(numbers, scores.values):
            if not value >= least:
                yield i, f"{judge.spec.id} scores {value:.3f}, at least {least:g}"


def _chunks(
    items: Sequence[Item], on_item: OnItem | None, runtime: Runtime
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Neighbours of one size as an IMAGE [B, H, W, 3] in 0..1, few when they are large."""
    import numpy as np
    import torch

    numbers: list[int] = []
    held: list[np.ndarray] = []
    for number, item in enumerate(items):
        runtime.check_interrupt()
        if on_item is not None:
            on_item(number, len(items))
        rgb = reading.pixels(item)
        full = len(held) >= AT_ONCE or (held and (len(held) + 1) * held[0].size > 3 * PIXELS)
        if held and (full or rgb.shape != held[0].shape):
            yield numbers, torch.from_numpy(np.stack(held)).float() / 255
            numbers, held = [], []
        numbers.append(number)
        held.append(rgb)
    if held:
        yield numbers, torch.from_numpy(np.stack(held)).float() / 255


def report(before: Dataset, after: Dataset) -> str:
    """How many stayed, why the others did not, and each of them with its number."""
    new = after.rejected[len(before.rejected) :]
    why = Counter(out.reason.partition(":")[0].partition(" of ")[0].partition(" scores ")[0] for out in new)
    counts = ", ".join(f"{count} {reason}" for reason, count in why.most_common())
    head = f"kept {len(after.items)} of {len(before.items)}" + (f"; left out {len(new)}: {counts}" if new else "")
    earlier = [f"{len(before.rejected)} were left out before"] if before.rejected else []
    return "\n".join([head, *earlier, *(f"{out.item.name}: {out.reason}" for out in new)])
