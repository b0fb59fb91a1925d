"""Runs what needs no hub with some packages hidden: python -m tests.pipelines.hidden_packages NAME ...

Prints, as JSON by what was tried, what came of it: the shape of a result, a text, or the error's own words.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

for hidden in sys.argv[1:]:
    sys.modules[hidden] = None  # type: ignore[assignment]

import torch  # noqa: E402

from pipelines import loading, speech, stages  # noqa: E402
from pipelines.errors import AigcError  # noqa: E402
from pipelines.loading import Roots  # noqa: E402
from pipelines.music import composing  # noqa: E402
from pipelines.runtime import Runtime  # noqa: E402
from pipelines.score.judges import open_discriminator  # noqa: E402
from pipelines.score.scoring import score  # noqa: E402
from pipelines.text import writing  # noqa: E402

from . import speech_data  # noqa: E402

MODELS = Path(__file__).resolve().parents[2] / "models"
ROOTS, CPU = Roots(embedded=(MODELS,)), Runtime("cpu")


def stills() -> tuple[Any, dict[str, Any]]:
    model = loading.open_model("pictogram", roots=ROOTS)
    conditioning = stages.encode_prompt(model, ["a cat"], runtime=CPU)
    return model, stages.sample(model, conditioning, stages.empty_latents(model), steps=2, cfg=1.5, runtime=CPU)


def picture() -> Any:
    return list(stages.decode_image(*stills(), runtime=CPU).shape)


def clip() -> Any:
    model, still = stills()
    layers = MODELS / "motion" / "pictogram.safetensors"
    moving = stages.animate(model, still, motion="zoom in", frames=2, path=layers, runtime=CPU)
    return list(stages.decode_image(model, moving, runtime=CPU).shape)


def music(sound: str) -> Any:
    given = {
        "prompt": "a waltz", "seconds": 5.0, "bars": 2, "key": "auto", "metre": "auto", "tempo": 0, "instrument": "auto",
        "chords": True, "temperature": 0.9, "sound": sound, "seed": 0, "opening": "",
    }  # fmt: skip
    return composing.composed(given, None, MODELS / "music", roots=ROOTS, runtime=CPU).report


def words() -> Any:
    return writing.write("a cat", "sdxl", next(iter(writing.STYLES))).prompt


def speak() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        roots = speech_data.roots(Path(folder))
        return list(speech.speak("hello", roots=roots, runtime=CPU)["waveform"].shape)


def judged() -> Any:
    opened = open_discriminator("sharpness", roots=ROOTS)
    return len(score(opened, torch.rand(2, 64, 64, 3), prompts=[""], runtime=CPU).values)


TRIED: dict[str, Callable[[], Any]] = {
    "picture": picture,
    "clip": clip,
    "music": lambda: music("strings by formula"),
    "words": words,
    "score": judged,
    "soundfont": lambda: music("soundfont"),
    "speech": speak,
}


def main() -> None:
    torch.set_num_threads(1)
    made: dict[str, Any] = {}
    for name, trial in TRIED.items():
        try:
            made[name] = trial()
        except AigcError as error:
            made[name] = f"refused: {error}"
    print(json.dumps(made))


if __name__ == "__main__":
    main()
