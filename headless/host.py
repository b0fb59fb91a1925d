"""Starts a ComfyUI of our own on a free port, waits until it answers, and stops it again.

with Host(comfyui_dir, packs=[repo_root]) as host:
    print(host.url)
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from .install import cache_root

FOLDERS = ("custom_nodes", "input", "models", "output", "user")
TAIL_LINES = 25
LAUNCHER = Path(__file__).with_name("launcher.py")


class HostError(RuntimeError):
    """The host could not be started; the message carries the end of its log."""


class Host:
    """One ComfyUI process with its own base directory; a context manager.

    base_dir     holds custom_nodes, models, input, output and user; a temporary folder by default
    packs        folders that are linked into custom_nodes
    share_with   an installation whose models and custom nodes this host sees as well
    port         0 takes a free one
    arguments    more arguments for ComfyUI's main.py
    """

    def __init__(
        self,
        host_dir: str | Path,
        base_dir: str | Path | None = None,
        packs: Sequence[str | Path] = (),
        port: int = 0,
        arguments: Sequence[str] = (),
        share_with: str | Path | None = None,
        python: str = sys.executable,
        seconds: float = 240,
    ) -> None:
        self.host_dir = Path(host_dir).expanduser().resolve()
        # ComfyUI empties its temp folder when it starts: hosts that share a base directory must not share that one.
        self._private = Path(tempfile.mkdtemp(prefix="aigc-host-")).resolve()
        self.base_dir = Path(base_dir or self._private / "base").expanduser().resolve()
        self.packs = [Path(pack).expanduser().resolve() for pack in packs]
        self.share_with = Path(share_with).expanduser().resolve() if share_with else None
        self.port = port
        self.arguments = list(arguments)
        self.python = python
        self.seconds = seconds
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self._private / "comfyui.log"

    def __enter__(self) -> Host:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the process and returns when it answers; HostError if it dies or takes too long."""
        if not (self.host_dir / "main.py").is_file():
            raise HostError(
                f"Expected a ComfyUI folder, got {self.host_dir} without a main.py: pass the folder of a ComfyUI "
                "checkout with --host-dir or COMFYUI_DIR."
            )
        self._fill_base()
        self.port = _usable_port(self.port)
        command = [self.python, str(LAUNCHER), str(self.host_dir), *self._main_arguments()]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.host_dir,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle
            )
        self._wait_until_ready(self.process)

    def stop(self) -> None:
        """Ends the process and removes what was temporary; harmless when nothing runs."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()
        shutil.rmtree(self._private, ignore_errors=True)

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _main_arguments(self) -> list[str]:
        arguments = [
            "--listen",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--base-directory",
            str(self.base_dir),
        ]
        arguments += ["--temp-directory", str(self._private)]
        arguments += ["--database-url", "sqlite:///:memory:", "--disable-auto-launch", *self.arguments]
        if self.share_with:
            arguments += ["--extra-model-paths-config", str(self._share())]
        if "--cpu" not in arguments and not _has_accelerator():
            arguments.append("--cpu")
        return arguments

    def _fill_base(self) -> None:
        for name in FOLDERS:
            (self.base_dir / name).mkdir(parents=True, exist_ok=True)
        for pack in self.packs:
            if not (pack / "__init__.py").is_file():
                raise HostError(f"Expected a node pack, got {pack} without an __init__.py: pass its folder.")
            if self.share_with and _already_there(pack, self.share_with / "custom_nodes"):
                continue
            _link(pack, self.base_dir / "custom_nodes" / _pack_name(pack))

    def _share(self) -> Path:
        """A model path file that shows an installation's models and custom nodes; JSON, which is YAML."""
        assert self.share_with is not None
        shared = {"base_path": str(self.share_with), "custom_nodes": "custom_nodes"}
        for folder in sorted((self.share_with / "models").glob("*/")):
            if folder.is_dir() and folder.name != "configs":
                shared[folder.name] = f"models/{folder.name}"
        path = self._private / "shared_models.yaml"
        path.write_text(json.dumps({"shared": shared}, indent=1), encoding="utf-8")
        return path

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise HostError(
                    f"ComfyUI stopped while starting (exit code {process.returncode}). "
                    f"The end of its log:\n{self.log_tail()}"
                )
            if _answers(self.url):
                return
            time.sleep(0.25)
        raise HostError(
            f"ComfyUI did not answer on {self.url} within {self.seconds:.0f} s: look for what it waits for at the end "
            f"of its log:\n{self.log_tail()}"
        )


def _environment() -> dict[str, str]:
    """Our environment for the host. Where Python may not write bytecode beside its sources, it goes to our cache:

    without any, every start compiles torch and the host again, which takes longer than the pictures.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    # Threads that spin for long while they wait take the cores from those that work, as soon as anything else runs here.
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", "10000")
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment.setdefault("PYTHONPYCACHEPREFIX", str(cache_root() / "bytecode"))
    return environment


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy can't reach our loopback
    try:
        with opener.open(f"{url}/system_stats", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _usable_port(port: int) -> int:
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise HostError(
                f"Expected a free port, got {port} ({error}): pass another --port, or leave it out."
            ) from None
        return int(probe.getsockname()[1])


def _has_accelerator() -> bool:
    """Whether this machine looks like one whose torch finds a GPU; asking torch itself takes seconds."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    return bool(shutil.which("nvidia-smi")) or any(map(os.path.exists, ("/dev/kfd", "/dev/nvidia0", "/dev/dxg")))


def _pack_name(pack: Path) -> str:
    """The registry name from the pack's pyproject.toml: the checkout's folder may be called anything."""
    with contextlib.suppress(OSError):
        text = (pack / "pyproject.toml").read_text(encoding="utf-8")
        if found := re.search(r'^name\s*=\s*"([\w.-]+)"', text, re.MULTILINE):
            return found[1]
    return pack.name


def _already_there(pack: Path, custom_nodes: Path) -> bool:
    if not custom_nodes.is_dir():
        return False
    name = _pack_name(pack)
    entries = [entry for entry in custom_nodes.iterdir() if (entry / "__init__.py").is_file()]
    return any(entry.resolve() == pack or _pack_name(entry) == name for entry in entries)


def _link(pack: Path, link: Path) -> None:
    if link.is_symlink():
        if link.resolve() == pack:
            return
        link.unlink()
    elif link.exists():
        if link.resolve() == pack:
            return
        raise HostError(f"Expected {link} to be free or a link to {pack}, got another folder: move it away.")
    try:
        link.symlink_to(pack, target_is_directory=True)
    except OSError as error:
        if os.name != "nt":
            raise HostError(f"{pack} can't be linked to {link} ({error}): choose another base folder.") from error
        import _winapi  # symbolic links need a privilege on Windows, junctions do not

        _winapi.CreateJunction(str(pack), str(link))
