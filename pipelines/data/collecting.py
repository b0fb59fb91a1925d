"""A dataset from folders, zips, videos and pictures on a wire; only headers are read."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import AigcError
from ..payloads import Dataset, Item, Rejected
from ..score.pictures import ENDINGS
from . import handles, reading, video

if TYPE_CHECKING:
    import torch

SIDECARS = (".txt", ".caption", ".json", ".jsonl")
OnItem = Callable[[int, int], None]


def shipped(folder: Path) -> dict[str, Path]:
    """The example sets of this pack by name."""
    return {path.stem: path for path in sorted(folder.glob("*.zip"))}


def places(text: str) -> list[str]:
    """The lines of a box that name something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def collect(
    wanted: Sequence[str],
    base: Path,
    *,
    named: Mapping[str, Path] | None = None,
    below: bool = True,
    every: int = 10,
    labelled: bool = False,
    on_item: OnItem | None = None,
) -> Dataset:
    """The pictures of folders, patterns, zips and videos, in the order of the places, then of their names.

    wanted: names of `named`, or paths; relative ones start at `base`. below: folders inside of folders as well.
    every: each n-th frame of a video. labelled: the name of the folder that a picture lies in is its class.
    A file that is no picture inside is in `rejected`. Raises AigcError for a place that is not there.
    """
    files = [found for place in wanted for found in located(place, base, named=named or {}, below=below)]
    items: list[Item] = []
    rejected: list[Rejected] = []
    classes: list[str] = []
    for done, (path, folder) in enumerate(files):
        for item, inner in _unfolded(path, every, rejected, on_item):
            if on_item is not None:
                on_item(done, len(files))
            try:
                width, height = (item.width, item.height) if item.width else reading.size(item)
            except reading.Unreadable as error:
                rejected.append(Rejected(item, f"cannot be read: {error.reason}"))
                continue
            items.append(replace(item, width=width, height=height))
            classes.append(inner or folder)
    if on_item is not None:
        on_item(len(files), len(files))
    return _labelled(items, rejected, classes) if labelled else Dataset(tuple(items), tuple(rejected))


def located(place: str, base: Path, *, named: Mapping[str, Path], below: bool = True) -> Iterator[tuple[Path, str]]:
    """(file, name of its folder below the place, or "") of what one place means, sorted. Raises AigcError."""
    path = named.get(place) or Path(place).expanduser()
    path = path if path.is_absolute() else base / path
    try:
        if path.is_file():
            yield path, ""
        elif path.is_dir():
            yield from _walked(path, below)
        elif glob.has_magic(place):
            found = (Path(name) for name in sorted(glob.glob(str(path), recursive=True)))
            yield from ((file, "") for file in found if _ours(file.name) and file.is_file())
        else:
            also = f" or one of {', '.join(named)}" if named else ""
            raise AigcError(
                f"Expected a folder, a zip, a video or a pattern such as folder/*.png{also}, got {path}, which is not there: "
                "mend the name."
            )
    except OSError as error:
        raise AigcError(f"Expected a folder that can be read, got {path} ({error.strerror}): mend it.") from error


def _walked(root: Path, below: bool) -> Iterator[tuple[Path, str]]:
    def refuse(error: OSError) -> None:
        raise error

    for folder, inner, names in os.walk(root, onerror=refuse):
        inner[:] = sorted(name for name in inner if below and name[0] not in "._")
        label = "" if Path(folder) == root else os.path.basename(folder)
        yield from ((Path(folder, name), label) for name in sorted(names) if _ours(name))


def _ours(name: str) -> bool:
    return name[0] != "." and name.lower().endswith((*ENDINGS, ".zip", *video.ENDINGS))


def stamp(wanted: Iterable[str], base: Path, *, named: Mapping[str, Path], below: bool = True) -> str:
    """What changes when a picture or the caption beside it is added, removed or changed. Never raises."""
    digest = hashlib.sha256()
    for place in wanted:
        try:
            for path, _ in located(place, base, named=named, below=below):
                for file in (path, *(path.with_suffix(ending) for ending in SIDECARS)):
                    if file == path or file.exists():
                        now = file.stat()
                        digest.update(f"{file}:{now.st_size}:{now.st_mtime_ns}\n".encode())
        except (AigcError, OSError) as error:
            digest.update(repr(error).encode())
    return digest.hexdigest()


def _unfolded(path: Path, every: int, rejected: list[Rejected], on_item: OnItem | None) -> Iterator[tuple[Item, str]]:
    """The pictures in one file, and the folder of each inside of it; a frame's size is known, others' is 0."""
    ending = path.suffix.lower()
    if ending != ".zip" and ending not in video.ENDINGS:
        yield Item(path, 0, 0), ""
        return
    try:
        yield from _members(path) if ending == ".zip" else _frames(path, every)
    except reading.Unreadable as error:
        rejected.append(Rejected(Item(path, 0, 0), f"cannot be read: {error.reason}"))


def _members(path: Path) -> Iterator[tuple[Item, str]]:
    """Whatever a member is called, it is only ever read: nothing is unpacked to a file."""
    for name in sorted(reading.explained(Item(path, 0, 0), lambda: handles.archive(path).namelist())):
        inside = PurePosixPath(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in inside.parts)
        if not hidden and not name.endswith("/") and name.lower().endswith(ENDINGS):
            yield Item(path, 0, 0, member=name), inside.parent.name


def _frames(path: Path, every: int) -> Iterator[tuple[Item, str]]:
    first = Item(path, 0, 0, frame=0)
    width, height = reading.size(first)
    count = reading.explained(first, lambda: len(video.opened(path)))
    yield from ((Item(path, width, height, frame=number), "") for number in range(0, count, max(1, every)))


def _labelled(items: list[Item], rejected: list[Rejected], classes: list[str]) -> Dataset:
    names = tuple(sorted(set(classes) - {""}))
    numbers = {"": -1, **{name: number for number, name in enumerate(names)}}
    given = tuple(replace(item, label=numbers[name]) for item, name in zip(items, classes))
    return Dataset(given, tuple(rejected), names)


def joined(first: Dataset, second: Dataset) -> Dataset:
    """Both one after the other; the second's classes are counted by their names."""
    labels = (*first.labels, *(name for name in second.labels if name not in first.labels))
    moved = tuple(
        item if item.label < 0 else replace(item, label=labels.index(second.labels[item.label]))
        for item in second.items
    )
    return Dataset((*first.items, *moved), (*first.rejected, *second.rejected), labels)


def stored(image: torch.Tensor, folder: Path, on_item: OnItem | None = None) -> Dataset:
    """Pictures [B, H, W, 3] in 0..1, each written once as PNG below `folder`, named by its content.

    The same pictures give the same files, so that a second run writes nothing. Raises AigcError when they cannot be written.
    """
    items = []
    for number, picture in enumerate(image):
        if on_item is not None:
            on_item(number, len(image))
        rgb = (picture[..., :3].clamp(0, 1) * 255).round().byte().cpu().numpy()
        items.append(Item(_written(rgb, folder), rgb.shape[1], rgb.shape[0]))
    return Dataset(tuple(items))


def _written(rgb: Any, folder: Path) -> Path:
    import cv2

    name = hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes()).hexdigest()[:32]
    path = folder / f"{name}.png"
    if not path.exists():
        part = folder / f"{name}.{os.getpid()}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise AigcError(f"Expected to write {path}, got {error.strerror}: make room, or allow it.") from error
    return path


def told(dataset: Dataset, most: int = 50) -> str:
    """A dataset in a few lines: how many, of which sizes and classes, and what was left out."""
    sizes = sorted(min(item.width, item.height) for item in dataset.items)
    span = (
        f", shorter side {sizes[0]} to {sizes[-1]} px, half of them {sizes[len(sizes) // 2]} or more" if sizes else ""
    )
    lines = [f"{len(dataset.items)} pictures{span}; {len(dataset.rejected)} left out"]
    counts = [sum(item.label == number for item in dataset.items) for number in range(len(dataset.labels))]
    lines += (
        ["classes: " + ", ".join(f"{name} {count}" for name, count in zip(dataset.labels, counts))] if counts else []
    )
    lines += [f"left out {out.item.name}: {out.reason}" for out in dataset.rejected[:most]]
    return "\n".join(
        [*lines, *([f"... and {len(dataset.rejected) - most} more"] if len(dataset.rejected) > most else [])]
    )
