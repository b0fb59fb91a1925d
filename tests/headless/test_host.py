"""Starting and stopping a ComfyUI of our own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headless.host import Host, HostError, _environment
from headless.install import cache_root

from .conftest import aigc_command, aigc_environment


def refuses(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) != 0


def fake_host(folder: Path, script: str) -> Path:
    folder.mkdir()
    (folder / "main.py").write_text(script, encoding="utf-8")
    return folder


def test_a_host_that_dies_shows_the_end_of_its_log(tmp_path):
    folder = fake_host(tmp_path / "comfy", "raise SystemExit('no torch for you')")
    with pytest.raises(HostError, match=r"(?s)exit code 1.*no torch for you"):
        Host(folder, tmp_path / "base").__enter__()


def test_a_host_that_never_answers_is_stopped(tmp_path):
    folder = fake_host(tmp_path / "comfy", "import time; print('waiting for godot'); time.sleep(60)")
    host = Host(folder, tmp_path / "base", seconds=1.5)
    with pytest.raises(HostError, match=r"(?s)did not answer.*waiting for godot"):
        host.__enter__()
    assert host.process is None


def test_a_folder_without_comfyui_and_a_taken_port_are_refused(tmp_path):
    with pytest.raises(HostError, match=r"without a main\.py"):
        Host(tmp_path).__enter__()
    folder = fake_host(tmp_path / "comfy", "")
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(HostError, match="Expected a free port"):
            Host(folder, port=server.getsockname()[1]).__enter__()


def test_the_host_dies_with_its_parent_however_that_ends(tmp_path):
    folder = fake_host(tmp_path / "comfy", "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)")
    code = (
        "import os, sys, time; from headless.host import Host; import headless.host as h\n"
        "h._answers = lambda url: 'pid' in host.log_tail()\n"
        f"host = Host({str(folder)!r}, {str(tmp_path / 'base')!r}); host.start()\n"
        "print(host.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env=aigc_environment(), stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert ends(child), "the host must not outlive its parent"


def ends(pid: int, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if "Z" in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:1]:
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False


def test_packs_are_linked_under_their_registry_name(tmp_path):
    pack = tmp_path / "some-checkout"
    pack.mkdir()
    (pack / "__init__.py").write_text("", encoding="utf-8")
    (pack / "pyproject.toml").write_text('[project]\nname = "the-pack"\n', encoding="utf-8")
    host = Host(tmp_path, tmp_path / "base", packs=[pack])
    host._fill_base()
    host._fill_base()
    assert (host.base_dir / "custom_nodes" / "the-pack").resolve() == pack
    shared = tmp_path / "theirs" / "custom_nodes"
    shared.mkdir(parents=True)
    (shared / "another-name").symlink_to(pack)
    other = Host(tmp_path, tmp_path / "base2", packs=[pack], share_with=tmp_path / "theirs")
    other._fill_base()
    assert not list((other.base_dir / "custom_nodes").iterdir()), "loaded twice otherwise"
    host.stop()
    other.stop()


@pytest.mark.host
def test_canvas_prints_the_address_and_leaves_nothing_behind(host_dir, tmp_path):
    command = aigc_command("canvas", "--port", "0", "--host-dir", host_dir, "--base-dir", tmp_path / "base")
    running = subprocess.Popen(command, env=aigc_environment(), stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert running.stdout
    url = running.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:") and not refuses(url)
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    assert refuses(url)


def test_bytecode_goes_to_our_cache_where_python_may_not_write_it(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    environment = _environment()
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["PYTHONPYCACHEPREFIX"] == str(cache_root() / "bytecode")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    assert "PYTHONPYCACHEPREFIX" not in _environment(), "else Python keeps bytecode where it always does"


def test_threads_of_our_host_spin_briefly_unless_asked_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert _environment()["GOMP_SPINCOUNT"] == "10000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert _environment()["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in _environment()
