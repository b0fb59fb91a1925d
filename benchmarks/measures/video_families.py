"""Families of video, staged against diffusers' own call on miniatures; LTX-2's sound is compared in the tests."""

from __future__ import annotations

from collections.abc import Iterator

from ..coverage import compare
from ..figures import Figure

NAMES = (
    "WanPipeline", "WanImageToVideoPipeline", "LTXPipeline", "LTX2Pipeline", "HunyuanVideo15Pipeline", "CogVideoXPipeline",
    "AnimateDiffPipeline",
)  # fmt: skip


def measure() -> Iterator[Figure]:
    rows = {name: compare.measure(name) for name in NAMES}
    other = [f"{name}: {row['verdict']}" for name, row in rows.items() if row["verdict"] != "exact"]
    yield Figure(
        "families of video that are not exact", len(other), bar=0, detail="; ".join(other) or f"of {len(rows)}"
    )
