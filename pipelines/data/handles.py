"""Open archives and videos: a few a thread, closed when others are opened."""

from __future__ import annotations

import os
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEPT = 4  # of each thread: neither zipfile nor a decoder may be used by two at once
_own = threading.local()


def _held() -> OrderedDict[tuple[str, int, int], Any]:
    if not hasattr(_own, "held"):
        _own.held = OrderedDict()
    return _own.held


def held(path: Path, opened: Callable[[Path], Any]) -> Any:
    """What `opened` made of this file in this thread; anew when the file has changed since."""
    now = os.stat(path)
    key, known = (str(path), now.st_mtime_ns, now.st_size), _held()
    if key not in known:
        for old in [old for old in known if old[0] == key[0]]:
            known.pop(old).close()
        fresh = opened(path)
        while len(known) >= KEPT:
            known.popitem(last=False)[1].close()
        known[key] = fresh
    known.move_to_end(key)
    return known[key]


def archive(path: Path) -> zipfile.ZipFile:
    """An open zip. Raises OSError or zipfile.BadZipFile."""
    return held(path, zipfile.ZipFile)


def close() -> None:
    """Close what this thread has open."""
    known = _held()
    while known:
        known.popitem()[1].close()
