"""Models inside wheels that are installed in this Python. Nothing is ever installed from here."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path, PurePosixPath

from ..errors import AigcError
from .layout import INDEX, MODULAR_INDEX

NAME = re.compile(r"(?P<dist>[A-Za-z0-9][\w.-]*)(?:==(?P<version>[\w.+!-]+))?(?:/(?P<inside>.+))?")


def find(name: str) -> tuple[Path, str]:
    """The diffusers folder or .safetensors file in an installed wheel, and the wheel's version.

    name: "dist", "dist==1.0", or "dist/folder" when there are several models in it. Raises AigcError.
    """
    asked = NAME.fullmatch(name)
    if not asked:
        raise AigcError(f"Expected pypi:<wheel> or pypi:<wheel>/<folder>, got {name[:200]!r}. Write the wheel's name.")
    wheel = _installed(asked["dist"], asked["version"] or "")
    found = _models(wheel)
    if asked["inside"]:
        found = {inside: path for inside, path in found.items() if _names(asked["inside"], inside)}
    if len(found) != 1:
        inside = ", ".join(found or _models(wheel)) or "none"
        raise AigcError(
            f"Expected one model in the wheel {asked['dist']}, got {len(found)} for {name!r}. Choose one with "
            f"pypi:{asked['dist']}/<folder>; it holds: {inside[:400]}."
        )
    return next(iter(found.values())), wheel.version


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


def _models(wheel: metadata.Distribution) -> dict[str, Path]:
    """Diffusers folders, and .safetensors files outside of them, by their paths in the wheel."""
    files = [PurePosixPath(str(file)) for file in wheel.files or ()]
    folders = [file.parent for file in files if file.name in (INDEX, MODULAR_INDEX)]
    single = [file for file in files if file.suffix == ".safetensors" and not any(f in file.parents for f in folders)]
    found = {str(path): Path(str(wheel.locate_file(str(path)))) for path in sorted({*folders, *single})}
    return {name: path for name, path in found.items() if path.exists() and ".." not in PurePosixPath(name).parts}


def _names(asked: str, inside: str) -> bool:
    """Whether the path in the wheel is meant: in full, or by its end."""
    return f"/{inside}".endswith(f"/{asked.strip('/')}")
