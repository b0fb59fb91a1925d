"""A pipeline for one run: its scheduler replaced by a watched one, or its own loop watched where it has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import AigcError
from ..schedulers import DEFAULT, Watch, watched
from .replay import shadowed


@contextmanager
def scheduled(pipe: Any, name: str, watch: Watch) -> Iterator[None]:
    """Tell `watch` of the pipeline's steps, driven by the named scheduler.

    Raises AigcError for another than DEFAULT on a pipeline that keeps its schedule to itself.
    """
    if hasattr(pipe, "scheduler"):
        own = pipe.scheduler
        try:
            pipe.scheduler = watched(own, name, watch)
            yield
        finally:
            pipe.scheduler = own
        return
    if name != DEFAULT:
        raise AigcError(
            f"Expected {DEFAULT!r} for {type(pipe).__name__}, which keeps its schedule to itself, got {name!r}: set it back."
        )
    with shadowed(pipe, "watch", watch):
        yield
