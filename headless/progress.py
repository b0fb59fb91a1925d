"""What a person sees on stderr while a workflow runs: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from .convert import Prompt
from .events import Event

WIDTH = 24
PLAIN_SECONDS = 5.0


class Progress:
    """Takes the client's events; `close()` leaves the terminal on a fresh line."""

    def __init__(self, prompt: Prompt, stream: TextIO | None = None) -> None:
        self.prompt = prompt
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.done: set[str] = set()
        self.node = ""
        self.step = (0.0, 0.0)
        self.drawn = False
        self.said_at = 0.0

    def __call__(self, event: Event) -> None:
        data = event.data
        if event.kind == "execution_cached":
            self.done.update(map(str, data.get("nodes") or []))
        elif event.kind == "executing":
            self._enter(str(data.get("display_node") or data.get("node") or ""))
        elif event.kind == "executed":
            self.done.add(str(data.get("node")))
        elif event.kind == "progress":
            self.step = (float(data.get("value") or 0), float(data.get("max") or 0))
            self._show(finished=self.step[0] >= self.step[1])
        elif event.kind == "progress_state":
            self._state(data.get("nodes") or {})

    def _enter(self, node: str) -> None:
        if self.node and node != self.node:
            self.done.add(self.node)
        self.node, self.step = node, (0.0, 0.0)
        self._show(finished=True)

    def _state(self, nodes: dict[str, dict]) -> None:
        for id, state in nodes.items():
            if state.get("state") == "finished":
                self.done.add(id)
            elif state.get("state") == "running" and (state.get("max") or 0) > 1:
                self.step = (float(state.get("value") or 0), float(state["max"]))
                self._show()

    @property
    def fraction(self) -> float:
        within = self.step[0] / self.step[1] if self.step[1] else 0.0
        known = len(self.done & set(self.prompt) - {self.node})
        return min(1.0, (known + min(within, 1.0)) / max(1, len(self.prompt)))

    def _label(self) -> str:
        node = self.prompt.get(self.node.split(".")[0], {})
        title = (node.get("_meta") or {}).get("title") or node.get("class_type") or self.node
        steps = f" {self.step[0]:.0f}/{self.step[1]:.0f}" if self.step[1] > 1 else ""
        return f"{title}{steps}"

    def _show(self, finished: bool = False) -> None:
        if not self.node:
            return
        if self.live:
            filled = round(self.fraction * WIDTH)
            line = f"[{'#' * filled}{'-' * (WIDTH - filled)}] {self.fraction:4.0%} {self._label()}"
            columns = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[K{line[: columns - 1]}")
            self.drawn = True
        elif finished or time.monotonic() - self.said_at > PLAIN_SECONDS:
            self.said_at = time.monotonic()
            self._write(f"{self.fraction:4.0%} {self._label()}\n")

    def close(self) -> None:
        if self.drawn:
            self._write("\r\x1b[K")
            self.drawn = False

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            self.stream.write(text.encode("ascii", "replace").decode())
        self.stream.flush()
