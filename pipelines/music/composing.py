"""What the node asks for, as a piece: model, soundfont, melody that is heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..runtime import Runtime
from ..sources.places import Roots
from ..sources.watch import Watch
from . import abc, fonts, model, piece, quoting, transcribe
from .synth import RATE


@dataclass(frozen=True)
class Composed:
    """sound: an AUDIO. abc: the melody; empty for a model that writes none."""

    sound: dict[str, Any]
    abc: str
    report: str


def composed(
    given: Mapping[str, Any],
    melody: Any,
    folder: Path,
    *,
    roots: Roots,
    runtime: Runtime,
    watch: Watch | None = None,
    on_bar: piece.OnBar | None = None,
    stops: tuple[type[BaseException], ...] = (),
) -> Composed:
    """given: the node's inputs by name. melody: an AUDIO, or None. folder: of the model. on_bar, stops: as `piece.made`.

    given["model"]: another model, a MusicGen; it uses prompt, seconds, temperature and seed.
    """
    from .. import media

    given = dict(given)
    if source := given.pop("model", "").strip():
        return _foreign(source, given, melody, roots=roots, runtime=runtime, watch=watch, on_bar=on_bar, stops=stops)
    font, why = fonts.font(given.pop("sound"), roots, watch)
    asked = piece.Asked(accompanied=given.pop("chords"), heard=heard(melody), **given)
    made = piece.made(model.load(folder), asked, font, known=quoting.load(folder), on_bar=on_bar, stops=stops)
    sound = media.audio(made.sound, RATE)
    return Composed(sound, abc.written(made.tune, tempo=round(made.plan.tempo)), piece.told(made, why))


def _foreign(source: str, given: Mapping[str, Any], melody: Any, **host: Any) -> Composed:
    from . import foreign

    if given.get("opening", "").strip():
        raise AigcError(
            f"Expected no opening for {source}, which reads no ABC, got one: empty it, or connect a sound as melody."
        )
    asked = {name: given[name] for name in ("temperature", "seed")}
    sound = foreign.compose(given["prompt"], given["seconds"], source, melody=melody, **asked, **host)
    seconds = sound["waveform"].shape[-1] / sound["sample_rate"]
    return Composed(sound, "", f"{seconds:.1f} s by {source}, {sound['sample_rate']} Hz")


def heard(melody: Any) -> Any:
    """The first sound of an AUDIO as one voice at transcribe.RATE."""
    if melody is None:
        return None
    from .. import media

    sound = media.at_rate(media.heard(melody, "melody"), transcribe.RATE)
    return sound.waveform[0].mean(0).numpy()


__all__ = ["RATE", "Composed", "composed", "heard"]
