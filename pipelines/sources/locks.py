"""One process at a time: a lock file that the system itself releases when its holder dies."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import AigcError

POLL = 0.1  # seconds between two tries, and so how long a stop may take
HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    def _try(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, check_interrupt: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file; wait while another process or thread does. The file is gone afterwards."""
    while (handle := _taken(path)) is None:
        check_interrupt()
        time.sleep(POLL)
    try:
        yield
    finally:
        # Removed while it is held: who opened it meanwhile finds in _taken that its name is no longer there.
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _taken(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _try(handle)
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in HELD:
            os.close(handle)
            raise AigcError(
                f"Expected a disk with file locks for {path.parent}, got {error}: two downloads could meet there. "
                f"Use a models folder on another disk."
            ) from error
    os.close(handle)
    return None
