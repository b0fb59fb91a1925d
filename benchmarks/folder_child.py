"""Scores a folder in a process of its own: `python -m benchmarks.folder_child <judge> <folder> <count>`.

Prints the seconds and the highest resident memory at half of the pictures and at the end.
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
    begun, half = time.perf_counter(), {}

    def on_picture(done: int, total: int) -> None:
        if done >= total / 2 and not half:
            half.update(seconds=time.perf_counter() - begun, scored=done, peak=peak_now())

    with tempfile.TemporaryDirectory() as home:
        found = folder.score(discriminator, files, Path(home) / "t.csv", on_picture=on_picture, runtime=runtime)
    whole = {"seconds": time.perf_counter() - begun, "scored": len(found.scores.values), "peak": peak_now()}
    print(json.dumps({"half": half, "whole": whole, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
