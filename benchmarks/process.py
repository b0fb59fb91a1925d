"""Run a module in a process of its own and see how much memory it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figures import ROOT

SAMPLE_SECONDS = 0.01
# On cores that others use as well, several threads spend their time waiting for each other: one repeats better.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def status(pid: int | str = "self") -> dict[str, int]:
    """The memory lines of /proc/<pid>/status in bytes; empty where there is no /proc."""
    found = {}
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        key, _, value = line.partition(":")
        if key in ("VmHWM", "VmRSS", "RssAnon", "RssFile"):
            found[key] = int(value.split()[0]) * 1024
    return found


@dataclass(frozen=True)
class Ran:
    """What a child process answered and took. peak: highest resident memory; anonymous: its part that is no file's."""

    answer: Any
    peak: int
    anonymous: int
    seconds: float


def run(module: str, *arguments: Any, timeout: float = 900) -> Ran:
    """`python -m module arguments...`; the last line of its output is its answer as JSON.

    Raises RuntimeError with the end of its error output when it fails.
    """
    begun = time.perf_counter()
    command = [sys.executable, "-m", module, *(str(a) for a in arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", **ONE_THREAD}
    peak = anonymous = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=err)
        while child.poll() is None:
            seen = status(child.pid)
            peak, anonymous = max(peak, seen.get("VmHWM", 0)), max(anonymous, seen.get("RssAnon", 0))
            if time.perf_counter() - begun > timeout:
                child.kill()
            time.sleep(SAMPLE_SECONDS)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise RuntimeError(f"{' '.join(command[1:])} ended with {child.returncode}:\n{err.read()[-3000:]}")
        answer = json.loads(out.read().strip().splitlines()[-1])
    return Ran(answer, max(peak, answer.get("peak", 0)), anonymous, time.perf_counter() - begun)


def peak_now() -> int:
    """This process's highest resident memory so far, in bytes."""
    seen = status()
    if "VmHWM" in seen:
        return seen["VmHWM"]
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
