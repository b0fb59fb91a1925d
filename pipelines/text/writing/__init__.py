"""Prompts and short lines, by a language model or by tables of our own.

prompts.write(words, kind, style, *, seed, ask, vocabulary) -> Written
copy.write(task, about, *, count, seed, ask) -> (lines, report)
"""

from .prompts import KINDS, Written, write
from .tables import STYLES
from .tasks import TASKS

__all__ = ["KINDS", "STYLES", "TASKS", "Written", "write"]
