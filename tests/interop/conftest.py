"""One host process for the folder, models that are removed after use, and the figures that the tests measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .peer import Peer


@pytest.fixture(scope="session")
def peer(host_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """ComfyUI in a process of its own."""
    peer = Peer(host_dir, tmp_path_factory.mktemp("peer"))
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """model_of(build, family): the model that `build(family, folder)` makes. One at a time: they are gigabytes."""
    from pipelines import stages

    made: dict[tuple[Any, str], Any] = {}
    folders: list[Path] = []

    def clear() -> None:
        made.clear()
        stages.release_all()
        while folders:
            shutil.rmtree(folders.pop())

    def get(build: Callable[[str, Path], Any], family: str) -> Any:
        if (build, family) not in made:
            clear()
            folders.append(tmp_path_factory.mktemp(family))
            made[build, family] = build(family, folders[-1])
        return made[build, family]

    yield get
    clear()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """figure(text): have a measured figure printed at the end of the run, which a test's report carries there."""
    return lambda text: request.node.user_properties.append(("figure", text))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ()) if r.when == "call"]
    figures = [text for report in reports for name, text in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("interop with ComfyUI, measured")
        for line in figures:
            terminalreporter.line(line)
