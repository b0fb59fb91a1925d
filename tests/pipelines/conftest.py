"""Tiny models, built once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from . import tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny_model("sd15")` is the folder of a tiny random pipeline of that family."""
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = tiny.build(name, tmp_path_factory.mktemp(name) / name)
        return built[name]

    return get
