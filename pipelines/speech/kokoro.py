"""Kokoro-82M (hexgrad 2025, Apache-2.0; StyleTTS 2, Li et al. 2023, arXiv 2306.07691): sounds to a waveform, by ONNX Runtime."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import AigcError
from . import floats

RATE = 24000
LONGEST = 510  # tokens of one call
# The numbers of the sounds and signs in the model's first layer.
ALPHABET = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, "—": 9, "…": 10, '"': 11, "(": 12, ")": 13, "“": 14, "”": 15, " ": 16,
    "ʦ": 20, "ʨ": 21, "ꭧ": 23, "A": 24, "I": 25, "O": 31, "Q": 33, "W": 39, "Y": 41, "ᵊ": 42, "a": 43, "b": 44, "d": 46, "e": 47,
    "f": 48, "h": 50, "i": 51, "j": 52, "k": 53, "l": 54, "m": 55, "n": 56, "o": 57, "p": 58, "s": 61, "t": 62, "u": 63, "v": 64,
    "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69, "ɐ": 70, "æ": 72, "ɔ": 76, "ɕ": 77, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86,
    "ɜ": 87, "ɡ": 92, "ɥ": 99, "ɨ": 101, "ɪ": 102, "ŋ": 112, "θ": 119, "ɹ": 123, "ɾ": 125, "ɻ": 126, "ʂ": 130, "ʃ": 131, "ʧ": 133,
    "ʊ": 135, "ʌ": 138, "ɤ": 140, "ʒ": 147, "ʔ": 148, "ˈ": 156, "ˌ": 157, "ː": 158, "ʰ": 162, "↓": 169, "→": 171, "↗": 172,
    "↘": 173, "ᵻ": 177,
}  # fmt: skip
INSTALL = "Install it with `pip install onnxruntime` in ComfyUI's Python and restart ComfyUI."


def tokens(sounds: str) -> list[int]:
    """The known sounds as numbers."""
    return [ALPHABET[sound] for sound in sounds if sound in ALPHABET]


@lru_cache(maxsize=1)
def session(path: Path) -> Any:
    """The model, on the processor. Raises AigcError when ONNX Runtime is missing or the file is damaged."""
    try:
        import onnxruntime
    except ImportError as error:
        raise AigcError(
            f"Expected ONNX Runtime to speak with Kokoro, but it cannot be imported ({error}). {INSTALL}"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(floats.converted(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common class
        raise AigcError(
            f"Expected an ONNX model in {path}, got {str(error)[:200]}. Delete its folder to download it again."
        ) from error


def waveform(model: Any, sounds: str, style: Any, speed: float) -> Any:
    """[T] at 24 kHz, float32, of up to 510 tokens. style: [lengths, 256].

    Its working memory is given back: kept, it would grow with every piece that is longer than those before it.
    """
    import numpy as np
    import onnxruntime

    numbers = tokens(sounds)
    given = {
        "tokens": np.array([[0, *numbers, 0]], np.int64),
        "style": style[min(len(numbers), len(style)) - 1][None],
        "speed": np.array([speed], np.float32),
    }
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return model.run(None, given, options)[0].reshape(-1)


def release() -> None:
    """Give the model's memory back."""
    session.cache_clear()
