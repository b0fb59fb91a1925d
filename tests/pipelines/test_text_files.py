"""Language models in files: GGUF unpacked once, and what a name means."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.sources import Roots, Watch, registry
from pipelines.text import Asked, Sampling, converting, finding, llama, packed
from pipelines.text.generating import generate
from pipelines.text.opening import opened

from . import language

RUNTIME = Runtime("cpu")


def gguf_of(folder: Path, path: Path, *, pre: str = "smollm", kind: str = "Q8_0") -> Path:
    """A tiny Llama as llama.cpp writes it: rows of q and k with turning numbers as neighbours, matrices packed."""
    model = opened(folder, torch.float32)
    config, words = model.model.config, model.tokenizer
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    tokens = [words.convert_ids_to_tokens(number) or f"<unused{number}>" for number in range(config.vocab_size)]
    tokens[270] = "Ġt"
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in language.SPECIAL else 1 for token in tokens])
    writer.add_token_merges(["Ġ t"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    writer.add_pad_token_id(257)
    writer.add_chat_template(language.CHAT)
    packing = getattr(gguf.GGMLQuantizationType, kind)
    names = {ours: theirs for theirs, ours in {**llama.ENDS}.items()}
    for name, value in model.model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        parts = name.split(".")
        theirs = names.get(name)
        if theirs is None:
            (part,) = [short for short, long in llama.PARTS.items() if name.endswith(f"{long}.weight")]
            theirs = f"blk.{parts[2]}.{part}.weight"
            if part in ("attn_q", "attn_k"):
                heads = config.num_attention_heads if part == "attn_q" else config.num_key_value_heads
                value = value.reshape(heads, 2, -1, value.shape[-1]).swapaxes(1, 2).reshape(value.shape)
        array = value.float().numpy()
        if array.ndim == 1 or array.shape[-1] % 32:
            writer.add_tensor(theirs, array)
        else:
            writer.add_tensor(theirs, gguf.quants.quantize(array, packing), raw_dtype=packing)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "tie_word_embeddings": True}
    return language.llama(tmp_path_factory.mktemp("own") / "llama", **sizes)


@pytest.fixture(scope="module")
def file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_of(folder, tmp_path_factory.mktemp("packed") / "tiny.Q8_0.gguf")


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_1"])
def test_packed_numbers_are_those_of_the_gguf_package(kind, tmp_path):
    numbers = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    packing = getattr(gguf.GGMLQuantizationType, kind)
    raw = gguf.quants.quantize(numbers, packing)
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_tensor("small", np.arange(3, dtype=np.float32))
    writer.add_tensor("x", raw, raw_dtype=packing)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = packed.read(tmp_path / "a.gguf")
    assert np.array_equal(found.tensor("x"), gguf.quants.dequantize(raw, packing))
    assert found.tensor("small").tolist() == [0, 1, 2] and found.tensors["x"][1] == (3, 64)


def test_an_unpacked_llama_says_what_the_packed_one_was_made_of(folder, file, tmp_path):
    made = converting.unpacked(file, tmp_path / "LLM" / "tiny", watch=Watch(), licence="mit", source="here")
    was, now = opened(folder, torch.float32), opened(made, torch.float32)
    for (name, one), other in zip(was.model.state_dict().items(), now.model.state_dict().values()):
        assert torch.allclose(one, other, atol=0.02 * float(one.abs().max())), name
    text = "It's 1234 你好 <|im_end|>"
    assert now.tokenizer.decode(now.tokenizer(text)["input_ids"]) == text
    assert now.tokenizer.chat_template == language.CHAT and now.tokenizer.eos_token_id == 257
    assert "license: mit" in (made / "README.md").read_text() and [p.name for p in made.parent.iterdir()] == ["tiny"]


def test_other_kinds_of_gguf_go_through_transformers(folder, tmp_path):
    other = gguf_of(folder, tmp_path / "other.gguf", pre="llama-bpe")
    assert not llama.fits(packed.read(other))
    made = converting.unpacked(other, tmp_path / "LLM" / "other", watch=Watch())
    was, now = opened(folder, torch.float32), opened(made, torch.float32)
    for name, one in was.model.state_dict().items():
        assert torch.allclose(one, now.model.state_dict()[name], atol=0.02 * float(one.abs().max())), name


def test_it_is_unpacked_once_and_anew_when_the_file_is_newer(file, tmp_path):
    import os

    copy = tmp_path / "copy.gguf"
    copy.write_bytes(file.read_bytes())
    made = converting.unpacked(copy, tmp_path / "LLM" / "copy", watch=Watch())
    stamp = (made / "config.json").stat().st_mtime_ns
    assert converting.unpacked(copy, made, watch=Watch()) == made
    assert (made / "config.json").stat().st_mtime_ns == stamp
    later = stamp / 1e9 + 100
    os.utime(copy, (later, later))
    converting.unpacked(copy, made, watch=Watch())
    assert (made / "config.json").stat().st_mtime_ns != stamp


def test_damage_is_named_and_leaves_nothing(file, tmp_path):
    whole = file.read_bytes()
    for number, cut in enumerate((3, 40, len(whole) // 3, len(whole) - 40)):
        bad = tmp_path / f"bad{number}.gguf"
        bad.write_bytes(whole[:cut])
        with pytest.raises(AigcError, match=f"Expected a GGUF of a language model.*bad{number}"):
            converting.unpacked(bad, tmp_path / "LLM" / "bad", watch=Watch())
    assert not list((tmp_path / "LLM").iterdir())


def test_a_full_disk_is_said_before_it_is_filled(file, tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "SPARE", 2**60)
    with pytest.raises(AigcError, match=r"Expected room to unpack.*GB free of"):
        converting.unpacked(file, tmp_path / "LLM" / "a", watch=Watch())


def test_the_default_is_fetched_and_unpacked_once_and_found_by_its_name(file, tmp_path, monkeypatch):
    calls = []

    def fetch(spec: str, roots: Roots, **_: object) -> Path:
        calls.append(spec)
        return file

    monkeypatch.setattr(registry, "fetch", fetch)
    roots = Roots(language_models=(tmp_path / "LLM",))
    first = generate(Asked("hi"), Sampling(8), roots=roots, runtime=RUNTIME)
    assert generate(Asked("hi"), Sampling(8), finding.DEFAULT, roots=roots, runtime=RUNTIME) == first
    assert calls == [finding.PACKAGE] and finding.names(roots) == [finding.DEFAULT]
    assert "apache-2.0" in (tmp_path / "LLM" / finding.DEFAULT / "README.md").read_text()


def test_names_are_folders_and_files_of_the_models_folder(folder, file, tmp_path):
    home = tmp_path / "LLM"
    (home / "maker").mkdir(parents=True)
    import shutil

    shutil.copytree(folder, home / "maker" / "model")
    shutil.copy(file, home / "tiny.gguf")
    roots = Roots(language_models=(home,))
    assert finding.names(roots) == [finding.DEFAULT, "maker/model", "tiny.gguf"]
    assert finding.folder_of("maker/model", roots) == home / "maker" / "model"
    assert finding.folder_of(str(home / "maker" / "model"), roots) == home / "maker" / "model"
    made = finding.folder_of("tiny.gguf", roots)
    assert made == home / "tiny" == finding.folder_of(str(home / "tiny.gguf"), roots)
    before = finding.stamp("maker/model", roots)
    weights = home / "maker" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert finding.stamp("maker/model", roots) != before and finding.stamp("nothing", roots) == "nothing"


def test_without_a_folder_for_language_models_that_is_said():
    with pytest.raises(AigcError, match="Expected a folder for language models"):
        finding.folder_of("", Roots())


def test_the_folder_that_is_unpacked_holds_the_same_for_the_same_file(file, tmp_path):
    digests = []
    for place in ("a", "b"):
        made = converting.unpacked(file, tmp_path / place / "m", watch=Watch())
        digests.append(
            [hashlib.sha256((made / name).read_bytes()).hexdigest() for name in ("model.safetensors", "config.json")]
        )
    assert digests[0] == digests[1]
