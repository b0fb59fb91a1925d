"""Text to speech: the default that comes from a package index, and any text-to-waveform model of transformers."""

from __future__ import annotations

from collections.abc import Callable
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


__all__ = ["AUTO", "DEFAULT", "LANGUAGES", "names", "speak"]
