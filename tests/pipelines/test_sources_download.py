"""Downloads from a hub on loopback: resumed, checked, pinned, and done once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import AigcError
from pipelines.sources import Roots, Watch, inventory, verify
from pipelines.sources import pull as pulling
from pipelines.sources.manifest import NAME, read

from .mock_hub import BIG, REPO, SHA, Hub, pull, same, serving, some_files, undisturbed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed(tmp_path, monkeypatch)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(diffusers=(tmp_path / "models" / "diffusers",))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub(some_files())) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        yield running


def left_over(roots: Roots) -> list[str]:
    return [path.name for path in roots.diffusers[0].rglob("*") if path.name.endswith((".part", ".lock"))]


def test_a_download_leaves_the_model_and_its_manifest_and_nothing_else(hub, roots):
    folder = pull(roots)
    assert folder == roots.diffusers[0] / "maker--tiny" and same(folder, hub)
    found = read(folder)
    assert found is not None and found.complete and set(found.files) == set(hub.files)
    assert (found.source, found.revision, found.licence) == (f"hf:{REPO}", SHA, "mit")
    assert found.endpoint == hub.url and left_over(roots) == []
    assert verify(folder) == []
    (entry,) = inventory(roots)
    assert (entry.name, entry.source, entry.licence) == ("maker--tiny", f"hf:{REPO}", "mit")
    assert entry.size == sum(map(len, hub.files.values()))


def test_what_is_here_is_not_asked_for_again(hub, roots):
    pull(roots)
    before = len(hub.asked)
    for text, revision in ((REPO, ""), (f"hf:{REPO}", ""), (f"hf:{REPO}@{SHA}", ""), (REPO, SHA[:12])):
        assert pull(roots, text, revision).name == "maker--tiny"
    assert len(hub.asked) == before


def test_ten_cuts_at_random_offsets_are_continued_where_they_broke_off(hub, roots):
    size = len(hub.files[BIG])
    hub.cuts = cuts = sorted(random.Random(7).sample(range(1, size), 10))
    expected = ["", *(f"bytes={cut}-" for cut in cuts)]
    assert same(pull(roots), hub)
    assert hub.downloads(BIG) == expected
    assert hub.served[BIG] == size, "no byte was sent twice"


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_is_killed_goes_on_where_it_was(hub, roots, seed: int):
    hub.slow = 0.02
    process = start_pull(roots)
    try:
        wait_for(lambda: any(path.stat().st_size > 200_000 * (seed + 1) for path in roots.diffusers[0].rglob("*.part")))
    finally:
        process.kill()
        process.wait()
    (part,) = roots.diffusers[0].rglob("*.part")
    have, hub.slow = part.stat().st_size, 0.0
    assert 0 < have < len(hub.files[BIG])
    assert same(pull(roots), hub)
    assert hub.downloads(BIG)[-1] == f"bytes={have}-" and left_over(roots) == []


def test_a_server_without_ranges_is_asked_from_the_start(hub, roots):
    hub.ranges, hub.cuts = False, [1_000_000, 2_000_000]
    assert same(pull(roots), hub)


def test_a_download_that_never_gets_further_ends_in_words(hub, roots, monkeypatch: pytest.MonkeyPatch):
    hub.refuse_files = (503, "")
    with pytest.raises(AigcError, match=r"broke off 5 times at 0 .*503.*goes on from there"):
        pull(roots)


@pytest.mark.parametrize("name", [BIG, "unet/config.json"])
def test_a_file_with_another_checksum_is_refused_and_removed(hub, roots, name: str):
    right = hub.files[name]
    hub.wrong[name] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(AigcError, match=r"does not have the checksum .* removed"):
        pull(roots)
    assert not (roots.diffusers[0] / "maker--tiny" / name).exists() and left_over(roots) == []
    assert inventory(roots) == [], "an unfinished download is no model"
    hub.wrong.clear()
    assert same(pull(roots), hub)


def test_a_file_that_is_longer_than_listed_is_refused(hub, roots):
    hub.wrong[BIG] = hub.files[BIG] + b"more"
    with pytest.raises(AigcError, match="longer than the 3000000 bytes"):
        pull(roots)


def test_a_part_of_another_revision_is_not_continued(hub, roots):
    hub.wrong[BIG] = hub.files[BIG][:1_000_000]
    with pytest.raises(AigcError, match="broke off"):
        pull(roots)
    hub.wrong.clear()
    hub.files, hub.revision = some_files(seed=1), "f" * 40
    assert same(pull(roots), hub) and hub.downloads(BIG)[-1] == ""


class Stop(Exception):
    pass


def test_a_stop_acts_within_a_chunk_and_keeps_what_is_here(hub, roots):
    hub.slow = 0.02
    stopped = 0.0

    def check_interrupt() -> None:
        nonlocal stopped
        parts = list(roots.diffusers[0].rglob("*.safetensors.*.part"))
        if parts and parts[0].stat().st_size > 500_000:
            stopped = stopped or time.perf_counter()
            raise Stop

    with pytest.raises(Stop):
        pull(roots, watch=Watch(check_interrupt=check_interrupt))
    assert time.perf_counter() - stopped < 1
    (part,) = roots.diffusers[0].rglob("*.part")
    have, hub.slow = part.stat().st_size, 0.0
    assert 500_000 < have < 1_500_000
    assert same(pull(roots), hub)
    assert hub.downloads(BIG)[-1] == f"bytes={have}-"


def test_progress_grows_to_the_whole(hub, roots, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pulling, "BETWEEN", 0)
    seen: list[tuple[int, int]] = []
    pull(roots, watch=Watch(progress=lambda done, total, _: seen.append((done, total))))
    size = sum(map(len, hub.files.values()))
    assert seen == sorted(seen) and seen[-1] == (size, size) and len(seen) > 10
    assert {total for _, total in seen} == {size}


def start_pull(roots: Roots) -> subprocess.Popen:
    code = (
        "import sys; from pathlib import Path; from pipelines.sources import Roots, resolve; "
        f"print(resolve('hf:{REPO}', Roots(diffusers=(Path(sys.argv[1]),)), download=True).path)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(roots.diffusers[0])], cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE
    )


def wait_for(happened) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_two_processes_at_once_download_each_file_once(hub, roots):
    hub.slow = 0.01
    processes = [start_pull(roots) for _ in range(3)]
    outputs = {process.communicate(timeout=60)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes) and len(outputs) == 1
    assert hub.served == {name: len(data) for name, data in hub.files.items() if data}
    assert len([path for path, _ in hub.asked if path.startswith("/api/")]) == 1, "who waited asks nothing"
    assert left_over(roots) == []


def test_two_threads_at_once_download_each_file_once(hub, roots):
    hub.slow = 0.01
    threads = [threading.Thread(target=pull, args=(roots,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert hub.served == {name: len(data) for name, data in hub.files.items() if data}
    assert len([path for path, _ in hub.asked if path.startswith("/api/")]) == 1, "who waited asks nothing"


def test_who_waits_for_another_process_can_be_stopped(hub, roots):
    hub.slow = 0.05
    process = start_pull(roots)
    try:
        wait_for(lambda: list(roots.diffusers[0].rglob("*.part")))

        def check_interrupt() -> None:
            raise Stop

        with pytest.raises(Stop):
            pull(roots, watch=Watch(check_interrupt=check_interrupt))
    finally:
        process.kill()
        process.wait()


def test_another_revision_lies_beside_the_first(hub, roots):
    first = pull(roots)
    hub.files, hub.revision = some_files(seed=1), "f" * 40
    second = pull(roots, f"hf:{REPO}@{'f' * 40}")
    assert (first.name, second.name) == ("maker--tiny", f"maker--tiny@{'f' * 12}")
    assert same(second, hub) and not same(first, hub)
    assert pull(roots, REPO, SHA) == first and pull(roots, REPO, "f" * 40) == second


def test_a_folder_of_the_users_own_is_used_and_never_written_to(hub, roots):
    own = roots.diffusers[0] / "maker--tiny"
    for name, data in hub.files.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(data)
    assert pull(roots, REPO) == own and hub.asked == []
    pinned = pull(roots, REPO, SHA)
    assert pinned.name == f"maker--tiny@{SHA[:12]}"
    assert not (own / NAME).exists()


def test_verify_names_each_file_that_changed(hub, roots):
    folder = pull(roots)
    data = bytearray(hub.files[BIG])
    data[1000] ^= 1
    (folder / BIG).write_bytes(bytes(data))
    (folder / "unet/config.json").unlink()
    (folder / "README.md").write_bytes(b"short")
    assert sorted(line.split(" ")[0] for line in verify(folder) or ()) == ["README.md", "unet/config.json", BIG]
    (folder / NAME).unlink()
    assert verify(folder) is None


def test_modelscope_serves_the_same_model(hub, roots):
    folder = pull(roots, f"ms:{REPO}")
    found = read(folder)
    assert same(folder, hub) and found is not None
    assert (found.source, found.revision, found.licence) == (f"ms:{REPO}", SHA, "apache-2.0")
    asked = {path for path, _ in hub.asked}
    assert asked == {f"/api/v1/models/{REPO}/repo/{name}" for name in ["files", *filter(hub.files.get, hub.files)]}
    with pytest.raises(AigcError, match="ModelScope has no such model, or no revision 'v9'"):
        pull(roots, f"ms:{REPO}@v9")
    with pytest.raises(AigcError, match="404"):
        pull(roots, "ms:maker/other")
