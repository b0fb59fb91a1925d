"""The shipped model: seconds to load it, and to make four pictures once it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from ..figures import Absent, Figure
from ..models import pictogram
from ..process import run


def measure() -> Iterator[Figure]:
    folder = pictogram()
    if folder is None:
        raise Absent("models/pictogram has no weights here")
    answer = run("benchmarks.child", "pictogram", folder, 128, 15, "").answer
    yield Figure(
        "pictogram: load all parts", answer["load"], "s", bar=3.0,
        detail=f"CPU {answer['load_cpu']:.2f} s, diffusers' own imports apart ({answer['imports']:.2f} s)",
    )  # fmt: skip
    yield Figure(
        "pictogram: four pictures, 15 steps", answer["four"], "s", bar=2.0,
        detail=f"CPU {answer['four_cpu']:.2f} s; best of 3, one thread; encode, sample as one batch, decode; 128 px",
    )  # fmt: skip
