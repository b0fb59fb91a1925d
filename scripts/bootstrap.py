"""From a bare system Python to a working checkout: .venv, torch, this pack, a ComfyUI. Stdlib only.

    python3 scripts/bootstrap.py            what `make setup` does
    python3 scripts/bootstrap.py --tests    and what the browser tests need besides (`make test`)

AIGC_TORCH_INDEX names another package index for torch, such as one with CPU builds (about 1 GB instead of 6).
Nothing is done twice: each step leaves a stamp with a hash of what went into it. Stopped, it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036  an older Python gets a sentence, not a traceback
    sys.exit(f"error: Python 3.10+ is needed, this is {platform.python_version()}: make setup PYTHON=python3.12")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from headless.install import MB, SetupError, need_space, pip_install, say  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", action="store_true", help="also what the browser tests need")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        worked = set_up(options.tests)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Stopped. The same command goes on where this one was.")
        return 130
    if worked:
        say(f"Set up in {time.monotonic() - started:.0f} s.")
    return 0


def set_up(tests: bool) -> bool:
    """Runs the steps whose inputs changed; False if there was nothing to do."""
    files = ["pyproject.toml", "requirements.txt", "scripts/bootstrap.py"]
    python = [sys.version, str(ROOT), os.environ.get("AIGC_TORCH_INDEX", "")]
    host = ["headless/install.py", os.environ.get("COMFYUI_DIR", ""), os.environ.get("XDG_CACHE_HOME", "")]
    VENV.mkdir(exist_ok=True)  # the stamps lie in it
    with ThreadPoolExecutor(1) as beside:  # a browser has nothing to do with the rest
        browser = beside.submit(step, "browser", ["package.json"], get_browser) if tests else None
        worked = step("environment", [*files, *python], make_environment)
        worked |= step("host", [*files, *python, *host], get_host)
        return bool(browser and browser.result()) or worked


def step(name: str, inputs: list[str], work: Callable[[], Path]) -> bool:
    """Does `work` unless its stamp says that these inputs led to a path that still exists."""
    stamp = VENV / f".aigc-{name}"
    digest = hashlib.sha256()
    for given in inputs:
        path = ROOT / given
        digest.update(path.read_bytes() if given and path.is_file() else given.encode())
    try:
        key, made = stamp.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        key = made = ""
    if key == digest.hexdigest() and Path(made).exists():
        return False
    stamp.unlink(missing_ok=True)
    made = work()
    stamp.write_text(f"{digest.hexdigest()}\n{made}\n", encoding="utf-8")
    return True


def make_environment() -> Path:
    """.venv with torch, this pack and what its tests need."""
    if not _runs(PYTHON, "-m", "pip", "--version"):
        say(f"Making {VENV.name} with Python {platform.python_version()}")
        if not _runs(sys.executable, "-c", "import venv, ensurepip"):
            missing = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            _apt_or_tell([missing], "Python's venv module is missing")
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    index = os.environ.get("AIGC_TORCH_INDEX")
    if not _runs(PYTHON, "-c", "import importlib.metadata as m; m.version('torch'), m.version('torchvision')"):
        need_space(VENV, (4000 if index else 12000) * MB, "torch, with its download,")
        say(
            "Installing torch" + (f" from {index}" if index else " (several GB; AIGC_TORCH_INDEX can name a CPU build)")
        )
        pip_install([*(["--index-url", index] if index else []), "torch", "torchvision"], python=str(PYTHON))
    need_space(VENV, 2000 * MB, "The pack's requirements")
    say("Installing the pack and its requirements")
    pip_install(["-e", f"{ROOT}[test]"], python=str(PYTHON))
    return PYTHON


def get_host() -> Path:
    say("Looking for ComfyUI")
    done = subprocess.run([PYTHON, "-m", "headless.install"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SetupError("no ComfyUI could be set up, for the reason above.")
    return Path(done.stdout.strip())


def get_browser() -> Path:
    """Chromium, node and playwright-core. Root on Debian or Ubuntu gets the first two installed."""
    wanted = []
    if not (os.environ.get("AIGC_CHROMIUM") or any(map(shutil.which, BROWSERS))):
        wanted += ["chromium", "fonts-noto-cjk"]
    wanted += [package for tool, package in (("node", "nodejs"), ("npm", "npm")) if not shutil.which(tool)]
    if wanted:
        _apt_or_tell(wanted, "The browser tests need Chromium and node")
    say("Installing playwright-core")
    npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(npm, cwd=ROOT).returncode:
        raise SetupError("npm install failed: check the network, then run the same command again.")
    return ROOT / "node_modules" / "playwright-core"


def _apt_or_tell(packages: list[str], why: str) -> None:
    """Installs Debian packages where that can be done without asking; else one line that says what to run."""
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise SetupError(f"{why}: install {', '.join(packages)} with this system's package manager.")
    if os.geteuid() != 0:
        raise SetupError(f"{why}: sudo {command}")
    say(f"{why}: {command}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for line in ("apt-get update", command):
        done = subprocess.run(line.split(), env=quiet, capture_output=True, text=True)
    if done.returncode:
        raise SetupError(f"'{command}' failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")


def _runs(*command: str | Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
