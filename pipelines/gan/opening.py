"""Open networks of GANs: the last few stay, their weights go where the Runtime places them."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import AigcError
from ..payloads import Gan
from ..runtime import Runtime
from . import files
from .network import Discriminator, Generator

_KEPT = 3
_open: OrderedDict[tuple[str, int, str, str], Generator | Discriminator] = OrderedDict()
_lock = threading.RLock()


def generator_part(gan: Gan) -> str:
    """The generator to make pictures with: its moving average where there is one."""
    return "average" if "average" in gan.parts else "generator"


@contextmanager
def opened(gan: Gan, part: str, runtime: Runtime) -> Iterator[Generator | Discriminator]:
    """The network with its weights on the device, without slopes of its own but with slopes in what it is given."""
    with _lock, torch.inference_mode(False):  # a host runs nodes in it, and weights made or moved there have no slope
        module = _opened(gan, part, runtime)
        with runtime.placed([module]):
            yield module


@contextmanager
def generating(gan: Gan, runtime: Runtime) -> Iterator[Generator]:
    """The generator to make pictures with, as `opened` opens it."""
    with opened(gan, generator_part(gan), runtime) as module:
        assert isinstance(module, Generator)
        yield module


def _opened(gan: Gan, part: str, runtime: Runtime) -> Generator | Discriminator:
    if not gan.path.is_file():
        raise AigcError(f"Expected the file {gan.path.name}, which is not there any more: load the GAN again.")
    options = json.dumps(gan.options, sort_keys=True)
    key = (str(gan.path), gan.path.stat().st_mtime_ns, part, options)
    if key not in _open:
        while len(_open) >= _KEPT:
            _, old = _open.popitem(last=False)
            runtime.release([old])
        _open[key] = files.network(gan, part)
    _open.move_to_end(key)
    return _open[key]


def release_all(runtime: Runtime) -> None:
    """Forget every open network."""
    with _lock:
        while _open:
            _, module = _open.popitem()
            runtime.release([module])
