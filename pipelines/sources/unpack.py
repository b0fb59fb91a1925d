"""A package's archive unpacked: data only, nothing outside its folder, nothing larger than it says."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import AigcError
from .download import CHUNK
from .layout import contained
from .manifest import FileRecord

# What could be run or imported stays in the archive: a package is read as data, whatever else is in it.
CODE = {
    ".bat", ".bundle", ".cjs", ".cmd", ".com", ".dll", ".dylib", ".exe", ".js", ".jsx", ".lib", ".map", ".mjs", ".msi", ".node",
    ".ps1", ".py", ".pyc", ".pyd", ".pyi", ".pyw", ".pyx", ".sh", ".so", ".ts", ".tsx", ".vbs", ".wasm",
}  # fmt: skip
LARGEST = 64 * 2**30  # bytes unpacked


def unpack(archive: Path, folder: Path, check_interrupt: Callable[[], None]) -> dict[str, FileRecord]:
    """Write the data of a wheel or of an npm archive below `folder`; returns each file's size and checksum.

    Raises AigcError for a damaged archive, a name that leads elsewhere, a link, or a file that is longer than it says.
    """
    members = _zipped if archive.suffix == ".whl" else _tarred
    try:
        return {name: _write(source, size, folder / name, check_interrupt) for name, size, source in members(archive)}
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise AigcError(
            f"Expected a whole archive in {archive.name}, got {error}. Delete it, and download it again."
        ) from error


def _zipped(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        members = [member for member in wheel.infolist() if not member.is_dir()]
        _check(archive, [(m.filename, m.file_size, _is_plain(m)) for m in members])
        for member in members:
            if _is_data(member.filename):
                with wheel.open(member) as source:
                    yield member.filename, member.file_size, source


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """Whether it is a file that needs no password; the upper bits are Unix's kind of file, 0 where another system wrote."""
    return (member.external_attr >> 28) in (0, 8) and not member.flag_bits & 1


def _tarred(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """An npm archive has one folder around everything, mostly "package"."""
    with tarfile.open(archive, "r:gz") as package:
        total = 0
        for member in package:
            if member.isdir():
                continue
            total += member.size
            _check(archive, [(member.name, total, member.isreg())])
            name = member.name.partition("/")[2]
            source = package.extractfile(member) if name and _is_data(name) else None
            if source is not None:
                yield name, member.size, source


def _check(archive: Path, members: list[tuple[str, int, bool]]) -> None:
    for name, _, plain in members:
        if not plain or not contained(name):
            raise AigcError(
                f"Expected plain files inside their folder in {archive.name}, got {name[:200]!r}. Use another mirror."
            )
    if sum(size for _, size, _ in members) > LARGEST:
        raise AigcError(f"Expected at most {LARGEST >> 30} GB in {archive.name}, it says more. Use another package.")


def _is_data(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() not in CODE


def _write(source: IO[bytes], size: int, target: Path, check_interrupt: Callable[[], None]) -> FileRecord:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, written = hashlib.sha256(), 0
    with target.open("wb") as out:
        while chunk := source.read(CHUNK):
            check_interrupt()
            written += len(chunk)
            if written > size:
                break
            digest.update(chunk)
            out.write(chunk)
    if written != size:
        raise AigcError(f"Expected {size} bytes of {target.name}, its archive has another number. Download it again.")
    return FileRecord(size, digest.hexdigest())
