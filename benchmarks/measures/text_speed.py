"""The default language model: seconds to load it once it is unpacked, tokens a CPU-second on one thread."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..figures import Absent, Figure
from ..process import run


def measure() -> Iterator[Figure]:
    from pipelines.errors import AigcError

    with tempfile.TemporaryDirectory() as place:
        try:
            folder = default_model(Path(place))
        except AigcError as error:
            raise Absent(f"the default language model is not here: {error}") from error
        answer = run("benchmarks.text_child", folder).answer
    yield Figure(
        "text: load after the first time", answer["load"], "s", bar=1.0,
        detail=f"CPU {answer['load_cpu']:.2f} s, transformers' own imports apart ({answer['imports']:.1f} s)",
    )  # fmt: skip
    yield Figure(
        "text: tokens a CPU-second", answer["rate"], "", bar=14, at_least=True,
        detail=f"{answer['tokens']} tokens, prompt included, best of 3, one thread, bfloat16",
    )  # fmt: skip


def default_model(place: Path) -> Path:
    """The folder of the default model: AIGC_LLM_DIR when it is set and has it, else fetched and unpacked below `place`."""
    import os

    from pipelines.sources import Roots
    from pipelines.text import finding

    kept = Path(os.environ.get("AIGC_LLM_DIR") or place / "LLM")
    return finding.folder_of("", Roots(language_models=(kept,), packages=(place / "packages",)))
