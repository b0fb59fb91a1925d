"""What the trainer costs beside a plain torch loop of the same GAN: CPU time and peak memory, median of 5 interleaved pairs."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from ..figures import Figure
from ..process import run

PAIRS, STEPS = 5, 300


def measure() -> Iterator[Figure]:
    pairs = [
        [run("benchmarks.training_child", which, STEPS).answer for which in ("ours", "plain")] for _ in range(PAIRS)
    ]
    assert all(ours["weights"] == plain["weights"] for ours, plain in pairs), "both must train the same network"
    times = [ours["seconds"] / plain["seconds"] for ours, plain in pairs]
    peaks = [ours["peak"] / plain["peak"] for ours, plain in pairs]
    seconds = median(plain["seconds"] for _, plain in pairs)
    yield Figure(
        "trainer against a plain loop: CPU time", median(times), "x", bar=1.03,
        detail=f"{min(times):.3f} to {max(times):.3f}, weights equal; {STEPS} steps take the plain loop {seconds:.1f} s",
    )  # fmt: skip
    yield Figure(
        "trainer against a plain loop: peak memory", median(peaks), "x", bar=1.05, detail="resident, whole process"
    )
