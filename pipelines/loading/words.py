"""Tokenizers of single files: their words from the host's files, or from a sentencepiece model inside a file.

A sentencepiece model is a small protobuf: a list of pieces with scores, and a map by which text is normalised. Read here
by hand, since transformers would ask for two more packages to do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AigcError
from .folder import read_json

USER_DEFINED = 4  # a piece that is always one token, such as a run of blanks
# Files by which a folder brings a tokenizer of its own, whatever the host has.
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")


class Words(NamedTuple):
    """What a class reads of the host: the tokenizer's kind (a key of Roots.tokenizers) and the files it must have."""

    kind: str
    files: tuple[str, ...]


# By a word in the class's name.
TOKENIZERS = {
    "ByT5": Words("byt5", ()),  # its words are the bytes
    "CLIP": Words("clip", ("vocab.json", "merges.txt")),
    "T5": Words("t5", ("tokenizer.json",)),
    "Qwen2": Words("qwen", ("vocab.json", "merges.txt")),
    "Llama": Words("pile", ("tokenizer.model",)),
}


@dataclass(frozen=True)
class Pieces:
    """A sentencepiece model: (piece, score, kind) by id, and its precompiled normalisation (b"" for none)."""

    entries: list[tuple[str, float, int]]
    charsmap: bytes


def tokenizer(cls: Any, folder: Path, *, files: Path | None, model: bytes | None, kind: str, asked_by: str) -> Any:
    """A tokenizer with the settings of `folder` (length, padding, template).

    kind, files: the host's kind of words ("" for none of it) and their folder.
    model: a sentencepiece model that the text encoder's file brought along.
    Raises AigcError when its words are not there.
    """
    if any((folder / name).is_file() for name in VOCABULARIES):
        return cls.from_pretrained(str(folder), local_files_only=True)
    settings = read_json(folder / "tokenizer_config.json")
    settings.pop("tokenizer_class", None)
    if model is not None:
        return from_pieces(cls, read_pieces(model), settings)
    words = next((words for words in TOKENIZERS.values() if words.kind == kind), None)
    if words is not None and not words.files:
        return cls(**settings)
    if words is None or files is None or not all((files / name).is_file() for name in words.files):
        raise _without_words(cls, words, files, asked_by)
    if words.kind == "clip":  # by its two files: the host's settings beside them say a length that crashes the encoder
        return cls(*(str(files / name) for name in words.files), **settings)
    if words.kind == "pile":
        return from_pieces(cls, read_pieces((files / words.files[0]).read_bytes()), settings)
    return cls.from_pretrained(str(files), local_files_only=True, **settings)


def kind_of(cls: type) -> str:
    """The key of Roots.tokenizers for a class; "" when the host has none."""
    return next((words.kind for part, words in TOKENIZERS.items() if part in cls.__name__), "")


def _without_words(cls: type, words: Words | None, files: Path | None, asked_by: str) -> AigcError:
    if words is None:
        return AigcError(
            f"Expected the words of {cls.__name__} beside the text encoder of {asked_by}, but they are not there. Connect "
            f"Replace Part with ComfyUI's file of this text encoder, which brings them, or use a diffusers folder."
        )
    return AigcError(
        f"Expected {words.kind.upper()}'s {' and '.join(words.files)} in {files or 'a folder given by the host'}, but they "
        f"are not there: {asked_by} comes without a tokenizer. Use ComfyUI's own copy, or the model as a diffusers folder."
    )


def from_pieces(cls: Any, pieces: Pieces, settings: dict[str, Any]) -> Any:
    """A tokenizer of transformers from a sentencepiece model: unigram for T5's kind, BPE for the others."""
    if "T5" in cls.__name__:
        vocabulary = [(piece, score) for piece, score, _ in pieces.entries]
        return cls(vocab=vocabulary, _spm_precompiled_charsmap=pieces.charsmap or None, **settings)
    vocabulary = {piece: number for number, (piece, _, _) in enumerate(pieces.entries)}
    made = cls(vocab=vocabulary, merges=_merges(pieces, vocabulary), **settings)
    made.add_tokens([piece for piece, _, kind in pieces.entries if kind == USER_DEFINED])
    return made


def _merges(pieces: Pieces, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to join two pieces into a third, the best score first: what BPE needs and the model leaves implied."""
    found = []
    for piece, score, _ in pieces.entries:
        halves = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        known = [(left, right) for left, right in halves if left in vocabulary and right in vocabulary]
        known.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
        found += [(-score, pair) for pair in known]
    found.sort(key=lambda entry: entry[0])
    return [pair for _, pair in found]


def read_pieces(model: bytes) -> Pieces:
    """Parse a sentencepiece model; AigcError when it is none."""
    import struct

    entries, charsmap = [], b""
    try:
        for field, value in _fields(model):
            if field == 1:
                parts = dict(_fields(value))
                score = struct.unpack("<f", parts.get(2, bytes(4)))[0]
                entries.append((parts[1].decode("utf-8"), score, parts.get(3, 1)))
            elif field == 3:
                charsmap = dict(_fields(value)).get(2, b"")
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise _no_words(f"{type(error).__name__}") from None
    if not entries:
        raise _no_words("it has no pieces")
    return Pieces(entries, charsmap)


def _no_words(came: str) -> AigcError:
    return AigcError(
        f"Expected a sentencepiece model beside the text encoder, got {came}: the file is damaged or not ComfyUI's. "
        f"Download the text encoder again."
    )


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message: numbers for varints, bytes for everything else."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            value, position = _varint(data, position)
        else:
            if wire == 2:
                length, position = _varint(data, position)
            else:
                length = {1: 8, 5: 4}[wire]
            value, position = data[position : position + length], position + length
        yield tag >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
