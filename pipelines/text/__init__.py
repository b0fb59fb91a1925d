"""Text by a language model, on this machine or on a server.

generating.generate(asked, sampling, name, *, roots, endpoint="", on_text, runtime, watch) -> str
writing.prompts.write, writing.copy.write: a prompt for an image model; a slogan, a character's line, the scenes of a story
"""

from .asking import Asked, Sampling, stops_of

__all__ = ["Asked", "Sampling", "stops_of"]
