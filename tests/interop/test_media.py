"""What our boundary lets out, the host's own nodes write: any rate, length, channels, size and dtype, and it is that sound."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines import media

from .peer import Peer

pytestmark = [pytest.mark.host]
RATES = (
    4,
    1000,
    7999,
    8000,
    11025,
    16000,
    20000,
    22050,
    24000,
    32000,
    37777,
    44100,
    44101,
    48000,
    64000,
    88200,
    96000,
    192000,
)
SAVERS = ("SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "PreviewAudio")
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int16, torch.int32, torch.uint8)


def tone(rate: int, length: int, channels: int, batch: int) -> torch.Tensor:
    """[B, C, T] of 0.4: every channel another frequency, low enough for the rate."""
    time = torch.arange(length, dtype=torch.float64) / rate
    waves = [0.4 * torch.cos(2 * math.pi * min(220.0, rate / 8) * (1 + c / 4) * time) for c in range(batch * channels)]
    return torch.stack(waves).reshape(batch, channels, length)


def stored(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if dtype.is_floating_point:
        return x.to(dtype)
    if dtype == torch.uint8:
        return (x * 127 + 128).round().to(dtype)
    return (x * (2 ** (torch.iinfo(dtype).bits - 1) - 1)).to(dtype)


def sounds() -> list[dict[str, Any]]:
    """Every rate once, with lengths, channels and dtypes drawn; and the shortest ones."""
    draw, found = random.Random(6), []
    for i, rate in enumerate(RATES):
        length = draw.choice((1, 7, 333, rate // 10 + 1, rate // 3 + 1)) if i % 4 else max(8, rate // 4)
        channels, batch = draw.choice((1, 2, 2, 3, 6)), draw.choice((1, 1, 3))
        x = stored(tone(rate, length, channels, batch), DTYPES[i % len(DTYPES)])
        found.append(media.audio(x, rate))
    found += [media.audio(torch.full((1, 1, n), 3.0), rate) for n in (1, 2) for rate in (8000, 48000)]
    return found


def test_every_sound_is_written_by_every_node_of_the_host_and_flac_keeps_it(peer: Peer, tmp_path: Path) -> None:
    given = sounds()
    saved = peer.ask("save_sounds", folder=str(tmp_path), sounds=given)["saved"]
    for sound, made in zip(given, saved):
        waveform, rate = sound["waveform"], sound["sample_rate"]
        assert [len(made[name]) for name in SAVERS] == [len(waveform)] * 4
        for row, flac, preview in zip(waveform, made["SaveAudio"], made["PreviewAudio"]):
            for found in (flac, preview):
                assert found["rate"] == rate and found["sound"].shape == row.shape
                assert torch.allclose(found["sound"], row, atol=2**-15 + 1e-6)
        for name in ("SaveAudioMP3", "SaveAudioOpus"):
            for row, lossy in zip(waveform, made[name]):
                assert lossy["sound"].shape[0] == row.shape[0], name
                seconds = lossy["sound"].shape[1] / lossy["rate"]
                assert abs(seconds - row.shape[1] / rate) < 0.25, name  # their padding


SIZES = ((1, 1), (2, 3), (16, 16), (33, 17), (64, 50))
FPS = (0.5, 8, 12.5, 23.976, 24, 30, 60, 120)


def clips() -> list[dict[str, Any]]:
    """Every rate of frames once, with sizes, channels, dtypes, numbers of frames and the sound's length drawn."""
    draw, found = random.Random(7), []
    for i, fps in enumerate(FPS):
        height, width = SIZES[i % len(SIZES)]
        count, channels = draw.choice((1, 5, 9, 24)), draw.choice((1, 3, 4))
        x = torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(i)) * 1.2 - 0.1
        x = (x.clamp(0, 1) * 255).byte() if i % 3 == 0 else x.to((torch.float32, torch.float16)[i % 2])
        rate, part = RATES[2 * i % len(RATES)], draw.choice((0.01, 0.5, 1, 1.7))
        length = max(1, round(part * count / fps * rate))
        sound = media.audio(tone(rate, length, draw.choice((1, 2)), 1), rate) if i != 2 else None
        found.append({"clip": media.clip(x, fps, sound), "length": length / rate, "given": x})
    return found


def test_every_clip_is_written_and_its_sound_is_as_long_as_its_frames(peer: Peer, tmp_path: Path) -> None:
    given = clips()
    asked = [
        {"frames": c["clip"].frames, "rate": c["clip"].rate.as_integer_ratio(), "audio": c["clip"].audio} for c in given
    ]
    saved = peer.ask("save_videos", folder=str(tmp_path), clips=asked)["saved"]
    for case, found in zip(given, saved):
        clip = case["clip"]
        count, height, width, _ = clip.frames.shape
        assert found["frames"] == count == len(case["given"])
        assert found["size"] == [width, height] and not width % 2 and not height % 2
        assert found["fps"] == pytest.approx(float(clip.rate), rel=1e-3)
        if clip.audio is None:
            assert "sound" not in found
            continue
        assert abs(found["video_seconds"] - found["sound_seconds"]) <= 1 / float(clip.rate) + 1e-6
        assert abs(clip.audio["waveform"].shape[-1] / clip.audio["sample_rate"] - count / float(clip.rate)) <= 1e-3
