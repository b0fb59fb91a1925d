"""The index and the registry that the user's pip and npm are set to; neither program is run, and no login is read."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def pip(name: str) -> str:
    """One of pip's settings, such as "index-url", as pip finds it: the environment, then its files; "" without one."""
    said = os.environ.get(f"PIP_{name.replace('-', '_').upper()}", "")
    return said or next((value for file in _pip_files() if (value := _in_ini(file, name))), "")


def npm(name: str) -> str:
    """One of npm's settings, such as "registry" or "@scope:registry"; "" without one."""
    said = os.environ.get(f"npm_config_{name}") or os.environ.get(f"NPM_CONFIG_{name.upper()}", "")
    own = os.environ.get("npm_config_userconfig") or os.environ.get("NPM_CONFIG_USERCONFIG")
    return said or _in_npmrc(Path(own) if own else Path.home() / ".npmrc", name)


def _pip_files() -> Iterator[Path]:
    """pip's files, the strongest first."""
    given = os.environ.get("PIP_CONFIG_FILE", "")
    if given == os.devnull:
        return
    if given:
        yield Path(given)
    ending = "pip.ini" if sys.platform == "win32" else "pip.conf"
    yield Path(sys.prefix) / ending
    home = Path.home()
    if sys.platform == "win32":
        yield from (Path(os.environ.get("APPDATA", home)) / "pip" / ending, home / "pip" / ending)
        yield Path(os.environ.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / ending
        return
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "pip" / ending
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / ending
    yield home / ".pip" / ending
    for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / ending
    yield Path("/etc") / ending


def _in_ini(file: Path, name: str) -> str:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeError):
        return ""
    for section in ("download", "install", "global"):
        if value := parser.get(section, name, fallback="") or parser.get(section, name.replace("-", "_"), fallback=""):
            return value.strip()
    return ""


def _in_npmrc(file: Path, name: str) -> str:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeError):
        return ""
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";")))
    known = {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return known.get(name, "")
