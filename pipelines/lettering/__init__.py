"""Words set in type on pictures."""

from .layout import PLACES
from .setting import BACKS, Style, lettered

__all__ = ["BACKS", "PLACES", "Style", "lettered"]
