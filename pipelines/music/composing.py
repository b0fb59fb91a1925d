"""What the node asks for, as a piece: model, soundfont, melody that is heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sources.places import Roots
from ..sources.watch import Watch
from . import abc, fonts, model, piece, transcribe
from .synth import RATE


@dataclass(frozen=True)
class Composed:
    """sound: float32 [2, T] at RATE. abc: the melody."""

    sound: Any
    abc: str
    report: str


def composed(
    given: Mapping[str, Any],
    melody: Any,
    folder: Path,
    *,
    roots: Roots,
    watch: Watch | None = None,
    on_bar: piece.OnBar | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> Composed:
    """given: the node's inputs by name. melody: an AUDIO, or None. folder: of the model. on_bar, stops: as `piece.made`."""
    given = dict(given)
    font, why = fonts.font(given.pop("sound"), roots, watch)
    asked = piece.Asked(accompanied=given.pop("chords"), heard=heard(melody), **given)
    made = piece.made(model.load(folder), asked, font, on_bar=on_bar, stops=stops)
    return Composed(made.sound, abc.written(made.tune, tempo=round(made.plan.tempo)), piece.told(made, why))


def heard(melody: Any) -> Any:
    """The first sound of an AUDIO as one voice at transcribe.RATE."""
    if melody is None:
        return None
    from .. import media

    sound = media.at_rate(media.heard(melody, "melody"), transcribe.RATE)
    return sound.waveform[0].mean(0).numpy()


__all__ = ["RATE", "Composed", "composed", "heard"]
