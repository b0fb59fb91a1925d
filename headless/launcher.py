"""Runs ComfyUI's main.py in this process and ends with the parent: launcher.py HOST_DIR [ARGUMENTS].

The parent holds the other end of stdin and never writes. When it dies, however it dies, stdin ends, and so
do we.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from pathlib import Path


def _end_with_parent() -> None:
    # The raw descriptor: a thread blocked in sys.stdin would hold its lock through the shutdown.
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    host_dir = Path(sys.argv[1]).resolve()
    script = str(host_dir / "main.py")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(host_dir)
    sys.path[0] = str(host_dir)  # otherwise this folder's modules would shadow the host's
    sys.argv = [script, *sys.argv[2:]]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
