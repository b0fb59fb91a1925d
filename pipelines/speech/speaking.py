"""Text to sound with the model that needs no hub: in words, in sounds, in pieces, spoken one by one, joined."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import AigcError
from ..sources import Roots, Watch
from . import LANGUAGES, data, english, kokoro, mandarin, pieces, voices
from .spoken import languages, runs, spoken

MOST = 200  # tokens of a piece, about 13 seconds: 300 took a fifth more memory and no less time a second
SLOWEST, FASTEST = 0.5, 2.0


def speak(
    text: str,
    voice: str = voices.AUTO,
    *,
    speed: float = 1.0,
    language: str = "auto",
    roots: Roots,
    watch: Watch | None = None,
    on_piece: Callable[[int, int], None] = lambda done, total: None,
    stops: tuple[type[BaseException], ...] = (),
) -> dict[str, Any]:
    """A text in English, Chinese or both as {"waveform": [1, 1, T], "sample_rate": 24000}.

    on_piece(done, total) is called before each piece and may raise: one of `stops` then ends the text after the pieces that
    are spoken, everything else and a stop before the first one passes through. The same text gives the same sound.
    Raises AigcError for a text without anything to say, a wrong voice, speed or language, and a missing package.
    """
    import torch

    _check(text, speed, language)
    said, speaker, model = prepared(text, voice, language, roots, watch)
    waves: list[Any] = []
    try:
        for number, piece in enumerate(said):
            on_piece(number, len(said))
            wave = kokoro.waveform(model, piece.sounds, speaker.style, speed)
            waves.append(pieces.trimmed(wave, kokoro.RATE) * speaker.gain)
        on_piece(len(said), len(said))
    except stops:
        if not waves:
            raise
    sound = pieces.joined(waves, [piece.pause for piece in said], kokoro.RATE, speed)
    if not len(sound):
        raise AigcError(f"Expected speech from {text[:80]!r}, but the model was silent. Write it in other words.")
    return {"waveform": torch.from_numpy(sound)[None, None], "sample_rate": kokoro.RATE}


def prepared(
    text: str, voice: str, language: str, roots: Roots, watch: Watch | None
) -> tuple[list[pieces.Piece], voices.Voice, Any]:
    """The pieces in sounds, the voice, and the open model; what is not here is downloaded."""
    words = "".join(run.text for run in spoken(text, language))
    pronounce = _pronounce(words, roots, watch)
    said = pieces.split(words, pronounce, lambda sounds: len(kokoro.tokens(sounds)), MOST)
    if not said:
        raise AigcError(
            f"Expected English or Chinese words to speak, got {text[:80]!r}. Other languages need another model."
        )
    chosen = voices.chosen(voice, main_language(text, language))
    return said, voices.opened(voices.file(roots), chosen), kokoro.session(data.weights(roots, watch))


def main_language(text: str, language: str) -> str:
    """What a text is mostly in: a word weighs as much as a character and a half."""
    if language != "auto":
        return language
    words, characters = languages(text)
    return "zh" if characters > 1.5 * words else "en"


def _pronounce(words: str, roots: Roots, watch: Watch | None) -> Callable[[str], str]:
    """Words to sounds; of the two dictionaries only those that the text needs are fetched and opened."""
    latin, han = languages(words)
    speakers = {
        "en": english.opened(data.english(roots, watch)).phonemes if latin else _nothing,
        "zh": mandarin.opened(data.chinese(roots, watch)).phonemes if han else _nothing,
    }
    return partial(_sounds, speakers=speakers)


def _nothing(_: str) -> str:
    return ""


def _sounds(part: str, *, speakers: dict[str, Callable[[str], str]]) -> str:
    """By its letters alone: all numbers and signs are words by now."""
    return " ".join(speakers[run.language](run.text) for run in runs(part))


def _check(text: Any, speed: float, language: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise AigcError("Expected a text to speak, got none. Write or connect one.")
    if not SLOWEST <= speed <= FASTEST:
        raise AigcError(f"Expected a speed from {SLOWEST} to {FASTEST}, got {speed}. 1 is the voice's own.")
    if language not in LANGUAGES:
        raise AigcError(f"Expected one of the languages {', '.join(LANGUAGES)}, got {language[:60]!r}. Choose one.")
