"""The host as a peer in a process of its own: ask it to decode, encode, draw noise or sample with its own nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


class Peer:
    """One ComfyUI process for many requests; start-up costs it several seconds, a request only its work."""

    def __init__(self, host_dir: Path, home: Path) -> None:
        self.home = home
        self.log = home / "host.log"
        self._log_file = self.log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("host_side.py")), str(host_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            text=True,
        )

    def ask(self, what: str, **given: Any) -> dict[str, Any]:
        """Have the host do `what`. Raises RuntimeError with the host's traceback when it fails."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"do": what, "given": str(self.home / "given.pt"), "reply": str(self.home / "reply.pt")}
        torch.save(given, request["given"])
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        word, _, rest = self._process.stdout.readline().strip().partition(" ")
        if word != "ok":
            said = json.loads(rest) if rest else self.log.read_text(encoding="utf-8")
            raise RuntimeError(f"The host failed at {what!r}:\n{said[-4000:]}")
        return torch.load(request["reply"], weights_only=True)

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log_file.close()
