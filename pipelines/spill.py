"""Room for many frames: in memory, or in a temporary file that is mapped into it."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

LIMIT = 2**30  # bytes from which on frames go to a file: 85 of 1024 x 1024


def empty(shape: Sequence[int], folder: Path | None = None) -> torch.Tensor:
    """A float32 tensor on the CPU to write to; above LIMIT its pages are those of a file, which goes when the tensor does.

    folder: where the file is made, None for the system's own. Without room there the tensor is in memory.
    """
    count = math.prod(shape)
    if 4 * count <= LIMIT:
        return torch.empty(*shape)
    try:
        handle, name = tempfile.mkstemp(prefix="frames-", suffix=".raw", dir=folder)
    except OSError:
        return torch.empty(*shape)
    try:
        _allocate(handle, 4 * count)
        return torch.from_file(name, shared=True, size=count, dtype=torch.float32).reshape(*shape)
    except (OSError, RuntimeError):
        return torch.empty(*shape)
    finally:
        os.close(handle)
        if sys.platform != "win32":  # a mapped file cannot be removed there; the host empties its temporary folder
            with suppress(OSError):
                os.unlink(name)


def _allocate(handle: int, size: int) -> None:
    """The whole file at once: a page that finds the disk full when it is written ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)
