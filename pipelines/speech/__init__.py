"""Text to speech: the default that comes from a package index, and any text-to-waveform model of transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import AigcError
from .voices import AUTO, names

if TYPE_CHECKING:
    from ..runtime import Runtime
    from ..sources import Roots, Watch

DEFAULT = "kokoro"
LANGUAGES = ("auto", "en", "zh")


def speak(
    text: str,
    *,
    voice: str = AUTO,
    speed: float = 1.0,
    language: str = "auto",
    seed: int = 0,
    model: str = "",
    reference: Any = None,
    reference_text: str = "",
    roots: Roots,
    runtime: Runtime,
    watch: Watch | None = None,
    on_piece: Callable[[int, int], None] = lambda done, total: None,
    stops: tuple[type[BaseException], ...] = (),
) -> dict[str, Any]:
    """A text as {"waveform": [1, 1, T], "sample_rate": int}.

    model: "" or "kokoro" for the default, which has `voice`; else a folder or hub id, which has `seed` and maybe `reference`.
    Everything else as in `speaking.speak` and `foreign.speak`.
    """
    watched = {"roots": roots, "watch": watch, "on_piece": on_piece, "stops": stops}
    if model.strip() in ("", DEFAULT):
        from . import speaking

        if reference is not None:
            raise AigcError(
                "Expected no reference for Kokoro, whose voices are fixed. Take it off, or name a model that imitates."
            )
        return speaking.speak(text, voice, speed=speed, language=language, **watched)
    from . import foreign

    shown = foreign.Reference(reference, reference_text) if reference is not None else None
    return foreign.speak(
        text, model.strip(), reference=shown, speed=speed, seed=seed, language=language, runtime=runtime, **watched
    )


def lines(text: str) -> list[str]:
    """The lines of a text that say something; the whole text where none does, which `speak` then refuses."""
    return [line.strip() for line in text.splitlines() if line.strip()] or [text]


def speak_each(
    texts: Sequence[str],
    *,
    voice: str = AUTO,
    on_piece: Callable[[int, int], None] = lambda done, total: None,
    stops: tuple[type[BaseException], ...] = (),
    **given: Any,
) -> list[dict[str, Any]]:
    """A sound for each text, all by one voice: "auto" goes by what all of them are mostly in. given: as for `speak`.

    on_piece: each text is an equal part of the whole. stops: end a single text with what was spoken; several are all or none.
    """
    if len(texts) == 1:
        return [speak(texts[0], voice=voice, on_piece=on_piece, stops=stops, **given)]
    if voice == AUTO:
        from . import speaking, voices

        voice = voices.chosen(AUTO, speaking.main_language("\n".join(texts), given.get("language", "auto")))
    made = []
    for number, text in enumerate(texts):

        def on_part(done: int, total: int, before: int = number) -> None:
            on_piece(before * total + done, len(texts) * total)

        made.append(speak(text, voice=voice, on_piece=on_part, **given))
    return made


__all__ = ["AUTO", "DEFAULT", "LANGUAGES", "lines", "names", "speak", "speak_each"]
