"""How long work is watched: progress out, the user's stop in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """progress(done, total, file): bytes so far and in all, a few times a second. check_interrupt raises to stop."""

    progress: Callable[[int, int, str], None] = _nothing
    check_interrupt: Callable[[], None] = _nothing
