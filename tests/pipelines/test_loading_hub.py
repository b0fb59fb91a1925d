"""The hub: the local cache first, then a real download from a small server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.loading import Roots, describe, load_part, open_model
from pipelines.loading.hub import wanted_files

REPO, SHA = "maker/tiny", "0123456789" * 4


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:40]


class Hub(BaseHTTPRequestHandler):
    """The answers of the hub that a download needs: what files there are, and each file."""

    folder: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0].replace("/resolve/main/", f"/resolve/{SHA}/")
        start = f"/{REPO}/resolve/{SHA}/"
        data, kind = b"", "text/plain"
        if path.startswith(f"/api/models/{REPO}"):
            files = {file.relative_to(self.folder).as_posix(): file for file in self.folder.rglob("*.*")}
            answer: Any = {"id": REPO, "sha": SHA, "siblings": [{"rfilename": name} for name in files]}
            if "/tree/" in path:
                answer = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": digest(file.read_bytes())}
                    for name, file in files.items()
                ]
            data, kind = json.dumps(answer).encode(), "application/json"
        elif path.startswith(start):
            data = (self.folder / path.removeprefix(start)).read_bytes()
            self.asked.append(path.removeprefix(start))
        elif path != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{digest(data)}"')
        self.send_header("X-Repo-Commit", SHA)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and a hub at a port where nothing listens."""
    from huggingface_hub import constants

    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return folder


@pytest.fixture
def served(tiny_model, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub with a tiny model, and beside it files that must not be downloaded."""
    folder = shutil.copytree(tiny_model("sd15"), tmp_path / "served")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    for extra in ("pipeline.py", "unet/evil.py", "unet/diffusion_pytorch_model.bin", "all.safetensors"):
        (folder / extra).write_bytes(b"not wanted")
    handler = type("Served", (Hub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    server.server_close()


def test_a_hub_id_downloads_only_what_is_needed_and_then_opens_offline(served, monkeypatch: pytest.MonkeyPatch):
    model = open_model(REPO, roots=Roots())
    assert (model.source, model.revision, model.licence) == (REPO, SHA, "mit")
    assert load_part(model, "unet", dtype=torch.float32).dtype == torch.float32
    assert not [name for name in served.asked if "evil" in name or name.endswith((".py", ".bin", "all.safetensors"))]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for revision in ("", SHA):
        again = open_model(REPO, roots=Roots(), revision=revision)
        assert again.path == model.path and f"revision: {SHA}" in describe(again)


def test_a_cached_model_that_lacks_a_file_is_completed(served):
    model = open_model(REPO, roots=Roots())
    weights = model.path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.resolve().unlink()
    weights.unlink()
    again = open_model(REPO, roots=Roots(), revision=SHA)
    assert (again.path / "unet" / weights.name).is_file()


def test_an_unknown_model_is_refused_in_words(served):
    with pytest.raises(AigcError, match=r"maker/other.*the hub answered"):
        open_model("maker/other", roots=Roots())


def test_an_unreachable_hub_is_answered_within_five_seconds(cache: Path):
    start = time.perf_counter()
    with pytest.raises(AigcError, match=r"does not answer.*models/diffusers"):
        open_model("aigc-nodes-test/no-such-model", roots=Roots(), revision="main")
    assert time.perf_counter() - start < 5


def test_only_the_files_that_are_needed_are_downloaded():
    files = [
        "model_index.json", "README.md", "sd-v1-5.safetensors", "pipeline.py", "unet/config.json", "unet/evil.py",
        "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.bin", "tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/spiece.model",
        "a/b/config.json",
    ]  # fmt: skip
    assert sorted(wanted_files("owner/name", files)) == sorted([
        "model_index.json", "README.md", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
        "tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/spiece.model",
    ])  # fmt: skip
    with pytest.raises(AigcError, match="can run code"):
        wanted_files("owner/name", ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin"])
    with pytest.raises(AigcError, match=r"no model_index\.json"):
        wanted_files("owner/name", ["model.safetensors"])
