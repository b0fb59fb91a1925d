"""One progress bar over all the runs of a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..stages.sample import OnStep


class Progress:
    """Counts steps of rows. work: how many there will be, at `steps` a whole row; `rows` are at work now."""

    def __init__(self, on_step: OnStep | None, work: float, steps: int) -> None:
        self.on_step, self.work, self.steps = on_step, max(1, round(work)), steps
        self.rows, self.done = 0, 0.0

    def __call__(self, step: int, total: int, preview: Callable[[], Any]) -> None:
        self.done += self.rows * self.steps / total
        if self.on_step is not None:
            self.on_step(min(round(self.done), self.work), self.work, preview)
