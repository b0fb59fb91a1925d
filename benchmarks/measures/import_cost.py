"""What loading the pack costs a host that has imported its own modules; median of 5 processes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from ..figures import HERE, ROOT, Figure

PROCESSES = 5


def measure() -> Iterator[Figure]:
    from headless.install import ensure_host

    command = [sys.executable, str(HERE / "host_import.py"), str(ensure_host()), str(ROOT)]
    answers = []
    for _ in range(PROCESSES):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        answers.append(json.loads(done.stdout.strip().splitlines()[-1]))

    def middle(what: str, clock: int) -> float:
        return statistics.median(answer[what][clock] for answer in answers)

    yield Figure(
        "import of the pack and its node list", middle("all_ms", 1), "ms", bar=100,
        detail=f"CPU time; wall {middle('all_ms', 0):.0f} ms; import alone {middle('import_ms', 1):.0f} ms CPU; "
        f"{answers[0]['nodes']} nodes, {answers[0]['new_modules']} new modules",
    )  # fmt: skip
    heavy = sorted({name for answer in answers for name in answer["heavy"]})
    yield Figure("heavy libraries imported with it", len(heavy), bar=0, detail=", ".join(heavy))
