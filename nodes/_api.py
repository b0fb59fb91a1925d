"""The only module that imports `comfy_api`: schemas that older hosts accept, the base class of our nodes."""

from __future__ import annotations

import functools
import inspect
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import ComfyExtension, InputImpl, Types, io

from ..pipelines.errors import AigcError, absent

if TYPE_CHECKING:
    from ..pipelines.media import Clip

__all__ = ["ComfyExtension", "InputImpl", "Node", "Types", "inp", "io", "schema", "video"]

_SCHEMA_FIELDS = {field.name for field in fields(io.Schema)}


def schema(**values: Any) -> io.Schema:
    """An io.Schema without the fields that this host does not know."""
    return io.Schema(**{name: value for name, value in values.items() if name in _SCHEMA_FIELDS})


def inp(kind: type[io.Input], name: str, **values: Any) -> io.Input:
    """An input of `kind` without the options that this host does not know."""
    known = _options(kind)
    return kind(name, **{option: value for option, value in values.items() if option in known})


@functools.cache
def _options(kind: type[io.Input]) -> frozenset[str]:
    return frozenset(inspect.signature(kind.__init__).parameters)


class _Video(InputImpl.VideoFromComponents):
    """The host's video of frames. Host 0.3.75 cannot write one into memory, which is what `get_stream_source` asks for."""

    def save_to(self, path: Any, *args: Any, **kwargs: Any) -> None:
        if not hasattr(path, "write"):
            return super().save_to(path, *args, **kwargs)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "video.mp4"
            super().save_to(str(file), *args, **kwargs)
            with file.open("rb") as written:
                shutil.copyfileobj(written, path)


def video(clip: Clip) -> Any:
    """A clip as the host's VIDEO."""
    parts = Types.VideoComponents(images=clip.frames, audio=clip.audio, frame_rate=clip.rate)
    return _Video(parts)


class Node(io.ComfyNode):
    """Base of our nodes: an engine error reaches the canvas with the node's display name in front, and so does a missing package.

    Nothing else is caught, so that the host's interrupt and out-of-memory errors pass unchanged.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        execute = cls.__dict__.get("execute")
        # The host clones and locks node classes for each run; those copies arrive here wrapped already.
        if execute is not None and not hasattr(execute.__func__, "__wrapped__"):
            cls.execute = classmethod(_named(execute.__func__))


def _named(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    @functools.wraps(execute)
    def run(cls: type[Node], **inputs: Any) -> io.NodeOutput:
        try:
            output = execute(cls, **inputs)
            _check_finite(output)
        except AigcError as error:
            raise AigcError(f"{cls.define_schema().display_name}: {error}") from error
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if not package or find_spec(package) is not None:  # a mistake of somebody's, not a package that is missing
                raise
            raise AigcError(f"{cls.define_schema().display_name}: {absent(package)}") from error
        return output

    return run


def _check_finite(output: io.NodeOutput) -> None:
    """Refuse NaN and infinity here, where they arise, instead of a black picture three nodes later."""
    import torch

    values = [one for value in output.args for one in (value if isinstance(value, list) else [value])]
    for value in values:
        if isinstance(value, dict):
            value = value.get("samples", value.get("waveform"))
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not torch.isfinite(value).all():
            raise AigcError(
                "Expected finite numbers, got NaN or infinity in the result: this dtype is too small for the "
                "model, or cfg is too high. Load the model with dtype float32, or lower cfg."
            )
