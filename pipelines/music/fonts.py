"""Whose instruments play: a soundfont when it can be had, else strings by formula, and why."""

from __future__ import annotations

from pathlib import Path

from ..errors import AigcError
from ..sources import registry
from ..sources.places import Roots
from ..sources.watch import Watch
from . import synth
from .performance import SOUNDS

INSTALL = "Install it with `pip install 'symusic>=0.5,!=0.6.0'` in ComfyUI's Python and restart ComfyUI."


def font(wanted: str, roots: Roots, watch: Watch | None = None) -> tuple[Path | None, str]:
    """(the soundfont, "") or (None, why not). Raises AigcError when a soundfont is asked for and cannot be had."""
    if wanted not in SOUNDS:
        raise AigcError(f"Expected a sound of {', '.join(SOUNDS)}, got '{wanted}': choose one of them.")
    if wanted == SOUNDS[2]:
        return None, ""
    try:
        if synth.renderer() is None:
            raise AigcError(f"Expected symusic, which plays soundfonts, but it cannot be imported. {INSTALL}")
        return registry.fetch(synth.SOUNDFONT, roots, watch=watch), ""
    except AigcError as error:
        if wanted == SOUNDS[1]:
            raise
        return None, str(error)
