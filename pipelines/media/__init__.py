"""Sound and video as the host takes them: checked when they come in, in order when they go out."""

from .clip import Clip, clip, frame_rate, frames, in_a_row, one_batch
from .slides import slideshow
from .sound import Sound, at_rate, audio, emitted, heard

__all__ = [
    "Clip",
    "Sound",
    "at_rate",
    "audio",
    "clip",
    "emitted",
    "frame_rate",
    "frames",
    "heard",
    "in_a_row",
    "one_batch",
    "slideshow",
]
