"""One class after another, each in a process of its own: forked, so that the imports are paid once."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

LIMIT_SECONDS, LIMIT_BYTES = 240.0, 8 << 30


def row(name: str, seconds: float = LIMIT_SECONDS) -> dict[str, Any]:
    """The measured row of a class, or what stopped it."""
    start = time.monotonic()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _work(name, write)
    os.close(write)
    ended = _waited(child, start + seconds)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    if text:
        return {"name": name, "seconds": round(time.monotonic() - start, 1), **json.loads(text)}
    why = f"no answer: {ended}"
    return {"name": name, "verdict": "not called", "note": why, "seconds": round(time.monotonic() - start, 1)}


def _work(name: str, write: int) -> None:
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        if not os.environ.get("COVERAGE_LOUD"):
            os.dup2(null, 2)
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
        from . import compare

        os.write(write, json.dumps(compare.measure(name)).encode()[:60000])
    finally:
        os._exit(0)


def _waited(child: int, until: float) -> str:
    while time.monotonic() < until:
        got, status = os.waitpid(child, os.WNOHANG)
        if got:
            return f"status {status}"
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time limit"


def prepare() -> None:
    """Import what every class needs, quietly and on one thread."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    import diffusers
    import torch
    import transformers

    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    import diffusers.pipelines.auto_pipeline
    import transformers.models.clip
    import transformers.models.t5

    from pipelines import stages  # noqa: F401


def done(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of a JSON-lines file by name; a later row of a class replaces an earlier one."""
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
    return {r["name"]: r for r in rows}
