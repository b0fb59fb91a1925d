"""Tiny trainings for the tests: what they are stopped by, and when two of them are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pipelines.payloads import Dataset
from pipelines.runtime import Runtime
from pipelines.train import checkpoint, metrics, run

from .picture_files import dataset

CPU = Runtime("cpu")


class Stop(Exception):
    pass


def stop_at(*steps: int) -> dict[str, Any]:
    """The arguments of a sitting that is stopped after these steps."""

    def on_step(step: int, total: int, sitting: run.Sitting) -> None:
        if step in steps:
            raise Stop

    return {"on_step": on_step, "stops": (Stop,), "runtime": CPU}


def pictures(path: Path, count: int = 40, side: int = 16) -> Dataset:
    return dataset(path, count, side, side)


def same(a: Path, b: Path) -> None:
    """Weights, averages, moments, memory and the log of two runs, bit for bit; seconds aside."""
    (x, facts), (y, others) = (checkpoint.read(folder / run.LAST) for folder in (a, b))
    assert {**facts, "seconds": 0} == {**others, "seconds": 0} and x.keys() == y.keys()
    assert all(torch.equal(x[name], y[name]) for name in x)
    rows = [[{**row, "seconds": 0} for row in metrics.read(folder)] for folder in (a, b)]
    assert rows[0] == rows[1]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {f"{path.parent.name}/{k}": v for path in folder.rglob("*.safetensors") for k, v in load_file(path).items()}


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
