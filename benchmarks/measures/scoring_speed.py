"""Scoring 1,000 pictures of 256 px from a folder with every built-in judge of pictures: seconds, and how memory grows.

Growth is measured within one process, from picture 1,000 to 2,000: before that, the C library keeps freed blocks until it
has as many as the work needs, and the peaks of two processes differ by more than one grows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..figures import Absent, Figure
from ..process import run

MANY, MORE, SIDE, MB = 1000, 2000, 256, 1e6


def pictures(folder: Path) -> None:
    """Smooth noise and edges as JPEG: as large on disk as photographs of this size."""
    import numpy as np
    from PIL import Image

    dice = np.random.default_rng(0)
    for i in range(MORE):
        coarse = Image.fromarray(dice.integers(0, 255, (16, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(np.int16)
        grain = dice.integers(-12, 12, (SIDE, SIDE, 1))
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(folder / f"{i:04}.jpg", quality=92)


def judges() -> list[str]:
    """Of pictures, by themselves: no prompt, no reference."""
    from pipelines.score.judges import BUILT_IN

    specs = {name: spec for name, (_, spec) in BUILT_IN.items()}
    return [n for n, s in specs.items() if s.modality == "image" and not (s.needs_prompt or s.needs_reference)]


def measure() -> Iterator[Figure]:
    total, growth, said = 0.0, {}, []
    with tempfile.TemporaryDirectory() as home:
        pictures(Path(home))
        for name in judges():
            try:
                ran = run("benchmarks.folder_child", name, home, MORE).answer
            except RuntimeError as error:
                if "AigcError" not in str(error):
                    raise
                said.append(f"{name} left out: its package is not here")
                continue
            half, whole = ran["half"], ran["whole"]
            assert whole["scored"] == MORE
            seconds = half["seconds"] * MANY / half["scored"]
            total += seconds
            growth[name] = (whole["peak"] - half["peak"]) / MB
            said.append(f"{name} {seconds:.1f} s")
    if not growth:
        raise Absent("no built-in judge of pictures could be opened")
    yield Figure(
        f"score {MANY} pictures of {SIDE} px, {len(growth)} judges", total, "s", bar=60,
        detail=f"one thread, each read from its file anew; {', '.join(said)}",
    )  # fmt: skip
    most = max(growth, key=lambda name: growth[name])
    yield Figure(
        f"peak memory at {MORE} over that at {MANY}", growth[most], "MB", bar=16,
        detail=f"of the judge that grows most, {most}; a batch of 16 is {16 * 3 * 4 * SIDE**2 / MB:.1f} MB",
    )  # fmt: skip
