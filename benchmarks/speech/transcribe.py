"""Writes down the WAV files of a folder with Whisper (faster-whisper): python transcribe.py MODEL FOLDER LANGUAGE

One line of JSON a file, {name: text}, appended to FOLDER/transcripts.jsonl; what stands there is not heard again. A script of its
own, so that the Python that has faster-whisper need not be the one that has this pack.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(model: str, folder: Path, language: str) -> None:
    from faster_whisper import WhisperModel

    log = folder / "transcripts.jsonl"
    lines = log.read_text("utf-8").splitlines() if log.is_file() else []
    known = {name for line in lines for name in json.loads(line)}
    network = WhisperModel(model, device="cpu", compute_type="float32", cpu_threads=2)
    for path in sorted(folder.glob("*.wav")):
        if path.name not in known:
            options = {"beam_size": 5, "condition_on_previous_text": False, "temperature": 0.0}
            parts, _ = network.transcribe(str(path), language=language, **options)
            line = json.dumps({path.name: "".join(part.text for part in parts).strip()}, ensure_ascii=False)
            with log.open("a", encoding="utf-8") as out:
                out.write(line + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
