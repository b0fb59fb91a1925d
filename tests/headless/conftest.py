"""A ComfyUI without any pack, for the tests that need a real one."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headless.host import Host

ROOT = Path(__file__).resolve().parents[2]
ORACLE = Path(__file__).with_name("conversion_oracle.json.xz")


@pytest.fixture(scope="session")
def oracle() -> dict[str, Any]:
    """What tests/browser/make_conversion_oracle.mjs stored: prompts of the browser and the host's object_info."""
    return json.loads(lzma.decompress(ORACLE.read_bytes()))


@pytest.fixture(scope="session")
def object_info(oracle) -> dict[str, Any]:
    return oracle["object_info"]


@pytest.fixture(scope="module")
def bare_host(host_dir: Path, tmp_path_factory: pytest.TempPathFactory):
    base = tmp_path_factory.mktemp("bare_host")
    # Shared for ComfyUI's own custom_nodes/websocket_image_save: the one way to previews without a model.
    with Host(host_dir, base_dir=base, arguments=["--cpu"], share_with=host_dir) as running:
        yield running


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        lines = self.out.splitlines()
        assert len(lines) == 1, f"expected one line, got {self.out!r}"
        return json.loads(lines[0])


def aigc_command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "headless", *map(str, arguments)]


def aigc_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def aigc(tmp_path: Path):
    """Runs the command line in tmp_path."""

    def call(*arguments: object) -> Done:
        done = subprocess.run(
            aigc_command(*arguments), cwd=tmp_path, env=aigc_environment(), capture_output=True, text=True, timeout=120
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call
