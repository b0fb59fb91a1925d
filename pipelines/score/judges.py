"""Which judges there are, what they are called, and how each is opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..runtime import Runtime
from ..sources import Roots
from . import closed_form
from .judge import Judge

# name -> the module whose `open_judge` opens it, and its spec.
BUILT_IN: dict[str, tuple[str, JudgeSpec]] = {
    **{name: (".closed_form", closed_form.spec(name)) for name in closed_form.TABLE},
}
_KEPT = 4
_open: OrderedDict[tuple[Discriminator, tuple[int, ...]], Judge] = OrderedDict()
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


def fingerprint(name: str, *, roots: Roots) -> str:
    """What changes when the named judge's file does: for a node that must run again then. Never raises."""
    path = files(roots).get(name)
    return f"{name}:{path.stat().st_mtime_ns}" if path else name


def describe(discriminator: Discriminator) -> str:
    """What a judge judges, how well, and its licence, a line each."""
    spec = discriminator.spec
    lines = [f"{spec.id} {spec.version}: judges {spec.modality} ({spec.space}); unit {spec.unit}; higher is better"]
    lines += [spec.note] if spec.note else []
    if spec.auc:
        lines.append("held-out AUC by noise: " + ", ".join(f"{area:.2f} at {sigma:g}" for sigma, area in spec.auc))
    lines.append("calibrated: gives a probability" if discriminator.calibrated else "not calibrated: scores only order")
    lines += ["wants a prompt"] if spec.needs_prompt else []
    lines += ["wants a reference"] if spec.needs_reference else []
    lines.append("can steer a sampler" if spec.sigma_range else "cannot steer a sampler: it knows finished work only")
    return "\n".join([*lines, f"licence: {spec.licence or 'unknown'}"])


def _opened(discriminator: Discriminator) -> Judge:
    from . import combined, learned

    if discriminator.parts:
        return combined.Combined(discriminator, [_opened(part) for part, _ in discriminator.parts])
    if discriminator.kind == "learned":
        return learned.open_file(discriminator)
    return import_module(BUILT_IN[discriminator.kind][0], __package__).open_judge(discriminator)


def stamps(discriminator: Discriminator) -> tuple[int, ...]:
    """What changes when a judge's files do."""
    own = (discriminator.path.stat().st_mtime_ns,) if discriminator.path and discriminator.path.is_file() else ()
    return (*own, *(stamp for part, _ in discriminator.parts for stamp in stamps(part)))


@contextmanager
def judging(discriminator: Discriminator, runtime: Runtime) -> Iterator[Judge]:
    """The open judge with its weights on the device. The last few stay open."""
    with _lock:
        key = (discriminator, stamps(discriminator))
        if key not in _open:
            while len(_open) >= _KEPT:
                _, old = _open.popitem(last=False)
                runtime.release(old.parts())
            with torch.inference_mode(False):  # a host runs nodes in it, and weights made there have no slope
                _open[key] = _opened(discriminator)
        _open.move_to_end(key)
        judge = _open[key]
        with runtime.placed(judge.parts()):
            yield judge


def release_all(runtime: Runtime) -> None:
    """Forget every open judge."""
    with _lock:
        while _open:
            _, judge = _open.popitem()
            runtime.release(judge.parts())
