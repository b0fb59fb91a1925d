"""Tokenizers of single files: from the words beside a text encoder, or from the host's files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import load_part
from pipelines.loading.families import CONFIGS
from pipelines.loading.single_file import CheckpointModel
from pipelines.payloads import PartFile


def sentencepiece_model(**options: Any) -> bytes:
    out, lines = (
        io.BytesIO(),
        ["the cat sat on the mat", "a photo of a house", "full width ＡＢＣ，and。", "日本語 の 文"] * 20,
    )
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        hard_vocab_limit=False,
        minloglevel=2,
        pad_id=0,
        eos_id=1,
        **options,
    )
    return out.getvalue()


UNIGRAM = {"model_type": "unigram", "vocab_size": 60, "unk_id": 2, "bos_id": -1}
BPE = {
    "model_type": "bpe", "vocab_size": 300, "bos_id": 2, "unk_id": 3, "byte_fallback": True, "add_dummy_prefix": False,
    "normalization_rule_name": "identity", "remove_extra_whitespaces": False, "pad_piece": "<pad>", "eos_piece": "<eos>",
    "bos_piece": "<bos>", "user_defined_symbols": ["▁▁", "\n"],
}  # fmt: skip
TEXTS = ["a photo of a cat, highly", "ＡＢＣ，the  house。 ", "über 日本", "the\ncat"]


@pytest.mark.parametrize(("family", "options"), [("wan21_t2v_14b", UNIGRAM), ("lumina2", BPE)])
def test_the_words_beside_a_text_encoder_are_sentencepiece_s_own(tmp_path: Path, family: str, options: dict[str, Any]):
    data = sentencepiece_model(**options)
    path = tmp_path / "encoder.safetensors"
    save_file({"spiece_model": torch.frombuffer(bytearray(data), dtype=torch.uint8), "w": torch.ones(1)}, path)
    # The host's T5 files are another model's: a family that brings its words never takes them.
    model = CheckpointModel(path, CONFIGS / family, "", tokenizers={"t5": tmp_path})
    ours = load_part(model.with_part(PartFile("text_encoder", path)), "tokenizer", dtype=None)
    theirs = sentencepiece.SentencePieceProcessor(
        model_proto=data, add_bos=family == "lumina2", add_eos=family != "lumina2"
    )
    for text in TEXTS:
        if family == "lumina2" or "\n" not in text:  # T5's kind drops line ends before its words are looked up
            assert ours(text).input_ids == theirs.encode(text), text
    padded = ours(["a", "a photo of a cat"], padding="max_length", max_length=24, truncation=True)
    assert [sum(row) for row in padded.attention_mask] == [
        len(ours("a").input_ids),
        len(ours("a photo of a cat").input_ids),
    ]
    assert padded.input_ids[0][-1] == 0


@pytest.mark.parametrize("stored", [{}, {"spiece_model": torch.arange(9, dtype=torch.uint8)}])
def test_a_text_encoder_without_its_words_is_refused(tmp_path: Path, stored: dict[str, torch.Tensor]):
    path = tmp_path / "encoder.safetensors"
    save_file({**stored, "w": torch.ones(1)}, path)
    model = CheckpointModel(path, CONFIGS / "wan21_t2v_14b", "").with_part(PartFile("text_encoder", path))
    with pytest.raises(AigcError, match=r"words of T5|sentencepiece model"):
        load_part(model, "tokenizer", dtype=None)


def test_z_image_asks_as_its_makers_do(tmp_path: Path):
    (tmp_path / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate("abc|<>_\nĊ")}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    model = CheckpointModel(
        CONFIGS / "z_image" / "model_index.json", CONFIGS / "z_image", "", tokenizers={"qwen": tmp_path}
    )
    tokenizer = load_part(model, "tokenizer", dtype=None)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "a cat"}], tokenize=False, add_generation_prompt=True, enable_thinking=True
    )
    assert asked == "<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n"
    bare = CheckpointModel(model.path, model.config, "", tokenizers={})
    with pytest.raises(AigcError, match=r"QWEN's vocab\.json"):
        load_part(bare, "tokenizer", dtype=None)


def qwen_words(folder: Path) -> Path:
    """The host's files of Qwen's words, small, with an older word in a place of Qwen 3's."""
    (folder / "vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate("abc|<>_\nĊ")}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    late = {
        str(number): {"content": word, "special": True}
        for number, word in ((151655, "<|image_pad|>"), (151667, "<|meta|>"))
    }
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": late}))
    return folder


def test_klein_asks_as_its_makers_do_with_an_empty_thought(tmp_path: Path):
    config = CONFIGS / "flux2_klein_4b"
    model = CheckpointModel(config / "model_index.json", config, "", tokenizers={"qwen": qwen_words(tmp_path)})
    tokenizer = load_part(model, "tokenizer", dtype=None)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "a cat"}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert asked == "<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert tokenizer.unk_token is None and tokenizer.pad_token == "<|endoftext|>"
    # Each is one token, and not the word that the host's older file has in its place.
    assert all(len(tokenizer(word).input_ids) == 1 for word in ("<think>", "</think>", "<|im_start|>"))
    assert "<|meta|>" not in tokenizer.get_added_vocab()


def test_bytes_need_no_file(tmp_path: Path):
    config = CONFIGS / "hunyuan15_t2v_720p"
    model = CheckpointModel(config / "model_index.json", config, "", tokenizers={"t5": tmp_path})
    assert load_part(model, "tokenizer_2", dtype=None)("ab").input_ids == [100, 101, 1]
    assert load_part(model, "guider", dtype=None).guidance_scale == 6.0


def test_a_processor_has_the_model_s_tokenizer_and_sees_pictures(tmp_path: Path):
    config = CONFIGS / "qwen_image_edit_2509"
    model = CheckpointModel(config / "model_index.json", config, "", tokenizers={"qwen": qwen_words(tmp_path)})
    processor, tokenizer = (load_part(model, name, dtype=None) for name in ("processor", "tokenizer"))
    assert processor.tokenizer.get_vocab() == tokenizer.get_vocab()
    seen = processor(text=["a<|image_pad|>b"], images=[Image.new("RGB", (56, 56))], return_tensors="pt")
    assert seen["image_grid_thw"].tolist() == [[1, 4, 4]] and seen["pixel_values"].shape == (16, 3 * 2 * 14 * 14)
    assert seen["input_ids"].shape[1] == 2 + 4
