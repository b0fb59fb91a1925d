"""Pictures held for their sounds: no sound is cut, none drifts, and the frames are as long as the sound."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import pytest
import torch

from pipelines import media, spill
from pipelines.errors import AigcError
from pipelines.media.sound import RATES, Sound


def pictures(count: int, side: int = 2) -> torch.Tensor:
    """[B, side, side, 3]: picture n has the colour n / 100."""
    return (torch.arange(count) / 100)[:, None, None, None].expand(count, side, side, 3)


def ramp(rate: int, length: int, channels: int = 1) -> Sound:
    """A sound of which every sample is another, none of them silence."""
    return Sound(torch.linspace(0.1, 0.9, length).expand(1, channels, -1), rate)


@pytest.mark.parametrize("seed", range(40))
def test_each_sound_is_whole_under_its_picture_and_both_are_equally_long(seed):
    draw = random.Random(seed)
    rate, fps = draw.choice(RATES), draw.choice([1, 8, 12, 23.976, 24, Fraction(30000, 1001), 60, 7.3])
    sounds = [ramp(rate, draw.choice([1, 2, draw.randrange(1, 3 * rate)])) for _ in range(draw.randrange(1, 7))]
    pause = draw.choice([0.0, 0.4, draw.random()])
    clip, report = media.slideshow(pictures(len(sounds)), sounds, fps=fps, pause=pause)
    assert clip.audio is not None and clip.audio["sample_rate"] == rate
    x, frame = clip.audio["waveform"][0, 0], Fraction(rate) / clip.rate
    assert abs(len(x) - len(clip.frames) * frame) <= Fraction(1, 2), "half a sample, which is less than any frame"
    shown = (clip.frames[:, 0, 0, 0] * 100).round().int()
    counts = torch.bincount(shown, minlength=len(sounds)).tolist()
    assert shown.equal(shown.sort().values) and len(report.splitlines()) == len(sounds) + 1
    starts = [0, *accumulate(counts)]
    silent = torch.ones(len(x), dtype=torch.bool)
    for sound, start, count in zip(sounds, starts, counts):
        at, length = int(start * frame + Fraction(1, 2)), sound.waveform.shape[-1]
        assert torch.equal(x[at : at + length], sound.waveform[0, 0])
        silent[at : at + length] = False
        assert 0 <= count * frame - (length + round(pause * rate)) < frame, "no frame more than needed"
    assert not x[silent].any()


def test_one_picture_serves_all_sounds_without_a_copy_and_several_are_copied():
    sounds = [ramp(8000, 8000), ramp(8000, 4000)]
    one, _ = media.slideshow(pictures(1, 64), sounds, fps=8, pause=0.5)
    assert len(one.frames) == 20 and one.frames.untyped_storage().nbytes() == 64 * 64 * 3 * 4
    two, report = media.slideshow(pictures(2, 64), sounds, fps=8, pause=0.5)
    assert two.frames.shape == one.frames.shape
    assert report.splitlines()[0] == "1: from 0.00 to 1.50 seconds, 12 frames"
    assert report.splitlines()[2] == "20 frames of 64 x 64, 2.50 seconds, 1 MB"


def test_many_frames_are_pages_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sounds = [ramp(8000, 8000), ramp(8000, 4000)]
    usual, _ = media.slideshow(pictures(2, 64), sounds, fps=8)
    asked: list[Path | None] = []
    made = spill.empty
    monkeypatch.setattr(spill, "LIMIT", 1000)
    monkeypatch.setattr(spill, "empty", lambda shape, folder: asked.append(folder) or made(shape, folder))
    spilt, _ = media.slideshow(pictures(2, 64), sounds, fps=8, scratch=tmp_path)
    assert asked == [tmp_path] and torch.equal(spilt.frames, usual.frames)


def test_a_batch_is_its_sounds_in_a_row_and_rates_and_channels_meet():
    batch = Sound(torch.stack([torch.full((1, 800), 0.2), torch.full((1, 800), 0.3)]), 8000)
    stereo = Sound(torch.tensor([[[0.4], [0.5]]]).expand(1, 2, 1600), 16000)
    clip, _ = media.slideshow(pictures(3), [batch, stereo], fps=10)
    assert clip.audio is not None and clip.audio["sample_rate"] == 16000
    x = clip.audio["waveform"]
    assert x.shape == (1, 2, 4800) and len(clip.frames) == 3
    middles = x[0, :, 800::1600]
    assert torch.allclose(middles, torch.tensor([[0.2, 0.3, 0.4], [0.2, 0.3, 0.5]]), atol=1e-3)


def test_what_does_not_fit_is_refused_in_words():
    sound = ramp(8000, 800)
    with pytest.raises(AigcError, match=r"a picture for each of 3 sounds, or one for all of them, got 2.*one_per_line"):
        media.slideshow(pictures(2), [sound] * 3, fps=8)
    with pytest.raises(AigcError, match="a picture for each of 0 sounds"):
        media.slideshow(pictures(2), [], fps=8)
    with pytest.raises(AigcError, match="a pause of 0 seconds or more, got nan"):
        media.slideshow(pictures(1), [sound], fps=8, pause=float("nan"))
    with pytest.raises(AigcError, match="6 hours at most, got 21601"):
        media.slideshow(pictures(1), [sound], fps=1, pause=21600)
    with pytest.raises(AigcError, match=r"pictures of one size, got \(2, 2, 3\), \(4, 4, 3\)"):
        media.one_batch([pictures(1), pictures(1, 4)])
    assert media.one_batch([pictures(1), pictures(2)]).shape == (3, 2, 2, 3)
