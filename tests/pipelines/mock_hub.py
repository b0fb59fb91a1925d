"""A small hub on loopback: both hubs' lists of files, downloads with ranges, and everything that can go wrong."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pipelines.sources import Roots, Watch, download, resolve

REPO, SHA = "maker/tiny", "0123456789" * 4
BIG = "unet/diffusion_pytorch_model.safetensors"


def some_files(seed: int = 0) -> dict[str, bytes]:
    """A diffusers folder by its names; nothing here reads the weights."""
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    return {
        "model_index.json": json.dumps(index).encode(),
        "README.md": b"---\nlicense: apache-2.0\n---\nA model.\n",
        "unet/config.json": b"{}",
        "unet/empty.txt": b"",
        BIG: random.Random(seed).randbytes(3_000_000),
    }


def undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, no login, no proxy, no network but loopback, and short pauses."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(download, "PAUSE", 0.01)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)


def pull(roots: Roots, text: str = f"hf:{REPO}", revision: str = "", watch: Watch | None = None) -> Path:
    return resolve(text, roots, revision=revision, download=True, watch=watch).path


def same(folder: Path, hub: Hub) -> bool:
    return all((folder / name).read_bytes() == data for name, data in hub.files.items())


@dataclass
class Hub:
    """What the hub serves and how it behaves; tests change it while it runs."""

    files: dict[str, bytes]
    revision: str = SHA
    licence: str = "mit"
    refuse: tuple[int, str] | None = None  # status and X-Error-Code of everything
    refuse_files: tuple[int, str] | None = None
    cuts: list[int] = field(default_factory=list)  # absolute offsets at which a download breaks off, each once
    ranges: bool = True
    wrong: dict[str, bytes] = field(default_factory=dict)  # served instead of what is listed
    redirect: str = ""  # where downloads are sent
    slow: float = 0.0  # seconds before each 64 kB
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # (path, Range header) of every GET
    logins: list[str] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)  # bytes sent by file

    def downloads(self, name: str) -> list[str]:
        return [span for path, span in self.asked if path.endswith(f"/{name}")]


def listed(hub: Hub) -> dict[str, Any]:
    return {"id": REPO, "sha": hub.revision, "cardData": {"license": hub.licence}, "siblings": siblings(hub.files)}


def siblings(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """As the Hugging Face hub lists them with blobs=true: SHA-256 for large files, git's own id for the others."""
    found = []
    for name, data in files.items():
        entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_oid(data)}
        if name.endswith(".safetensors"):
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        found.append(entry)
    return found


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def modelscope(hub: Hub, revision: str) -> dict[str, Any]:
    if revision not in ("master", hub.revision):
        return {"Code": 200, "Success": True, "Data": {"Files": None, "LatestCommitter": None}}
    blobs = [
        {
            "Path": name, "Name": name.split("/")[-1], "Type": "blob", "Size": len(data),
            "Sha256": hashlib.sha256(data).hexdigest(), "Revision": hub.revision,
        }
        for name, data in hub.files.items()
    ]  # fmt: skip
    folders = [{"Path": "unet", "Name": "unet", "Type": "tree", "Size": 0, "Sha256": ""}]
    latest = {"Id": "", "ShortId": hub.revision[:8]}
    return {"Code": 200, "Success": True, "Data": {"Files": folders + blobs, "LatestCommitter": latest}}


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.say(b"")

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        name = query.get("FilePath", [""])[0] or path.partition("/resolve/")[2].partition("/")[2]
        self.hub.asked.append((f"{path}/{name}" if query.get("FilePath") else path, self.headers.get("Range", "")))
        self.hub.logins.append(self.headers.get("Authorization", ""))
        refusal = self.hub.refuse or (self.hub.refuse_files if name else None)
        if refusal:
            self.say(b"", refusal[0], {"X-Error-Code": refusal[1]} if refusal[1] else {})
        elif name in self.hub.files and self.hub.redirect:
            self.say(b"", 302, {"Location": f"{self.hub.redirect}{self.path}"})
        elif name in self.hub.files:
            self.serve(name)
        elif path.startswith(f"/api/models/{REPO}/revision/"):
            known = path.rpartition("/")[2] in ("main", self.hub.revision)
            self.say(
                *(
                    (json.dumps(listed(self.hub)).encode(),)
                    if known
                    else (b"", 404, {"X-Error-Code": "RevisionNotFound"})
                )
            )
        elif path == f"/api/v1/models/{REPO}/repo/files":
            self.say(json.dumps(modelscope(self.hub, query["Revision"][0])).encode())
        else:
            self.say(b"", 404, {"X-Error-Code": "RepoNotFound"})

    def serve(self, name: str) -> None:
        data, begin = self.hub.wrong.get(name, self.hub.files[name]), 0
        span = self.headers.get("Range", "")
        if span and self.hub.ranges:
            begin = int(span.removeprefix("bytes=").rstrip("-"))
        cut = next((offset for offset in self.hub.cuts if begin < offset < len(data)), None)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        body = data[begin:cut]
        for start in range(0, len(body), 1 << 16):
            if self.hub.slow:
                threading.Event().wait(self.hub.slow)
            self.wfile.write(body[start : start + (1 << 16)])
        self.hub.served[name] = self.hub.served.get(name, 0) + len(body)
        if cut is not None:
            self.hub.cuts.remove(cut)
            self.close_connection = True

    def say(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client stopped, as some tests want it to
            pass


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
