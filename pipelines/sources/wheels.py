"""Models inside packages: wheels that are installed in this Python, and unpacked ones. Nothing is ever installed from here."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path, PurePosixPath

from ..errors import AigcError
from .layout import INDEX, MODULAR_INDEX
from .places import DENOISERS

NAME = re.compile(r"(?P<dist>[A-Za-z0-9][\w.-]*)(?:==(?P<version>[\w.+!-]+))?(?:/(?P<inside>.+))?")


def find(name: str) -> tuple[Path, str]:
    """The diffusers folder or .safetensors file in an installed wheel, and the wheel's version.

    name: "dist", "dist==1.0", or "dist/folder" when there are several models in it. Raises AigcError.
    """
    asked = NAME.fullmatch(name)
    if not asked:
        raise AigcError(f"Expected pypi:<wheel> or pypi:<wheel>/<folder>, got {name[:200]!r}. Write the wheel's name.")
    wheel = _installed(asked["dist"], asked["version"] or "")
    files = [PurePosixPath(str(file)) for file in wheel.files or ()]
    found = {name: Path(str(wheel.locate_file(name))) for name in _models(files)}
    return _one(f"pypi:{asked['dist']}", asked["inside"] or "", found), wheel.version


def is_installed(name: str) -> bool:
    """Whether there is such a wheel in this Python, of whatever version."""
    asked = NAME.fullmatch(name)
    return bool(asked) and next(iter(metadata.distributions(name=asked["dist"])), None) is not None  # pyright: ignore[reportOptionalSubscript]


def find_unpacked(source: str, folder: Path, inside: str) -> Path:
    """The model in an unpacked package, as `find` finds one; what is no model is meant by its whole path."""
    if inside and (folder / inside).is_file():
        return folder / inside
    files = [PurePosixPath(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()]
    return _one(source, inside, {name: folder / name for name in _models(files)})


def _one(source: str, inside: str, models: dict[str, Path]) -> Path:
    here = {name: path for name, path in models.items() if path.exists()}
    found = {name: path for name, path in here.items() if not inside or _names(inside, name)}
    if len(found) != 1:
        raise AigcError(
            f"Expected one model in the package {source}, got {len(found)} for {inside or 'the whole of it'!r}. Choose one "
            f"with {source}/<folder>; it holds: {', '.join(here)[:400] or 'none'}."
        )
    return next(iter(found.values()))


def inside(dist: str, version: str, path: str) -> Path | None:
    """A file or folder of an installed wheel, by its whole path in it; None when the wheel or the path is not there."""
    try:
        wheel = metadata.distribution(dist)
    except metadata.PackageNotFoundError:
        return None
    files = [PurePosixPath(str(file)) for file in wheel.files or ()]
    has = any(PurePosixPath(path) in (file, *file.parents) for file in files if ".." not in file.parts)
    found = Path(str(wheel.locate_file(path)))
    return found if has and (not version or wheel.version == version) and found.exists() else None


def _installed(dist: str, version: str) -> metadata.Distribution:
    try:
        wheel = metadata.distribution(dist)
    except metadata.PackageNotFoundError:
        raise AigcError(
            f"Expected the wheel {dist} in this Python, but it is not installed. Install it with "
            f"`pip install --no-deps {dist}` in ComfyUI's Python and restart ComfyUI."
        ) from None
    if version and wheel.version != version:
        raise AigcError(
            f"Expected version {version} of the wheel {dist}, but {wheel.version} is installed. Install that version, "
            f"or leave the version out."
        )
    return wheel


def _models(files: list[PurePosixPath]) -> list[str]:
    """Diffusers folders, and .safetensors and .gguf files outside of them, among the paths of a package."""
    folders = [file.parent for file in files if file.name in (INDEX, MODULAR_INDEX)]
    single = [file for file in files if file.suffix in DENOISERS and not any(f in file.parents for f in folders)]
    return [str(path) for path in sorted({*folders, *single}) if ".." not in path.parts]


def _names(asked: str, inside: str) -> bool:
    """Whether the path in the wheel is meant: in full, or by its end."""
    return f"/{inside}".endswith(f"/{asked.strip('/')}")
