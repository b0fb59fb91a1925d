"""Motion for the stills of a picture model that knows none: layers of our own that carry a still's latent along a motion."""

from .files import load, save
from .moved import Moved

__all__ = ["Moved", "load", "save"]
