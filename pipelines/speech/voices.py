"""The voices that come with this pack, ten of Kokoro-82M's; models/voices says where they are from."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..sources import Roots

FILE = "voices/kokoro.safetensors"  # below the embedded models
AUTO = "auto"
# name: the language whose numbers and signs it reads by itself, and what is shown of it
TABLE = {
    "af_heart": ("en", "Heart, American woman"),
    "af_bella": ("en", "Bella, American woman"),
    "am_michael": ("en", "Michael, American man"),
    "am_fenrir": ("en", "Fenrir, American man"),
    "bf_emma": ("en", "Emma, British woman"),
    "bm_george": ("en", "George, British man"),
    "zf_xiaoxiao": ("zh", "晓晓, Chinese woman"),
    "zf_xiaoyi": ("zh", "晓伊, Chinese woman"),
    "zm_yunxi": ("zh", "云希, Chinese man"),
    "zm_yunyang": ("zh", "云扬, Chinese man"),
}
# A Chinese voice uses its row of 120 tokens for every shorter text: with the rows of short ones it slurs. Of seven sentences
# that an ASR model misheard with those, it wrote down five as they were said with this one.
SHORT = 119
FOR = {"en": "af_heart", "zh": "zf_xiaoxiao"}


def names() -> list[str]:
    """ "auto" first: a voice for the text's main language."""
    return [AUTO, *TABLE]


def chosen(name: str, language: str) -> str:
    """The voice of a name; for "auto" the one of the text's language. Raises AigcError for a name that there is not."""
    if name == AUTO:
        return FOR[language]
    if name not in TABLE:
        raise AigcError(f"Expected one of the voices {', '.join(names())}, got {name[:200]!r}. Choose one.")
    return name


def file(roots: Roots) -> Path:
    """The voices' file. Raises AigcError when this pack's models are not where they belong."""
    found = next((root / FILE for root in roots.embedded if (root / FILE).is_file()), None)
    if found is None:
        raise AigcError(
            f"Expected {FILE} among the models that come with this pack, which lacks it: install the pack again."
        )
    return found


@lru_cache(maxsize=len(TABLE))
def style(path: Path, name: str) -> Any:
    """[lengths, 256], float32: how the voice speaks a text of so many tokens."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        rows = file.get_tensor(name).astype("float32")
    if TABLE[name][0] == "zh":
        rows[:SHORT] = rows[SHORT]
    return rows
