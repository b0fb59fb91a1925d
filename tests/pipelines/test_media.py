"""Sound and frames at the boundary: what is in order passes untouched, what can be repaired is, the rest is refused."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from pipelines import media
from pipelines.errors import AigcError
from pipelines.media import sound


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_sound_in_order_passes_bit_for_bit():
    given = noise(2, 2, 500)
    out = media.audio(given, 44100)
    assert torch.equal(out["waveform"], given) and out["sample_rate"] == 44100
    assert torch.equal(media.audio(given[0, 0], 44100.0)["waveform"], given[:1, :1])


@pytest.mark.parametrize("rate", sound.RATES)
def test_every_rate_that_encoders_take_stays(rate):
    assert sound.encodable(rate) == rate


@pytest.mark.parametrize(
    ("rate", "wanted"), ((4, 8000), (20000, 22050), (64000, 48000), (88200, 44100), (96000, 48000), (44101, 48000))
)
def test_other_rates_are_brought_to_one_that_they_take_and_keep_their_length(rate, wanted):
    out = media.audio(noise(1, 1, 10 * rate if rate < 100 else rate), rate)
    assert out["sample_rate"] == wanted
    assert out["waveform"].shape[-1] == wanted * (10 if rate < 100 else 1)


def test_dtypes_become_the_same_sound():
    given = torch.tensor([[-1.0, -0.5, 0.0, 0.5]])
    for dtype, most in ((torch.int16, 2**15), (torch.int32, 2**31)):
        assert torch.equal(media.audio((given.double() * most).to(dtype), 8000)["waveform"][0], given)
    assert torch.equal(media.audio((given * 128 + 128).byte(), 8000)["waveform"][0], given)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert torch.equal(media.audio(given.to(dtype), 8000)["waveform"][0], given)


def test_loud_samples_are_cut_off_and_only_they():
    given = torch.tensor([[0.5, 1.5, -3.0, -0.25]])
    assert media.audio(given, 8000)["waveform"][0].tolist() == [[0.5, 1.0, -1.0, -0.25]]
    assert given[0, 1] == 1.5


def test_more_channels_become_one_or_two_without_clipping():
    assert torch.equal(media.audio(noise(1, 3, 9), 8000)["waveform"], noise(1, 3, 9).mean(1, keepdim=True))
    surround = torch.zeros(1, 6, 4)
    surround[0, 0], surround[0, 5] = 1, 1  # front left, back right
    left, right = media.audio(surround, 8000)["waveform"][0, :, 0].tolist()
    assert left / right == pytest.approx(math.sqrt(2))
    assert media.audio(torch.ones(1, 6, 4), 8000)["waveform"].max() <= 1


@pytest.mark.parametrize(
    ("given", "says"),
    (
        (None, "silent|without sound"),
        (torch.zeros(1, 1, 5), "waveform and sample_rate"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 8000}, "at least one sample"),
        ({"waveform": torch.zeros(0, 1, 5), "sample_rate": 8000}, "at least one sample"),
        ({"waveform": torch.tensor([0.0, math.nan]), "sample_rate": 8000}, "NaN"),
        ({"waveform": torch.tensor([0.0, math.inf]), "sample_rate": 8000}, "NaN or infinity"),
        ({"waveform": torch.zeros(1, 1, 1, 5), "sample_rate": 8000}, r"\[B, C, T\]"),
        ({"waveform": torch.zeros(1, 1, 5, dtype=torch.complex64), "sample_rate": 8000}, "complex64"),
        ({"waveform": torch.zeros(1, 1, 5), "sample_rate": 0}, "sample rate of 1"),
        ({"waveform": torch.zeros(1, 1, 5), "sample_rate": math.nan}, "sample rate of 1"),
        ({"waveform": torch.zeros(1, 1, 5), "sample_rate": "fast"}, "sample rate of 1"),
    ),
)
def test_what_is_no_sound_is_refused_by_name(given, says):
    with pytest.raises(AigcError, match=says) as error:
        media.heard(given, "voice")
    assert "voice" in str(error.value)


def test_frames_in_order_pass_bit_for_bit():
    given = noise(3, 4, 6, 3).abs()
    assert torch.equal(media.frames(given), given)
    assert torch.equal(media.frames(given[0]), given[:1])


def test_frames_lose_alpha_and_an_odd_edge_and_grey_is_tripled():
    given = noise(2, 5, 7, 4).abs()
    assert torch.equal(media.frames(given), given[:, :4, :6, :3])
    assert torch.equal(media.frames(given[..., :1]), given[:, :4, :6, :1].expand(-1, -1, -1, 3))
    assert media.frames(torch.full((1, 1, 1, 3), 0.25)).tolist() == torch.full((1, 2, 2, 3), 0.25).tolist()


def test_frames_of_other_dtypes_are_the_same_pictures_in_0_to_1():
    whole = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 2, 3) * 20
    assert torch.allclose(media.frames(whole) * 255, whole.float())
    assert media.frames(torch.tensor([-0.5, 0.5, 1.5]).half().expand(1, 2, 2, 3))[0, 0, 0].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("given", "says"),
    (
        (torch.zeros(0, 4, 4, 3), "at least one frame"),
        (torch.zeros(2, 0, 4, 3), "at least one frame"),
        (torch.zeros(2, 4, 4, 2), "1, 3 or 4 channels"),
        (torch.zeros(1, 2, 4, 4, 3), r"\[F, H, W, C\]"),
        (torch.full((1, 2, 2, 3), math.nan), "NaN"),
    ),
)
def test_what_are_no_frames_is_refused(given, says):
    with pytest.raises(AigcError, match=says):
        media.frames(given)


@pytest.mark.parametrize(
    ("fps", "rate"),
    (
        (8, Fraction(8)),
        (12.5, Fraction(25, 2)),
        (24000 / 1001, Fraction(24000, 1001)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
    ),
)
def test_frame_rates_are_the_fractions_that_are_meant(fps, rate):
    assert media.frame_rate(fps) == rate


@pytest.mark.parametrize("fps", (0, -1, math.nan, math.inf, 1e-6, 5000, None))
def test_a_rate_that_no_video_has_is_refused(fps):
    with pytest.raises(AigcError, match="frames a second"):
        media.frame_rate(fps)


@pytest.mark.parametrize("length", (1, 4000, 8000, 8001, 20000))
def test_the_sound_of_a_clip_is_cut_or_filled_to_its_frames(length):
    given = noise(1, 2, length)
    out = media.clip(torch.zeros(8, 4, 4, 3), 8, {"waveform": given, "sample_rate": 8000})
    assert out.audio is not None
    kept = min(length, 8000)
    assert out.audio["waveform"].shape == (1, 2, 8000)
    assert torch.equal(out.audio["waveform"][..., :kept], given[..., :kept])
    assert not out.audio["waveform"][..., kept:].any()


def test_several_sounds_are_not_written_into_one_another():
    with pytest.raises(AigcError, match="one sound for the video, got 2"):
        media.clip(torch.zeros(8, 4, 4, 3), 8, {"waveform": noise(2, 1, 50), "sample_rate": 8000})
