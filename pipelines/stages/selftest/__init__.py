"""A class that the coverage table has not proved for this diffusers is compared on a miniature once, on first use.

The comparison runs in a process of its own at low priority, with a time limit, after a picture was sampled: nothing
waits for it, and nothing that fails in it is seen. Its result is remembered beside our other caches, by diffusers
version and class. `AIGC_SELFTEST=0` turns it off.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ...payloads import Model

LIMIT_SECONDS = 300.0  # at the lowest priority beside a busy host
NICE = 15
# Below this no picture changes visibly (1/255 is 4e-3); torch may order sums otherwise from one shape to the next.
TOLERANCE = 1e-5
ROOT = Path(__file__).resolve().parents[3]
SWITCH = "AIGC_SELFTEST"
_log = logging.getLogger(__name__)
_seen: set[str] = set()


def begin(model: Model) -> threading.Thread | None:
    """Compare this model's class if that was never done; returns the thread that waits for it, or None. Never raises."""
    name = model.pipeline_class
    if name in _seen or os.environ.get(SWITCH) == "0":
        return None
    _seen.add(name)
    try:
        return _begin(model)
    except Exception:
        _log.debug("no self-test of %s", name, exc_info=True)
    return None


def _begin(model: Model) -> threading.Thread | None:
    import diffusers

    name = model.pipeline_class
    if (not model.config.is_dir()) or model.single_file or name in proved(diffusers.__version__):
        return None
    note = remembered(diffusers.__version__, name)
    if note.is_file():
        report(name, json.loads(note.read_text("utf-8")))
        return None
    note.parent.mkdir(parents=True, exist_ok=True)
    # Written first: a miniature that takes the process down or too long is not tried again.
    note.write_text(json.dumps({"outcome": "begun"}), "utf-8")
    thread = threading.Thread(target=_watch, args=(name, _start(model, note), note), daemon=True, name="aigc-selftest")
    thread.start()
    return thread


@functools.cache
def proved(version: str) -> frozenset[str]:
    """The classes that the shipped coverage table has as exact with this diffusers."""
    table = json.loads((Path(__file__).parent / "proved.json").read_text("utf-8"))
    return frozenset(table["exact"] if table["diffusers"] == version else ())


def remembered(version: str, name: str) -> Path:
    """The file that keeps a class's result."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "aigc-nodes" / "selftest" / version / f"{name}.json"


def _start(model: Model, note: Path) -> subprocess.Popen[Any]:
    """The comparing process. The path is set by hand: an embedded Python (ComfyUI's portable) reads no PYTHONPATH."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pipelines.stages.selftest import child; child.main(*sys.argv[2:])"
    words = (str(ROOT), str(model.config), model.pipeline_class, str(note))
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    alone = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", SWITCH: "0"}
    # A session of its own: Ctrl-C in the host's terminal is not meant for it.
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], env={**os.environ, **alone}, start_new_session=True, **quiet
    )
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    return process


def _watch(name: str, process: subprocess.Popen[Any], note: Path) -> None:
    try:
        process.wait(LIMIT_SECONDS)
        report(name, json.loads(note.read_text("utf-8")))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        _log.debug("the self-test of %s took longer than %.0f s", name, LIMIT_SECONDS)
    except Exception:
        _log.debug("no self-test of %s", name, exc_info=True)


def report(name: str, result: dict[str, Any]) -> None:
    """Warn about a class whose stages differ from the whole; anything else is only logged for debugging."""
    if result.get("outcome") != "differs":
        _log.debug("self-test of %s: %s", name, result)
        return
    _log.warning(
        "AIGC Nodes: %s gives another result in stages than in diffusers' own call (%s, on a miniature with random "
        "weights). Pictures may differ from diffusers' own; please report the class and your diffusers version. "
        "%s=0 turns this test off.",
        name, result.get("by", ""), SWITCH,
    )  # fmt: skip
