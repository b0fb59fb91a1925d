"""One call for both: a model on this machine, or a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..runtime import Runtime
from ..sources import Roots, Watch
from . import endpoint as server
from . import finding, local
from .asking import Asked, Sampling
from .local import OnText
from .opening import speaking


def _quiet(*_: object) -> None:
    pass


def asker(name: str, **given: Any) -> Callable[[Asked, Sampling], str]:
    """A model to be asked again and again; what is given is as for `generate`."""
    return lambda asked, sampling: generate(asked, sampling, name, **given)


def generate(
    asked: Asked,
    sampling: Sampling,
    name: str = "",
    *,
    roots: Roots,
    endpoint: str = "",
    on_text: OnText = _quiet,
    runtime: Runtime | None = None,
    watch: Watch | None = None,
) -> str:
    """The answer of the model `name`, here or, with an endpoint, on that server. Raises AigcError.

    on_text(text so far, new tokens, most) follows each word, and has all that was written also when the run is stopped.
    """
    runtime = runtime or Runtime()
    if endpoint.strip():
        return server.answer(asked, sampling, name, endpoint, on_text=on_text, check_interrupt=runtime.check_interrupt)
    folder = finding.folder_of(name, roots, watch)
    with speaking(folder, runtime) as language:
        return local.answer(language, asked, sampling, on_text=on_text, runtime=runtime)
