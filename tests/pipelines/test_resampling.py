"""Sounds at another rate: what fits is kept, what does not fit is gone instead of folded back."""

from __future__ import annotations

import math

import pytest
import torch

from pipelines.media import resampling
from pipelines.media.resampling import resampled
from pipelines.payloads import JudgeSpec
from pipelines.score.scoring import in_space


def tone(frequency: float, rate: int, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * frequency * torch.arange(round(rate * seconds)) / rate)[None]


def middle(sound: torch.Tensor) -> torch.Tensor:
    """Without the ends, where the filter sees silence."""
    return sound[:, len(sound[0]) // 10 : -len(sound[0]) // 10]


@pytest.mark.parametrize(
    ("rate", "wanted"), ((48000, 16000), (44100, 16000), (44100, 48000), (16000, 48000), (22050, 16000))
)
def test_a_tone_that_fits_is_the_same_tone(rate, wanted):
    found = resampled(tone(1000, rate), rate, wanted)
    assert found.shape == (1, wanted)
    assert torch.allclose(middle(found), middle(tone(1000, wanted)), atol=1e-3)


@pytest.mark.parametrize("frequency", (9000, 12000, 15500, 20000))
def test_a_tone_above_the_new_half_rate_is_removed(frequency):
    """Linear interpolation turned 12 kHz at 48 kHz into 4 kHz at 16 kHz, nearly as loud."""
    found = resampled(tone(frequency, 48000), 48000, 16000)
    assert float(middle(found).abs().max()) < 0.01


def test_batches_and_gradients_pass_and_the_same_rate_is_untouched():
    sound = torch.randn(3, 4410, generator=torch.Generator().manual_seed(0))
    both = resampled(sound, 44100, 48000)
    assert torch.allclose(both[1:2], resampled(sound[1:2], 44100, 48000), atol=1e-6)
    assert resampled(sound, 48000, 48000) is sound
    sound.requires_grad_()
    resampled(sound, 44100, 16000).sum().backward()
    assert sound.grad is not None and bool(sound.grad.isfinite().all())
    assert resampled(torch.zeros(0, 100), 48000, 16000).shape[0] == 0


def test_a_host_sound_reaches_a_judge_at_its_rate_as_one_channel():
    stereo = torch.stack([tone(1000, 48000), tone(1000, 48000)], 1)
    found = in_space(JudgeSpec("s", modality="audio", space="wav@16000"), {"waveform": stereo, "sample_rate": 48000})
    assert found.shape == (1, 16000)
    assert torch.allclose(middle(found), middle(tone(1000, 16000)), atol=1e-3)


@pytest.mark.parametrize(("rate", "wanted"), ((44100, 48000), (48000, 16000), (22050, 44100)))
def test_a_filter_for_each_sample_is_the_same_as_one_for_each_phase(rate, wanted, monkeypatch):
    given = torch.randn(2, 3001, generator=torch.Generator().manual_seed(0))
    expected = resampled(given, rate, wanted)
    monkeypatch.setattr(resampling, "TABLE", 0)
    assert torch.allclose(resampled(given, rate, wanted), expected, atol=1e-5)


def test_rates_that_have_nothing_in_common_keep_the_tone_and_need_no_table():
    found = resampled(tone(1000, 44101), 44101, 48000)
    assert found.shape == (1, 48000)
    assert torch.allclose(middle(found), middle(tone(1000, 48000)), atol=1e-3)
