"""MusicGen and MusicGen Melody of transformers, tiny and random, from folders as a hub has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines import waveforms
from pipelines.errors import AigcError
from pipelines.music import foreign
from pipelines.runtime import Runtime
from pipelines.sources import Roots

from . import language

CPU = Runtime("cpu")
RATE, HOP = 32000, 640


def parts(channels: int = 1) -> dict[str, Any]:
    from transformers import EncodecConfig, T5Config

    text = T5Config(
        vocab_size=300, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0,
    )  # fmt: skip
    # Four codebooks of 32 at 50 frames a second, as MusicGen's own codec has four of 2048.
    codec = EncodecConfig(
        num_filters=4, hidden_size=16, codebook_size=32, codebook_dim=16, upsampling_ratios=[8, 5, 4, 4], num_lstm_layers=1,
        target_bandwidths=[1.0], sampling_rate=RATE, num_residual_layers=1, audio_channels=1,
    )  # fmt: skip
    decoder = {
        "vocab_size": 32, "max_position_embeddings": 2048, "num_hidden_layers": 1, "ffn_dim": 32, "num_attention_heads": 2,
        "hidden_size": 16, "num_codebooks": 4 * channels, "audio_channels": channels, "pad_token_id": 31, "bos_token_id": 31,
    }  # fmt: skip
    return {"text_encoder": text.to_dict(), "audio_encoder": codec.to_dict(), "decoder": decoder}


def saved(folder: Path, kind: str, channels: int = 1) -> Path:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**parts(channels))
    net = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    for layer in net.audio_encoder.quantizer.layers:  # which are trained by counting and begin with zeros
        torch.nn.init.normal_(layer.codebook.embed)
    if kind == "MusicgenMelody":  # a melody that is heard makes a difference
        for weight in (net.audio_enc_to_dec_proj.weight, *(w for w in net.decoder.parameters() if w.dim() > 1)):
            torch.nn.init.normal_(weight, std=0.5)
    special = {"pad_token_id": 32, "bos_token_id": 32, "decoder_start_token_id": 32}
    net.generation_config.update(**special, guidance_scale=3.0, do_sample=True, max_length=1500)
    net.save_pretrained(folder)
    hearing = transformers.EncodecFeatureExtractor(feature_size=channels, sampling_rate=RATE)
    for layer in net.audio_encoder.quantizer.layers:  # which are trained by counting and begin with zeros
        torch.nn.init.normal_(layer.codebook.embed)
    if kind == "MusicgenMelody":
        hearing = transformers.MusicgenMelodyFeatureExtractor(sampling_rate=RATE, n_fft=1024, hop_length=256)
    getattr(transformers, f"{kind}Processor")(hearing, language.tokenizer()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def musicgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("musicgen"), "Musicgen")


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    waveforms.release(CPU)


def made(folder: Path, seconds: float, **given: Any) -> dict[str, Any]:
    return foreign.compose("a slow waltz", seconds, str(folder), roots=Roots(), runtime=CPU, **given)


def tone(seconds: float, channels: int = 1, pitch: float = 440) -> dict[str, Any]:
    wave = 0.5 * torch.sin(torch.arange(round(seconds * RATE)) * 2 * torch.pi * pitch / RATE)
    return {"waveform": wave.expand(1, channels, -1).contiguous(), "sample_rate": RATE}


def test_it_is_what_transformers_generates_and_exactly_as_long_as_asked(musicgen: Path) -> None:
    from transformers import AutoProcessor, MusicgenForConditionalGeneration

    found = made(musicgen, 0.31, seed=5)
    assert found["sample_rate"] == RATE and found["waveform"].shape == (1, 1, round(0.31 * RATE))
    net = MusicgenForConditionalGeneration.from_pretrained(musicgen).eval()
    given = AutoProcessor.from_pretrained(musicgen)(text=["a slow waltz"], padding=True, return_tensors="pt")
    torch.manual_seed(5)
    theirs = net.generate(**given, max_new_tokens=16 + 3, temperature=1.0).detach()
    assert torch.equal(theirs[0, :, : found["waveform"].shape[-1]].clamp(-1, 1), found["waveform"][0])
    assert torch.equal(made(musicgen, 0.31, seed=5)["waveform"], found["waveform"])
    assert not torch.equal(made(musicgen, 0.31, seed=6)["waveform"], found["waveform"])


def test_it_goes_on_from_a_melody_which_stays_as_it_was(musicgen: Path) -> None:
    melody = tone(0.25)
    found = made(musicgen, 0.5, melody=melody)["waveform"]
    kept = melody["waveform"].shape[-1] - round(foreign.JOINT * RATE)
    assert found.shape[-1] == RATE // 2 and torch.equal(found[..., :kept], melody["waveform"][..., :kept])
    with pytest.raises(AigcError, match=r"longer than the melody of 0\.5 seconds"):
        made(musicgen, 0.4, melody=tone(0.5))


def test_a_long_piece_goes_on_from_its_own_end_and_a_stop_keeps_whole_sections(musicgen, monkeypatch) -> None:
    monkeypatch.setattr(foreign, "AT_ONCE", 0.4)
    monkeypatch.setattr(foreign, "CARRIED", 0.2)
    asked = []
    generated = foreign._generated

    def watched(model, prompt, before, fresh, temperature):
        asked.append((0 if before is None else before.shape[-1], fresh))
        return generated(model, prompt, before, fresh, temperature)

    monkeypatch.setattr(foreign, "_generated", watched)
    seen: list[tuple[int, int]] = []
    found = made(musicgen, 1.0, on_bar=lambda done, total: seen.append((done, total)))
    assert found["waveform"].shape[-1] == RATE and seen[-1] == (1, 1)
    assert asked == [(0, 12800), (6400, 6400), (6400, 6400), (6400, 6400)]

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if len(asked) == 6:
            raise Stop

    kept = made(musicgen, 1.0, on_bar=stop, stops=(Stop,))["waveform"]
    assert kept.shape[-1] == 12800 + 6400 and torch.equal(kept[..., :12000], found["waveform"][..., :12000])
    with pytest.raises(Stop):
        asked.clear()
        asked.extend([(0, 0)] * 6)
        made(musicgen, 1.0, on_bar=stop, stops=(Stop,))


def test_an_interrupt_acts_within_one_step(musicgen: Path) -> None:
    class Interrupted(Exception):
        pass

    calls = []

    class Host(Runtime):
        def check_interrupt(self) -> None:
            calls.append(1)
            if len(calls) > 10:
                raise Interrupted

    with pytest.raises(Interrupted):
        foreign.compose("a waltz", 2.0, str(musicgen), roots=Roots(), runtime=Host("cpu"))
    assert len(calls) == 11


def test_stereo_is_continued_in_stereo(tmp_path: Path) -> None:
    folder = saved(tmp_path, "Musicgen", channels=2)
    found = made(folder, 0.3, melody=tone(0.1, 2))["waveform"]
    assert found.shape == (1, 2, round(0.3 * RATE)) and not torch.equal(found[0, 0], found[0, 1])


def test_musicgen_melody_follows_a_tune_and_says_how_long_it_can(tmp_path: Path) -> None:
    folder = saved(tmp_path, "MusicgenMelody")
    plain, led = (made(folder, 0.3, melody=melody)["waveform"] for melody in (None, tone(0.5, pitch=330)))
    assert plain.shape == led.shape == (1, 1, round(0.3 * RATE)) and not torch.equal(plain, led)
    with pytest.raises(AigcError, match="at most 30 seconds of MusicGen Melody"):
        made(folder, 31)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AigcError, match="Expected MusicGen or MusicGen Melody, got llama"):
        made(language.llama(tmp_path), 1)
