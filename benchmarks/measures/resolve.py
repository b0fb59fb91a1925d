"""Packages of ComfyUI's own requirements that ours change, by pip's resolver and the package index; installs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..figures import ROOT, Absent, Figure


def measure() -> Iterator[Figure]:
    host = _host_requirements()
    alone, together = _resolved(host), _resolved(host, ROOT / "requirements.txt")
    changed = {name: (version, together.get(name)) for name, version in alone.items() if together.get(name) != version}
    yield Figure(
        "packages of ComfyUI that our requirements change", len(changed), bar=0,
        detail=f"{len(alone)} alone, {len(together)} together"
        + "".join(f"; {name} {then} to {now}" for name, (then, now) in sorted(changed.items())),
    )  # fmt: skip


def _host_requirements() -> Path:
    from headless.install import ensure_host

    return ensure_host() / "requirements.txt"


def _resolved(*files: Path) -> dict[str, str]:
    """What an empty environment would get for these files: name -> version."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report"]
        command += [str(report), *(word for file in files for word in ("-r", str(file)))]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, env={**os.environ, "PIP_NO_INPUT": "1"}
        )
        if done.returncode:
            raise Absent(f"pip resolved nothing (no index?): {done.stderr.strip()[-200:]}")
        items = json.loads(report.read_text("utf-8"))["install"]
    return {item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in items}
