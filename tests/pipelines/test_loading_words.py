"""Tokenizers of single files: from the words beside a text encoder, or from the host's files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import load_part
from pipelines.loading.families import CONFIGS
from pipelines.loading.single_file import CheckpointModel
from pipelines.payloads import PartFile
from tests.pipelines.checkpoints import offline

NETWORK = offline  # an autouse fixture: every test here runs without one


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
