"""Captions for a dataset: where they come from, and how they are put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ..errors import AigcError
from ..menus import CAPTION_SOURCES
from ..payloads import Dataset, Item
from .sidecars import Sidecars

COUNTER = re.compile(r"^(\d+\s+)+|(\s*\(\d+\))+$|(\s+\d+)+$")
OnItem = Callable[[int, int], None]
Captioner = Callable[[Item], str]


@dataclass(frozen=True)
class Form:
    """template: text with {caption}, {name} and {label} in it; then prefix and suffix as they are, trigger and a comma in front.

    What is empty leaves no comma behind.
    """

    template: str = "{caption}"
    prefix: str = ""
    suffix: str = ""
    trigger: str = ""

    def filled(self, caption: str, name: str, label: str) -> str:
        words = {"{caption}": caption, "{name}": name, "{label}": label}
        # In one pass: a caption that has braces in it is not a template.
        text = re.sub(r"\{(caption|name|label)\}", lambda found: words[found[0]], self.template)
        text = f"{self.prefix}{_tidy(text)}{self.suffix}"
        return ", ".join(part for part in (self.trigger.strip(), _tidy(text)) if part)


def _tidy(text: str) -> str:
    """Without doubled spaces and without commas that have nothing between them."""
    parts = [" ".join(part.split()) for part in text.split(",")]
    return ", ".join(part for part in parts if part)


def name_of(item: Item) -> str:
    """A file's name as words: red_apple-012 (3).png is "red apple"; a name that is only a counter is ""."""
    stem = PurePosixPath(item.member or item.path.name).stem
    words = " ".join(re.sub(r"[_\-+.]+", " ", stem).split())
    while (shorter := COUNTER.sub("", words).strip()) != words:
        words = shorter
    return "" if words.isdigit() else words


def lines_of(text: str) -> list[str]:
    """The lines of a box, empty ones in between included: a picture may have no caption."""
    return [line.strip() for line in text.strip().splitlines()]


def captioned(
    dataset: Dataset,
    source: str,
    form: Form = Form(),
    *,
    lines: Sequence[str] = (),
    captioner: Captioner | None = None,
    keep: bool = False,
    on_item: OnItem | None = None,
) -> Dataset:
    """The dataset with a caption for each item from `source`, one of menus.CAPTION_SOURCES, in the given form.

    lines: one a picture, or one for all. captioner: for "model". keep: items that have a caption stay as they are.
    Raises AigcError when lines and pictures differ in number.
    """
    if source not in CAPTION_SOURCES:
        raise AigcError(f"Expected captions from one of {', '.join(CAPTION_SOURCES)}, got {source!r}: choose one.")
    if source == "lines" and len(lines) not in (1, len(dataset.items)):
        raise AigcError(
            f"Expected one line for all pictures or one a picture ({len(dataset.items)}), got {len(lines)}: count them again."
        )
    sidecars, items = Sidecars(), []
    for number, item in enumerate(dataset.items):
        if on_item is not None:
            on_item(number, len(dataset.items))
        if keep and item.caption:
            items.append(item)
            continue
        label, name = dataset.labels[item.label] if item.label >= 0 else "", name_of(item)
        if source == "lines":
            found = lines[number if len(lines) > 1 else 0]
        elif source == "model":
            assert captioner is not None
            found = captioner(item)
        elif source in ("sidecar", "sidecar or name"):
            found = sidecars.caption(item) or (name if source != "sidecar" else "")
        else:
            found = {"name": name, "label": label, "keep": item.caption}[source]
        items.append(replace(item, caption=form.filled(found, name, label)))
    if on_item is not None:
        on_item(len(items), len(items))
    return replace(dataset, items=tuple(items))


def report(dataset: Dataset, most: int = 20) -> str:
    """How many have a caption, how many different ones there are, and the first of them."""
    texts = [item.caption for item in dataset.items]
    some = [text for text in texts if text]
    lengths = sorted(len(text.split()) for text in some)
    head = f"{len(some)} of {len(texts)} have a caption, {len(set(some))} different ones"
    head += f"; {lengths[0]} to {lengths[-1]} words" if lengths else ""
    bare = [item.name for item in dataset.items if not item.caption]
    without = [f"without: {', '.join(bare[:most])}{' ...' if len(bare) > most else ''}"] if bare else []
    shown = [f"{item.name}: {item.caption}" for item in dataset.items if item.caption][:most]
    return "\n".join([head, *without, *shown])
