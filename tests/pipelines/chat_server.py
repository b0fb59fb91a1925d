"""A small server with OpenAI's interface on loopback; what it answers is a function of the request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), sent))
        self.server.answers[min(len(self.server.asked), len(self.server.answers)) - 1](self)

    def reply(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: list[Answer]
    asked: list[tuple[str, dict[str, str], dict[str, Any]]]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(*answers: Answer) -> Iterator[Server]:
    """Answers in their order, the last one for ever; `asked` has what came."""
    with Server(("127.0.0.1", 0), Handler) as running:
        running.answers, running.asked = list(answers), []
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


def events(*pieces: str) -> bytes:
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    lines = [": comment", *(f"data: {json.dumps(chunk)}" for chunk in [{"choices": []}, *chunks])]
    return "\n\n".join(lines).encode() + b"\n\n"


def words(*pieces: str, end: bytes = b"data: [DONE]\n\n") -> Answer:
    return lambda handler: handler.reply(200, events(*pieces) + end, "text/event-stream")


def refusal(status: int, message: str, param: str | None = None, **headers: str) -> Answer:
    said = json.dumps({"error": {"message": message, "param": param}}).encode()
    return lambda handler: handler.reply(status, said, "application/json", **headers)
