"""Fixtures shared by every test: where things are, and one real ComfyUI for the whole session."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores; what they start inherits it
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before torch: a busy machine's cores are not to be spun on
os.environ.setdefault("AIGC_SELFTEST", "0")  # tiny models of unproved classes would each start a process
# A shell's background job ignores Ctrl-C, and whatever a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).resolve().parents[1]
MAY_NOT_SKIP = ("host", "browser")
FIRST = ("tests/workflows", "tests/interop", "tests/browser", "tests/headless", "tests/nodes")
_skipped: list[str] = []


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def host_dir() -> Path:
    """The folder of a ComfyUI, fetched on first use; COMFYUI_DIR names another one."""
    from headless.install import ensure_host

    return ensure_host()


@pytest.fixture(scope="session")
def host(host_dir: Path, tmp_path_factory: pytest.TempPathFactory):
    """One running ComfyUI with this pack in its custom_nodes, shared by all tests; `.url` is its address."""
    from headless.host import Host

    with Host(host_dir, base_dir=tmp_path_factory.mktemp("host"), packs=[ROOT]) as running:
        yield running


# Reports reach the process that decides also from workers, hooks on items and collectors do not.
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    expected_to_fail = hasattr(report, "wasxfail")
    if report.skipped and not expected_to_fail and any(name in report.keywords for name in MAY_NOT_SKIP):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A module that skips itself as a whole hides which of its tests needed what: it counts as well."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses the shared host is a host test, marked or not. Long files go first: two workers then end together."""
    for item in items:
        if "host" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.host)
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


def pytest_collection_finish() -> None:
    """What is imported stays: walked through again by every collection it would take a twelfth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """`make test` sets AIGC_NO_SKIPS: a skipped host or browser test is then a failure, not a green run."""
    if os.environ.get("AIGC_NO_SKIPS") == "1" and _skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter) -> None:
    if os.environ.get("AIGC_NO_SKIPS") == "1" and _skipped:
        terminalreporter.section("skipped, and this run allows no skips", sep="=", red=True)
        for nodeid in dict.fromkeys(_skipped):
            terminalreporter.line(nodeid)
