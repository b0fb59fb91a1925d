"""Loudness against the published test signals; mixes and spectrograms by what must hold exactly."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.media import loudness, mixing, spectrogram, tones
from pipelines.media.mixing import Track
from pipelines.media.sound import Sound


def sine(
    level: float, seconds: float, *, rate: int = 48000, frequency: float = 1000.0, phase: float = 0.0
) -> torch.Tensor:
    """[1, T] whose peaks are at `level` dB."""
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (10 ** (level / 20) * torch.sin(2 * math.pi * frequency * time + phase)).float()[None]


def bursts(rate: int = 24000) -> torch.Tensor:
    """[2, T] of noise with quiet and loud parts and a few clicks: peaks far above its loudness."""
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(24, generator=generator).repeat_interleave(rate // 4)
    x = 0.1 * level * torch.randn(2, len(level), generator=generator)
    x[:, :: rate // 3] = 0.9
    return x


# EBU Tech 3341 (2023), table 1, signals 1 to 6: sines of 1000 Hz in all channels, peak levels and seconds; LUFS that a meter
# has to show to 0.1.
EBU = (
    ([(-23, 20)], -23.0),
    ([(-33, 20)], -33.0),
    ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
)


@pytest.mark.parametrize(("parts", "expected"), EBU)
@pytest.mark.parametrize("rate", (48000, 16000))
def test_the_loudness_of_ebus_test_signals(parts, expected, rate):
    x = torch.cat([sine(level, seconds, rate=rate) for level, seconds in parts], 1).repeat(2, 1)
    assert loudness.integrated(x, rate) == pytest.approx(expected, abs=0.1)


def test_the_loudness_of_ebus_five_channel_signal():
    x = torch.cat([sine(level, 20) for level in (-28, -28, -24, -30, -30)])
    assert loudness.integrated(x, 48000) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate", (22050, 44100, 48000))
def test_a_full_scale_sine_of_997_hz_in_one_channel_is_minus_3_01(rate):
    """BS.1770-5, annex 1."""
    tone = sine(0, 3, rate=rate, frequency=997)
    x = torch.cat([tone, torch.zeros_like(tone)])
    assert loudness.integrated(x, rate) == pytest.approx(-3.01, abs=0.03)


@pytest.mark.parametrize(
    ("part", "degrees", "amplitude", "expected"),
    ((4, 0, 0.5, -6.0), (4, 45, 0.5, -6.0), (6, 60, 0.5, -6.0), (8, 67.5, 0.5, -6.0), (4, 45, 1.41, 3.0)),
)
def test_the_true_peak_of_ebus_test_signals(part, degrees, amplitude, expected):
    """EBU Tech 3341, signals 15 to 19: to +0.2 and -0.4 dB."""
    x = sine(20 * math.log10(amplitude), 1, frequency=48000 / part, phase=math.radians(degrees))
    peak = loudness.true_peak(mixing.faded(x, 48000, 0.1), 48000)
    assert -0.4 <= peak - expected <= 0.2


def test_peaks_of_long_sounds_are_found_in_parts(monkeypatch):
    x = bursts()[:, :20000]
    expected = loudness.peaks(x, 24000)
    monkeypatch.setattr(loudness, "PART", 3000)
    assert torch.allclose(loudness.peaks(x, 24000), expected, atol=1e-5)


def test_k_weighting_in_blocks_is_the_filter_itself():
    x = bursts(8000)[:1, :3000]
    y = x.double()
    for b, a in (loudness.carried(loudness.SHELF, 8000), loudness.carried(loudness.HIGH_PASS, 8000)):
        out = torch.zeros_like(y)
        for n in range(y.shape[1]):
            past = [(y[0, n - k] if n >= k else 0.0, out[0, n - k] if n >= k else 0.0) for k in (1, 2)]
            out[0, n] = b[0] * y[0, n] + sum(b[k] * past[k - 1][0] - a[k] * past[k - 1][1] for k in (1, 2))
        y = out
    assert torch.allclose(loudness.weighted(x, 8000), y, atol=1e-9)


@pytest.mark.parametrize("target", (-14.0, -16.0, -23.0))
@pytest.mark.parametrize("limit", (True, False))
def test_a_sound_is_brought_to_its_loudness_or_says_how_far_it_is(target, limit):
    made, lines = loudness.normalised(Sound(bursts()[None], 24000), target, -1.0, limit=limit)
    now, peak = loudness.integrated(made.waveform[0], 24000), loudness.true_peak(made.waveform[0], 24000)
    assert peak <= -1.0 + 0.01
    if limit:
        assert now == pytest.approx(target, abs=0.1)
        assert ("limited" in lines[0]) == (target > -23)
    else:
        short = target - now
        assert short == pytest.approx(0, abs=0.01) or (peak == pytest.approx(-1.0, abs=0.01) and "short of" in lines[0])
        gain = made.waveform[0, 0, 0] / bursts()[0, 0]
        assert torch.allclose(made.waveform[0], bursts() * gain, atol=1e-6)


def test_a_batch_is_normalised_row_by_row_and_silence_stays():
    rows = torch.stack([bursts(), torch.zeros_like(bursts()), bursts() / 10])
    made, lines = loudness.normalised(Sound(rows, 24000), -20, -1.0, limit=True)
    assert torch.allclose(made.waveform[0], made.waveform[2], atol=1e-4)
    assert not made.waveform[1].any() and "silence" in lines[1]
    with pytest.raises(AigcError, match="between -70 and 0"):
        loudness.normalised(Sound(rows, 24000), 3, -1, limit=True)


def test_what_a_limiter_has_nothing_to_do_with_is_untouched():
    x = bursts() / 4
    assert loudness.limited(x, 24000, -1.0) is x


def sound(x: torch.Tensor, rate: int = 24000) -> Sound:
    return Sound(x[None], rate)


def test_one_track_without_settings_is_itself_and_silence_adds_nothing():
    x = bursts() / 4
    assert torch.equal(mixing.mixed([Track(sound(x))])[0].waveform[0], x)
    assert torch.equal(mixing.mixed([Track(sound(x)), Track(sound(0 * x))])[0].waveform[0], x)


def test_gains_offsets_and_the_end():
    x, y = 0.2 * torch.ones(1, 1000), 0.1 * torch.ones(2, 600)
    both = [Track(sound(x, 8000)), Track(sound(y, 8000), gain=20 * math.log10(2), offset=0.1)]
    made = mixing.mixed(both)[0]
    assert made.waveform.shape == (1, 2, 1400)
    expected = torch.cat([torch.full((800,), 0.2), torch.full((200,), 0.4), torch.full((400,), 0.2)])
    assert torch.allclose(made.waveform[0, 1], expected)
    first = mixing.mixed(both, end="first")[0].waveform
    assert torch.equal(first, made.waveform[..., :1000])


def test_rates_meet_at_the_highest_and_batches_go_with_single_sounds():
    made, info = mixing.mixed(
        [Track(Sound(0.1 * torch.ones(3, 1, 800), 8000)), Track(sound(0.1 * torch.ones(1, 2400), 24000))]
    )
    assert made.rate == 24000 and made.waveform.shape == (3, 1, 2400)
    assert torch.allclose(made.waveform[..., 500:-500], torch.tensor(0.2), atol=2e-3)
    assert "24000 Hz" in info
    with pytest.raises(AigcError, match="batches of one size"):
        mixing.mixed([Track(Sound(torch.zeros(3, 1, 8), 8000)), Track(Sound(torch.zeros(2, 1, 8), 8000))])


def test_nothing_clips_and_it_is_said():
    loud = 0.8 * torch.ones(1, 100)
    made, info = mixing.mixed([Track(sound(loud)), Track(sound(loud / 4)), Track(sound(loud))])
    assert float(made.waveform.max()) == pytest.approx(1.0) and "turned down by 5.1 dB" in info


def test_two_fades_that_cross_keep_their_power():
    came = mixing.faded(torch.ones(1, 1000), 1000, 0.2)[0]
    assert torch.allclose(came[:200].square() + came[:200].flip(0).square(), torch.ones(200), atol=1e-6)
    assert torch.equal(came[200:800], torch.ones(600)) and torch.equal(came, came.flip(0))
    assert torch.equal(mixing.faded(torch.ones(1, 9), 1000, 0.0), torch.ones(1, 9))


def test_others_go_down_while_the_first_is_heard_and_come_back():
    voice = torch.zeros(1, 8 * 8000)
    voice[:, 3 * 8000 : 5 * 8000] = bursts(8000)[:1, : 2 * 8000] / 4
    music = 0.1 * torch.ones(1, 8 * 8000)
    made = mixing.mixed([Track(sound(voice, 8000)), Track(sound(music, 8000))], duck=12)[0].waveform[0, 0]
    under = made - voice[0]
    assert torch.allclose(under[: 2 * 8000], torch.tensor(0.1)) and torch.allclose(under[6 * 8000 :], torch.tensor(0.1))
    assert torch.allclose(under[3 * 8000 : 5 * 8000 - 400], torch.tensor(0.1 * 10 ** (-12 / 20)), atol=1e-4)
    assert float(under.diff().abs().max()) < 1e-4, "no click"
    plain = mixing.mixed([Track(sound(voice, 8000)), Track(sound(music, 8000))])[0].waveform
    assert torch.equal(plain[0, 0], voice[0] + music[0])


@pytest.mark.parametrize(
    ("tracks", "more", "says"),
    (
        ([], {}, "at least one sound"),
        ([Track(sound(torch.zeros(1, 5)), offset=-1)], {}, "track 1"),
        ([Track(sound(torch.zeros(1, 5)), offset=1e6)], {}, "6 hours"),
        ([Track(sound(torch.zeros(1, 5)))], {"duck": -3}, "0 dB or more"),
        ([Track(sound(torch.zeros(1, 5)))], {"end": "never"}, "longest"),
    ),
)
def test_a_mix_that_cannot_be_is_refused(tracks, more, says):
    with pytest.raises(AigcError, match=says):
        mixing.mixed(tracks, **more)


@pytest.mark.parametrize("frequency", (200.0, 1000.0, 5000.0))
@pytest.mark.parametrize("rate", (16000, 44100))
def test_a_tone_lies_at_its_mark_and_reads_its_level(frequency, rate):
    x = sine(-20, 1, rate=rate, frequency=frequency)
    level = spectrogram.log_mel(x, rate, 200, 160)
    row = int(level[:, 100].argmax())
    expected = float(spectrogram.mel(frequency)) / float(spectrogram.mel(rate / 2)) * 161 - 1
    assert abs(row - expected) <= 1.5
    assert -24 <= float(level[:, 100].max()) <= -19.5


def test_time_runs_from_left_to_right_for_short_and_long_sounds():
    for rate, seconds in ((8000, 0.5), (8000, 60.0)):
        x = sine(0, seconds, rate=rate)
        x[:, : x.shape[1] // 2] = 0
        level = spectrogram.log_mel(x, rate, 300, 80).amax(0)
        assert float(level[:130].max()) < -60 and float(level[165:295].min()) > -6


def test_marks_are_in_order_round_and_do_not_touch():
    for rate, high in ((8000, 130), (44100, 446), (48000, 1000)):
        marks = spectrogram.ticks_hertz(rate, high)
        assert all(b[1] - a[1] >= 14 and b[0] < a[0] for a, b in pairwise(marks))
        assert all(0 <= y <= high for _, y in marks) and len(marks) >= 3
    for seconds in (0.05, 1, 7.3, 61, 3600):
        times = spectrogram.ticks_seconds(seconds, 896)
        assert times[0] == (0, 0) and 3 <= len(times) <= 17
        assert times[-1][0] <= seconds and times[-1][1] <= 896


def test_spectrograms_are_pictures_of_the_asked_size_one_a_sound():
    made = spectrogram.spectrograms(Sound(torch.stack([bursts(8000), 0 * bursts(8000)]), 8000), width=400, height=220)
    assert made.shape == (2, 220, 400, 3) and 0 <= float(made.min()) and float(made.max()) <= 1
    plot = made[:, 60:160, 100:300]
    assert float(plot[0].mean()) > float(plot[1].mean()) + 0.1
    with pytest.raises(AigcError, match="320 x 200"):
        spectrogram.spectrograms(sound(torch.zeros(1, 9)), width=100, height=100)


@pytest.mark.parametrize("kind", ("sine", "sweep", "pluck", "noise"))
def test_a_tone_has_its_level_its_length_and_is_the_same_each_time(kind):
    made = tones.tone(kind, seconds=0.5, frequency=220, level=-6)
    assert made.waveform.shape == (1, 1, 24000) and made.rate == 48000
    assert float(made.waveform.abs().max()) == pytest.approx(10 ** (-6 / 20), rel=1e-5)
    assert torch.equal(made.waveform, tones.tone(kind, seconds=0.5, frequency=220, level=-6).waveform)


def test_a_sweep_rises_four_octaves():
    x = tones.tone("sweep", seconds=2, frequency=200, level=0).waveform[0]
    level = spectrogram.log_mel(x, 48000, 100, 160)
    pitch = spectrogram.hertz((level.argmax(0).double().numpy() + 1) / 161 * float(spectrogram.mel(24000)))
    assert pitch[4] == pytest.approx(200 * 2 ** (4 * 0.045), rel=0.2) and pitch[95] == pytest.approx(
        3200 * 2 ** (-4 * 0.045), rel=0.1
    )


@pytest.mark.parametrize(
    ("kind", "seconds", "frequency", "level"),
    (("sine", 0, 440, 0), ("sine", 1, 0, 0), ("sweep", 1, 3000, 0), ("sine", 1, 440, 3), ("bang", 1, 440, 0)),
)
def test_a_tone_that_cannot_be_is_refused(kind, seconds, frequency, level):
    with pytest.raises(AigcError):
        tones.tone(kind, seconds=seconds, frequency=frequency, level=level)
