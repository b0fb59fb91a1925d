"""Scores a folder in a process of its own: `python -m benchmarks.folder_child <judge> <folder> <count>`.

Prints the seconds, and the highest resident memory before the first picture and at the end.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from .process import peak_now


def main(judge: str, place: str, count: str) -> None:
    from pipelines.payloads import Discriminator
    from pipelines.runtime import Runtime
    from pipelines.score import folder, judges, pictures

    runtime = Runtime("cpu")
    discriminator = Discriminator(judges.BUILT_IN[judge][1], judge)
    files = pictures.listed(place, Path(place))[: int(count)]
    folder.score(discriminator, files[:16], runtime=runtime)  # opens the judge and fills what the allocator keeps
    start, begun = peak_now(), time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        found = folder.score(discriminator, files, Path(home) / "t.csv", runtime=runtime)
    seconds = time.perf_counter() - begun
    answer = {"seconds": seconds, "scored": len(found.scores.values), "threads": torch.get_num_threads()}
    print(json.dumps({**answer, "start": start, "peak": peak_now()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
