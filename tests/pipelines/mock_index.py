"""A small PyPI and npm registry on loopback, and packages for them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


def wheel(files: dict[str, bytes], licence: str = "License-Expression: MIT") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("some-1.dist-info/METADATA", f"Metadata-Version: 2.4\nName: some\n{licence}\n\nText.\n")
    return held.getvalue()


def package(files: dict[str, bytes], link: str = "") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo("package/link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return held.getvalue()


@dataclass
class Index:
    """wheels: by file name. packages: by (name, version); the last one is the latest. html: a mirror that knows no JSON."""

    wheels: dict[str, bytes] = field(default_factory=dict)
    packages: dict[tuple[str, str], bytes] = field(default_factory=dict)
    html: bool = False
    sizes: bool = True
    yanked: tuple[str, ...] = ()
    wrong: bool = False  # archives with another content than is listed
    cut: int = 0  # where the first download of an archive breaks off
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # path, Range, Authorization

    @property
    def downloads(self) -> list[str]:
        return [span for path, span, _ in self.asked if path.startswith("/files/") and span != "bytes=0-0"]


class Handler(BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.index.asked.append((path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if path.startswith("/files/"):
            self.file(path.removeprefix("/files/"))
        elif path.startswith("/simple/"):
            self.simple(path.split("/")[2])
        else:
            self.manifest(path.removeprefix("/npm/"))

    def archives(self) -> dict[str, bytes]:
        npm = {f"{name.replace('/', '-')}-{version}.tgz": d for (name, version), d in self.index.packages.items()}
        return {**self.index.wheels, **npm}

    def simple(self, dist: str) -> None:
        of_it = {n: d for n, d in self.index.wheels.items() if n.split("-")[0].replace("_", "-").lower() == dist}
        if not of_it:
            return self.say(b"", 404)
        links = [(name, f"/files/{name}", hashlib.sha256(data).hexdigest(), len(data)) for name, data in of_it.items()]
        if self.index.html:
            lines = [f'<a href="../..{url}#sha256={digest}">{name}</a>' for name, url, digest, _ in links]
            return self.say("<br>".join(lines).encode(), kind="text/html; charset=utf-8")
        files = [
            {"filename": name, "url": url, "hashes": {"sha256": digest}, "yanked": name in self.index.yanked}
            | ({"size": size} if self.index.sizes else {})
            for name, url, digest, size in links
        ]
        self.say(json.dumps({"files": files}).encode(), kind="application/vnd.pypi.simple.v1+json")

    def manifest(self, path: str) -> None:
        name, _, version = path.rpartition("/")
        known = [number for of, number in self.index.packages if of == name]
        number = known[-1] if known and version == "latest" else version
        data = self.index.packages.get((name, number))
        if data is None:
            return self.say(b"", 404)
        tarball = f"{self.index.url}/files/{name.replace('/', '-')}-{number}.tgz"
        dist = {"tarball": tarball, "integrity": f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"}
        self.say(json.dumps({"name": name, "version": number, "license": "Apache-2.0", "dist": dist}).encode())

    def file(self, name: str) -> None:
        data = self.archives()[name]
        data = data[:-1] + bytes([data[-1] ^ 1]) if self.index.wrong else data
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        begin, end = int(first), int(last) + 1 if last else len(data)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.end_headers()
        cut, self.index.cut = self.index.cut if not last else 0, self.index.cut if last else 0
        self.wfile.write(data[begin : cut or end])
        self.close_connection = self.close_connection or bool(cut)

    def say(self, data: bytes, status: int = 200, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(index: Index) -> Iterator[Index]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Handler,), {"index": index}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    index.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
