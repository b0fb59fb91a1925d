"""What is written, as it is said: numbers, dates, times, money, units and abbreviations in words."""

from __future__ import annotations

from . import english, mandarin
from .runs import Run, languages, runs

WRITERS = {"en": english.spoken, "zh": mandarin.spoken}


def spoken(text: str, language: str = "auto") -> list[Run]:
    """The text in runs of one language, each in words.

    language: "auto", or what numbers and signs between two languages belong to, "en" or "zh".
    """
    return [
        Run(run.language, said) for run in runs(text, language) if (said := WRITERS[run.language](run.text)).strip()
    ]


__all__ = ["Run", "languages", "runs", "spoken"]
