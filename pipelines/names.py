"""Names that users give to files and folders."""

from __future__ import annotations

from .errors import AigcError


def checked(name: str, what: str) -> str:
    """`name` without spaces around it. Raises AigcError for one that is no file name on every system; what: "the judge's file"."""
    name = name.strip()
    if not name or name.startswith(".") or any(sign in name for sign in '/\\:*?"<>|') or len(name) > 100:
        raise AigcError(f"Expected a name for {what}, got '{name}': use letters, digits and spaces.")
    return name
