"""Which implementation runs a model: the classic pipeline's, or the one of the same name in `modular`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ..payloads import Model

F = TypeVar("F", bound=Callable[..., Any])


def by_kind(classic: F) -> F:
    """Hand a modular model to the function of the same name in `modular`; the first argument is the model."""

    @functools.wraps(classic)
    def chosen(model: Model, *args: Any, **kwargs: Any) -> Any:
        from . import modular

        function = getattr(modular, classic.__name__) if modular.handles(model) else classic
        return function(model, *args, **kwargs)

    return chosen  # type: ignore[return-value]
