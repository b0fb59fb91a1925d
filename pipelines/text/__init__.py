"""Text by a language model, on this machine or on a server.

generating.generate(asked, sampling, name, *, roots, endpoint="", on_text, runtime, watch) -> str
"""

from .asking import Asked, Sampling, stops_of

__all__ = ["Asked", "Sampling", "stops_of"]
