"""What a hub may answer, and where its answers may not lead: every refusal in its own words, nothing written outside."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.errors import AigcError
from pipelines.sources import Roots, resolve
from pipelines.sources import pull as pulling
from pipelines.sources.manifest import read

from . import mock_hub
from .mock_hub import BIG, REPO, SHA, Hub, pull, same, serving, some_files, undisturbed


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


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ((404, "RepoNotFound"), "404: there is no such model.*spelling"),
        ((401, ""), "401: it wants a login.*hf auth login"),
        ((403, "GatedRepo"), "accept their terms.*page of maker/tiny"),
        ((401, "GatedRepo"), "accept their terms.*page of maker/tiny"),
        ((403, ""), "403: this login may not"),
        ((404, "RevisionNotFound"), "no such revision.*leave the revision empty"),
        ((429, ""), "429: too many requests.*Wait"),
        ((500, ""), "answered 500"),
    ],
)
def test_each_refusal_has_its_own_words(hub, roots, refusal: tuple[int, str], says: str):
    hub.refuse = refusal
    with pytest.raises(AigcError, match=says):
        pull(roots)
    assert not list(roots.diffusers[0].iterdir())


def test_files_behind_terms_that_were_not_accepted_are_explained_too(hub, roots):
    hub.refuse_files = (403, "GatedRepo")
    with pytest.raises(AigcError, match="accept the terms"):
        pull(roots)


def test_a_revision_that_is_not_there_is_named_as_the_reason(hub, roots):
    with pytest.raises(AigcError, match="no such revision"):
        pull(roots, f"hf:{REPO}@v9")


@pytest.mark.parametrize("silent", [False, True], ids=["closed port", "answers nothing"])
def test_a_dead_endpoint_is_answered_within_five_seconds(roots, monkeypatch: pytest.MonkeyPatch, silent: bool):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        start = time.perf_counter()
        with pytest.raises(AigcError, match="does not answer"):
            pull(roots)
        assert time.perf_counter() - start < 5


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_asks_nobody(hub, roots, monkeypatch: pytest.MonkeyPatch, variable: str):
    monkeypatch.setenv(variable, "1")
    for text in (f"hf:{REPO}", f"ms:{REPO}"):
        with pytest.raises(AigcError, match=f"{variable} is set"):
            pull(roots, text)
    assert hub.asked == []


def test_nothing_is_downloaded_unless_it_is_asked_for(hub, roots):
    with pytest.raises(AigcError, match="aigc models pull hf:maker/tiny"):
        resolve(REPO, roots)
    assert hub.asked == []


@pytest.mark.parametrize("address", ["file:///etc", "ftp://127.0.0.1", "127.0.0.1"])
def test_only_an_http_endpoint_is_asked(roots, monkeypatch: pytest.MonkeyPatch, address: str):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(AigcError, match="HF_ENDPOINT to be an http address"):
        pull(roots)


def test_a_redirect_leads_to_http_only(hub, roots, tmp_path: Path):
    (tmp_path / "secret").write_text("secret")
    hub.redirect = f"file://{tmp_path}/secret?"
    with pytest.raises(AigcError, match=r"302.*[Rr]edirect"):
        pull(roots)
    assert "secret" not in "".join(path.read_text("utf-8", "replace") for path in roots.diffusers[0].rglob("*.part"))


def test_a_login_is_sent_to_the_hub_and_not_to_where_it_redirects(hub, roots, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(Hub(hub.files)) as elsewhere:
        hub.redirect = elsewhere.url
        assert same(pull(roots), hub)
        assert elsewhere.logins and not any(elsewhere.logins)
    assert set(hub.logins) == {"Bearer hf_secret"}


@pytest.mark.parametrize("name", ["../evil.json", "unet/../../evil.json", "/evil.json", "..\\evil.json", "C:evil.json"])
def test_a_path_that_leads_outside_is_never_written(hub, roots, tmp_path: Path, name: str):
    hub.files[name] = b"{}"
    folder = pull(roots)
    found = read(folder)
    assert found is not None and name not in found.files
    assert not list(tmp_path.rglob("*evil*"))


def test_a_link_inside_the_folder_does_not_lead_a_download_outside(hub, roots, tmp_path: Path):
    folder, outside = roots.diffusers[0] / "maker--tiny", tmp_path / "outside"
    outside.mkdir()
    pull(roots)
    for path in (folder / "unet").iterdir():
        path.unlink()
    (folder / "unet").rmdir()
    (folder / "unet").symlink_to(outside)
    with pytest.raises(AigcError, match="inside the model's folder"):
        pull(roots)
    assert not list(outside.iterdir())


def test_a_full_disk_is_refused_before_anything_is_downloaded(hub, roots, monkeypatch: pytest.MonkeyPatch):
    room = len(hub.files[BIG]) + pulling.SPARE
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda _: SimpleNamespace(free=room))
    with pytest.raises(AigcError, match="GB of free disk"):
        pull(roots)
    assert not hub.downloads(BIG)
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda _: SimpleNamespace(free=room + 10_000))
    assert same(pull(roots), hub)


def test_a_list_without_checksums_is_refused(hub, roots, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mock_hub, "siblings", lambda files: [{"rfilename": name} for name in files])
    with pytest.raises(AigcError, match="without its size or checksum"):
        pull(roots)


def test_every_request_for_a_mirror_goes_to_the_mirror(hub, roots):
    """Also with hf_xet installed: Xet would go to a host that the mirror does not stand in for."""
    pull(roots)
    files = [path for path, _ in hub.asked if "/resolve/" in path]
    assert sorted(files) == sorted(f"/{REPO}/resolve/{SHA}/{name}" for name, data in hub.files.items() if data)
