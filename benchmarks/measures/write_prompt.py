"""Write Prompt on 200 prompts of ours with their nouns listed: how many nouns are kept, by the tables and by the language model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..figures import HERE, ROOT, Figure
from .text_speed import default_model

PROMPTS = HERE / "data" / "prompts.json"
ASKED = ("sdxl", "flux")  # a kind that reads tags and one that reads sentences take turns


def measure() -> Iterator[Figure]:
    from pipelines.errors import AigcError
    from pipelines.runtime import Runtime
    from pipelines.sources import Roots
    from pipelines.text import generating
    from pipelines.text.writing import KINDS

    rows = json.loads(PROMPTS.read_text("utf-8"))
    kept, total, _ = nouns(rows, lambda number: list(KINDS), None)
    yield Figure(
        "write prompt: nouns kept, tables",
        100 * kept / total,
        "%",
        bar=100,
        at_least=True,
        detail=f"{total} nouns, {len(KINDS)} kinds each",
    )
    with tempfile.TemporaryDirectory() as place:
        try:
            folder = default_model(Path(place))
        except AigcError:
            return
        ask = generating.asker(str(folder), roots=Roots(language_models=(folder.parent,)), runtime=Runtime("cpu"))
        kept, total, used = nouns(rows, lambda number: [ASKED[number % 2]], ask)
    yield Figure(
        "write prompt: nouns kept, model",
        100 * kept / total,
        "%",
        bar=100,
        at_least=True,
        detail=f"{total} nouns, {' and '.join(ASKED)} in turn",
    )
    english = sum(row["prompt"].isascii() for row in rows)
    yield Figure(
        "write prompt: the model's answer was used",
        100 * used / english,
        "%",
        detail=f"of {english} English prompts; else the tables",
    )


def nouns(rows: list[dict[str, Any]], kinds: Callable[[int], list[str]], ask: Any) -> tuple[int, int, int]:
    """Nouns that the prompts kept, nouns in all, and how often the model wrote."""
    from pipelines.text.writing import write

    kept = total = used = 0
    for number, row in enumerate(rows):
        for kind in kinds(number):
            found = write(row["prompt"], kind, "photo", seed=number, ask=ask, vocabulary=ROOT / "models" / "pictogram")
            kept += sum(noun in found.prompt for noun in row["nouns"])
            total += len(row["nouns"])
            used += "by the language model" in found.report
    return kept, total, used
