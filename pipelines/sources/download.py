"""One file from a hub: continued where it broke off, checked, and given its name only when it is right."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError

from ..errors import AigcError
from . import hubs, web
from .manifest import publish

CHUNK = 1 << 20  # bytes
STALLED = 10  # seconds without a byte
TRIES = 5  # in a row that bring nothing new
PAUSE = 0.5  # seconds before the second try; doubled for each further one
DISK = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EFBIG)  # what the network never answers


@dataclass(frozen=True)
class Job:
    """What the files of one download share. headers: such as a login. check_interrupt: raises to stop."""

    source: str
    headers: Mapping[str, str]
    check_interrupt: Callable[[], None]


def fetch(job: Job, file: hubs.HubFile, target: Path, on_bytes: Callable[[int], None]) -> str:
    """Download `file` to `target` and return its SHA-256. on_bytes gets the bytes of this file that are here.

    What check_interrupt raises passes through within a chunk; the part that is here stays for the next time.
    """
    part = part_of(file, target)
    tries = 0
    while (have := size_of(part)) < file.size:
        on_bytes(have)
        problem = _more(job, file, part, have, on_bytes)
        tries = 0 if size_of(part) > have else tries + 1
        if tries == TRIES:
            reason = f"{file.name} broke off {TRIES} times at {have} of {file.size} bytes ({problem})"
            raise hubs.not_here(job.source, reason, "Try again: the download goes on from there.")
        _pause(PAUSE * 2 ** (tries - 1) if tries else 0, job.check_interrupt)
    return _checked(job, file, part, target)


def part_of(file: hubs.HubFile, target: Path) -> Path:
    """Where a file lies while it is not whole. By its checksum: a later revision never continues an earlier one."""
    return target.with_name(f"{target.name}.{file.checksum[:8]}.part")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _more(job: Job, file: hubs.HubFile, part: Path, have: int, on_bytes: Callable[[int], None]) -> str:
    """Ask for the bytes from `have` on and append them; returns what broke them off."""
    job.check_interrupt()
    span = {"Range": f"bytes={have}-"} if have else {}
    try:
        with web.get(file.url, {**job.headers, **span}, STALLED) as answer:
            begin = have if have and _continues(answer, have) else 0
            with _opened(part, begin) as out:
                _copy(job, file, answer, out, begin, on_bytes)
    except HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
        elif error.code not in hubs.RETRY:
            raise hubs.refused(job.source, error) from error
        return f"the hub answered {error.code}"
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise disk_error(part.parent, error) from error
        return hubs.short(error)
    return "the connection ended early"


def _continues(answer: HTTPResponse, have: int) -> bool:
    """Whether the server goes on at `have`; one that does not know ranges begins at 0 again."""
    return answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _opened(part: Path, begin: int) -> BinaryIO:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        out = part.open("r+b" if begin else "wb")
    except OSError as error:
        raise disk_error(part.parent, error) from error
    out.seek(begin)
    return out


def _copy(
    job: Job, file: hubs.HubFile, answer: HTTPResponse, out: BinaryIO, have: int, on_bytes: Callable[[int], None]
) -> None:
    for chunk in iter(lambda: answer.read1(CHUNK), b""):
        job.check_interrupt()
        have += len(chunk)
        if have > file.size:
            out.truncate(0)
            reason = f"{file.name} is longer than the {file.size} bytes that the hub lists"
            raise hubs.not_here(job.source, reason, "Try again, or use another mirror.")
        out.write(chunk)
        on_bytes(have)


def _checked(job: Job, file: hubs.HubFile, part: Path, target: Path) -> str:
    try:
        if file.size == 0:
            _opened(part, 0).close()
        found = digest(part, file, job.check_interrupt)
        if found is not None:
            publish(part, target)
            return found
        part.unlink()
    except OSError as error:
        raise disk_error(target.parent, error) from error
    reason = f"{file.name} does not have the checksum {file.checksum} that the hub lists"
    raise hubs.not_here(job.source, reason, "It was removed. Try again; if it stays so, use another mirror.")


def digest(path: Path, file: hubs.HubFile, check_interrupt: Callable[[], None]) -> str | None:
    """The SHA-256 of a file if it is the one that the hub lists, else None."""
    if not path.is_file() or size_of(path) != file.size:
        return None
    sha256 = hashlib.sha256()
    listed = _hash_of(file)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            check_interrupt()
            sha256.update(chunk)
            if listed:
                listed.update(chunk)
    right = (listed or sha256).hexdigest() == file.checksum
    return sha256.hexdigest() if right else None


def _hash_of(file: hubs.HubFile) -> Any:
    """What makes the listed checksum, where that is not the SHA-256 that is made of every file."""
    if file.sha256:
        return None
    return hashlib.sha512() if file.sha512 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)


def disk_error(folder: Path, error: OSError) -> AigcError:
    if error.errno == errno.ENOSPC:
        return AigcError(f"Expected room in {folder}, but the disk is full. Free some; the download goes on from here.")
    return AigcError(f"Expected to write into {folder}, got {error}. Make the folder writable, or use another one.")


def _pause(seconds: float, check_interrupt: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check_interrupt()
        time.sleep(min(0.1, seconds))
