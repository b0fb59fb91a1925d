"""The voices that come with this pack, ten of Kokoro-82M's; models/voices says where they are from."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AigcError
from ..sources import Roots

FILE = "voices/kokoro.safetensors"  # below the embedded models
AUTO = "auto"
LOUDNESS = -23.0  # LUFS that every voice is brought to, EBU R 128: they differ by 8, and the loud ones would be cut off


class Known(NamedTuple):
    """language: whose numbers and signs it reads by itself. shown: what is shown of it. loudness: LUFS, as the model speaks it,
    mean of 24 sentences. rows: a shorter text than the last of these is spoken with their mean instead of its own row."""

    language: str
    shown: str
    loudness: float
    rows: tuple[int, int] | None = None


class Voice(NamedTuple):
    """style: [lengths, 256], float32, how it speaks a text of so many tokens. gain: what its samples are multiplied by."""

    style: Any
    gain: float


# A Chinese voice slurs with the rows of short texts. Of seven sentences that an ASR model misheard with those of Xiaoxiao, it wrote
# down five as they were said with its row of 120 tokens. Xiaoyi sounds cleaner with the mean of longer ones, and is understood as
# well (ARCHITECTURE.md has the figures); Xiaoxiao gains less by it, and loses in the ASR's ears.
LONGER, MUCH_LONGER = (119, 120), (200, 300)
TABLE = {
    "af_heart": Known("en", "Heart, American woman", -22.6),
    "af_bella": Known("en", "Bella, American woman", -22.4),
    "am_michael": Known("en", "Michael, American man", -23.6),
    "am_fenrir": Known("en", "Fenrir, American man", -18.6),
    "bf_emma": Known("en", "Emma, British woman", -19.7),
    "bm_george": Known("en", "George, British man", -21.4),
    "zf_xiaoxiao": Known("zh", "晓晓, Chinese woman", -15.6, LONGER),
    "zf_xiaoyi": Known("zh", "晓伊, Chinese woman", -17.8, MUCH_LONGER),
    "zm_yunxi": Known("zh", "云希, Chinese man", -20.6, LONGER),
    "zm_yunyang": Known("zh", "云扬, Chinese man", -22.2, LONGER),
}
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
def opened(path: Path, name: str) -> Voice:
    """A voice of the file by its name in TABLE."""
    from safetensors import safe_open

    known = TABLE[name]
    with safe_open(path, framework="numpy") as file:
        rows = file.get_tensor(name).astype("float32")
    if known.rows is not None:
        first, last = known.rows
        rows[:last] = rows[first:last].mean(0)
    return Voice(rows, 10 ** ((LOUDNESS - known.loudness) / 20))
