"""Where hub judges are found, and what is said when they are not: nothing is ever downloaded unasked."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.payloads import Discriminator
from pipelines.runtime import Runtime
from pipelines.score import closed_form, judges, scoring
from pipelines.score.hub.table import TABLE
from pipelines.sources import Roots, inventory, resolve
from pipelines.sources.layout import NAMED, is_whole_network, wanted_files

from . import hub_judges
from .judges import judge_file
from .mock_hub import Hub, serving, undisturbed

CPU = Runtime("cpu")
ONE = torch.full((1, 28, 28, 3), 0.5)


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed(tmp_path, monkeypatch)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(diffusers=(tmp_path / "diffusers",), judges=(tmp_path / "judges",))


@pytest.mark.parametrize("name", TABLE)
def test_without_its_files_a_judge_says_which_and_how_to_get_them(name, roots):
    with pytest.raises(AigcError) as said:
        judges.open_discriminator(name, roots=roots)
    source = TABLE[name].source
    assert f"aigc models pull {source}" in str(said.value) and TABLE[name].licence in str(said.value)
    assert judges.fingerprint(name, roots=roots) == name


@pytest.mark.parametrize(
    ("name", "build", "says"),
    (
        ("imagereward", lambda f: hub_judges.imagereward(f / "ImageReward"), "vocab.txt"),
        ("laion-aesthetic", lambda f: hub_judges.clip(f / "openai--clip-vit-large-patch14"), "linearMSE.pth"),
        ("hpsv2.1", lambda f: hub_judges.hpsv2(f / "HPSv2"), "vocab.json"),
        ("hpsv3", lambda f: hub_judges.hpsv3(f / "HPSv3", f / "base"), "preprocessor_config.json"),
    ),
)
def test_what_a_judge_needs_beside_its_weights_is_named(name, build, says, roots):
    build(roots.judges[0])
    for file in roots.judges[0].rglob("vocab.*"):
        file.unlink()
    with pytest.raises(AigcError, match=says):
        judges.open_discriminator(name, roots=roots)


def test_the_list_has_them_in_a_group_of_their_own_behind_the_others(roots):
    judge_file(roots.judges[0] / "mine.safetensors")
    hub_judges.clip(roots.judges[0] / "PickScore_v1")
    hub_judges.hpsv3(roots.judges[0], roots.judges[0] / "Qwen--Qwen2-VL-7B-Instruct")
    names = judges.names(roots)
    assert names[-len(TABLE) :] == list(TABLE) and names[-len(TABLE) - 1] == "mine"
    assert not [name for name in names if "HPSv3" in name or "model" in name]  # their weights are no judges of ours
    assert set(closed_form.TABLE) <= set(names[: -len(TABLE)])


def test_places_in_turn_own_folder_downloads_and_the_cache(roots, tmp_path: Path):
    made = tmp_path / "made"
    hub_judges.clip(made)

    def found() -> Path | None:
        return judges.open_discriminator("pickscore", roots=roots).path

    snapshot = tmp_path / "hf" / "models--yuvalkirstain--PickScore_v1" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    os.symlink(made, snapshot)
    assert found() == snapshot
    for place in (roots.judges[0] / "PickScore_v1", roots.diffusers[0] / "yuvalkirstain--PickScore_v1"):
        place.parent.mkdir(parents=True)
        os.symlink(made, place)
        assert found() == place
    before = judges.fingerprint("pickscore", roots=roots)
    os.utime(made, (1, 1))
    assert judges.fingerprint("pickscore", roots=roots) != before
    half = roots.diffusers[0] / "yuvalkirstain--PickScore_v1" / "model.safetensors"
    half.unlink()
    with pytest.raises(AigcError, match="aigc models pull"):
        found()


def test_another_model_of_the_same_kind_and_the_hosts_tokenizer(roots, tmp_path: Path):
    from .tiny import clip_tokenizer_files

    own = roots.judges[0] / "my-clip"
    hub_judges.clip(own)
    for name in ("vocab.json", "merges.txt"):
        (own / name).unlink()
    with pytest.raises(AigcError, match=r"vocab\.json"):
        judges.open_discriminator("pickscore:my-clip", roots=roots)
    host = Roots(judges=roots.judges, tokenizers={"clip": clip_tokenizer_files(tmp_path / "words")})
    judge = judges.open_discriminator("pickscore:my-clip", roots=host)
    assert dict(judge.files)["tokenizer"].parent == tmp_path / "words"
    assert len(scoring.score(judge, ONE, prompts=("a cat",), runtime=CPU).values) == 1


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_pickle_runs_no_code_and_a_torn_file_is_said(roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    own = roots.judges[0] / "HPSv2"
    hub_judges.hpsv2(own)
    judge = judges.open_discriminator("hpsv2.1", roots=roots)
    weights = own / "HPS_v2.1_compressed.pt"
    whole = weights.read_bytes()
    for bad in (pickle.dumps(Evil()), whole[:5000], b""):
        weights.write_bytes(bad)
        with pytest.raises(AigcError, match="cannot be read safely"):
            scoring.score(judge, ONE, prompts=("a",), runtime=CPU)
    torch.save({"state_dict": {}, "more": Evil()}, weights)
    with pytest.raises(AigcError, match="cannot be read safely"):
        scoring.score(judge, ONE, prompts=("a",), runtime=CPU)
    assert not (tmp_path / "evil").exists()
    weights.write_bytes(whole)
    assert len(scoring.score(judge, ONE, prompts=("a",), runtime=CPU).values) == 1


class Moving(Runtime):
    """A host's memory manager: weights that come to a device are copies."""

    @contextmanager
    def placed(self, parts, activation_bytes=0):
        for parameter in (parameter for part in parts for parameter in part.parameters()):
            parameter.data = parameter.data.clone()
        yield


def test_a_heatmap_has_its_slope_also_when_a_host_places_weights_in_inference_mode(roots):
    hub_judges.clip(roots.judges[0] / "PickScore_v1")
    judge = judges.open_discriminator("pickscore", roots=roots)
    with torch.inference_mode():
        found = scoring.heatmap(judge, torch.rand(2, 40, 30, 3), prompts=("a cat",), runtime=Moving("cpu"))
    assert found.shape == (2, 40, 30) and float(found.abs().max()) > 0
    judges.release_all(CPU)


def test_another_layout_is_refused_with_a_name_of_what_is_missing(roots):
    own = roots.judges[0] / "PickScore_v1"
    hub_judges.clip(own)
    from safetensors.torch import load_file, save_file

    tensors = load_file(str(own / "model.safetensors"))
    tensors["text_projection.weights"] = tensors.pop("text_projection.weight")
    save_file(tensors, str(own / "model.safetensors"), metadata={"format": "pt"})
    judge = judges.open_discriminator("pickscore", roots=roots)
    with pytest.raises(AigcError, match=r"without text_projection\.weight"):
        scoring.score(judge, ONE, prompts=("a",), runtime=CPU)


def test_a_siglip_of_any_size_is_refused(roots):
    own = roots.judges[0] / "google--siglip2-so400m-patch14-384"
    hub_judges.siglip(own)
    config = json.loads((own / "config.json").read_text("utf-8"))
    hub_judges.write(own / "config.json", {**config, "model_type": "siglip2"})
    judge = judges.open_discriminator("siglip2", roots=roots)
    with pytest.raises(AigcError, match="fixed size"):
        scoring.score(judge, ONE, prompts=("a",), runtime=CPU)


def test_the_description_names_licence_and_range(roots):
    hub_judges.clip(roots.judges[0] / "PickScore_v1")
    judge = judges.open_discriminator("pickscore", roots=roots)
    said = judges.describe(judge)
    assert "licence: MIT (code); weights unknown" in said and "18 to 24" in said and "wants a prompt" in said
    with pytest.raises(AigcError, match="fill in prompt"):
        scoring.score(judge, ONE, runtime=CPU)
    assert isinstance(judge, Discriminator) and hash(judge) == hash(judges.open_discriminator("pickscore", roots=roots))


def test_a_model_of_one_network_is_pulled_with_its_plain_files_and_listed(roots, monkeypatch: pytest.MonkeyPatch):
    files = {
        "config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n", "vocab.json": b"{}", "run.py": b"", "model.bin": b"x",
        "model.safetensors": b"w" * 100, "pytorch_model.bin": b"p" * 100, "onnx/model.onnx": b"o",
    }  # fmt: skip
    with serving(Hub(files)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        path = resolve("hf:maker/tiny", roots, download=True).path
    assert {file.name for file in path.iterdir()} == {
        "config.json", "README.md", "vocab.json", "model.safetensors", "aigc_manifest.json",
    }  # fmt: skip
    assert resolve("maker/tiny", roots).path == path and is_whole_network(path)
    assert [(entry.name, entry.licence) for entry in inventory(roots)] == [("maker--tiny", "mit")]


def test_pickles_are_pulled_only_where_the_judges_need_them():
    for repo, named in NAMED.items():
        assert wanted_files(repo, [*named, "README.md", "other.bin"])[-len(named) :] == list(named)
    with pytest.raises(AigcError, match="can run code"):
        wanted_files("owner/name", ["config.json", "pytorch_model.bin"])
