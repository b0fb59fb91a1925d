"""Which judges there are, what they are called, and how each is opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..runtime import Runtime
from ..sources import Roots
from .judge import Judge

# name -> (module with SPEC and open_judge, what it opens). Modules are imported when their judge is opened.
BUILT_IN: dict[str, tuple[str, JudgeSpec]] = {}
_KEPT = 4
_open: OrderedDict[Discriminator, Judge] = OrderedDict()
_lock = threading.RLock()


def files(roots: Roots) -> dict[str, Path]:
    """Judges in files by name, the shipped ones first."""
    found: dict[str, Path] = {}
    for folder in roots.judges:
        for path in sorted(folder.rglob("*.safetensors")) if folder.is_dir() else ():
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def names(roots: Roots) -> list[str]:
    """Every judge that can be opened by name: built in, then files."""
    return [*BUILT_IN, *files(roots)]


def open_discriminator(name: str, *, roots: Roots) -> Discriminator:
    """A judge by its name in the list or the path of its file; reads no weights. Raises AigcError when there is none."""
    from .learned import read_header

    if name in BUILT_IN:
        return Discriminator(BUILT_IN[name][1], name)
    path = files(roots).get(name, Path(name))
    if not path.is_file():
        raise AigcError(
            f"Expected a judge, got '{name}': choose one of {', '.join(names(roots))}, or give the path of a file."
        )
    return read_header(path)[0]


def _opened(discriminator: Discriminator) -> Judge:
    from . import combined, learned

    if discriminator.parts:
        return combined.Combined(discriminator, [_opened(part) for part, _ in discriminator.parts])
    if discriminator.kind == "learned":
        return learned.open_file(discriminator)
    return import_module(BUILT_IN[discriminator.kind][0], __package__).open_judge(discriminator)


@contextmanager
def judging(discriminator: Discriminator, runtime: Runtime, activation_bytes: int = 0) -> Iterator[Judge]:
    """The open judge with its weights on the device. The last few stay open."""
    with _lock:
        if discriminator not in _open:
            while len(_open) >= _KEPT:
                _, old = _open.popitem(last=False)
                runtime.release(old.parts())
            _open[discriminator] = _opened(discriminator)
        _open.move_to_end(discriminator)
        judge = _open[discriminator]
        with torch.inference_mode(False), runtime.placed(judge.parts(), activation_bytes):
            yield judge


def release_all(runtime: Runtime | None = None) -> None:
    """Forget every open judge."""
    with _lock:
        while _open:
            _, judge = _open.popitem()
            (runtime or Runtime("cpu")).release(judge.parts())


Opener = Callable[[Discriminator], Judge]
