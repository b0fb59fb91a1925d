"""Songs by ACE-Step in stages equal its own call bit for bit, whatever they are made of; and sounds as latents."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.coverage import blocks, miniature
from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, open_model
from pipelines.runtime import Runtime
from pipelines.stages import modular, sounds
from pipelines.stages import pipe as pipes
from pipelines.stages.selftest.calls import CFG, STEPS
from pipelines.stages.selftest.compare import whole
from pipelines.stages.song import Song, Source

from . import staged, tiny, tiny_sound

CPU = Runtime("cpu")
RATE = 800  # of the tiny ACE-Step
STYLE = "photo of an astronaut"
SOUND = torch.randn(2, RATE, generator=torch.Generator().manual_seed(1)) * 0.1


def audio(waveform: torch.Tensor = SOUND, rate: int = RATE) -> dict[str, Any]:
    return {"waveform": waveform[None], "sample_rate": rate}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny.saved(tiny_sound.acestep, tmp_path_factory.mktemp("acestep"))


@pytest.fixture(autouse=True)
def nothing_loaded():
    stages.release_all()
    yield
    stages.release_all()


def opened(folder: Path) -> Any:
    return open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")


def made(model: Any, conditioning: Any, latents: Any, **options: Any) -> torch.Tensor:
    given = {"seed": 42, "steps": STEPS, "cfg": CFG, "runtime": CPU, **options}
    return stages.decode_audio(model, stages.sample(model, conditioning, latents, **given), runtime=CPU)["waveform"]


SUNG = {"lyrics": "a photo", "vocal_language": "zh", "bpm": 120, "keyscale": "F# minor", "timesignature": "3"}
SONG = Song(lyrics="a photo", language="zh", bpm=120, key="F# minor", metre="3/4")
CASES: dict[str, tuple[Source, dict[str, Any]]] = {
    "cover": (Source(audio(), "cover"), {"task_type": "cover"}),
    "half a cover": (
        Source(audio(), "cover", cover_strength=0.5), {"task_type": "cover", "audio_cover_strength": 0.5}
    ),
    "repaint": (
        Source(audio(), "repaint", start=0.2, end=0.6),
        {"task_type": "repaint", "repainting_start": 0.2, "repainting_end": 0.6},
    ),
    "lego": (
        Source(audio(), "lego", start=0.4, track="drums"),
        {"task_type": "lego", "track_name": "drums", "repainting_start": 0.4},
    ),
    "extract": (Source(audio(), "extract", track="vocals"), {"task_type": "extract", "track_name": "vocals"}),
    "complete": (
        Source(audio(), "complete", track="drums, bass"),
        {"task_type": "complete", "complete_track_classes": ["drums", "bass"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_song_of_a_sound_equals_the_whole_pipeline_bit_for_bit(name, folder):
    source, call = CASES[name]
    expected = whole(folder, {"prompt": STYLE, **SUNG, "src_audio": SOUND, "audio_duration": 1.0, **call})
    model = opened(folder)
    conditioning = stages.encode_song(model, STYLE, SONG, source=source, runtime=CPU)
    latents = stages.empty_latents(model, seconds=3.0)  # the sound's length wins
    assert torch.equal(made(model, conditioning, latents), expected)


def test_a_song_of_words_and_a_timbre_equals_the_whole_and_loads_its_text_encoder_once(folder, monkeypatch):
    expected = whole(folder, {"prompt": STYLE, **SUNG, "reference_audio": SOUND, "audio_duration": 1.0})
    model = opened(folder)
    latents = stages.empty_latents(model, seconds=1.0)
    conditioning = stages.encode_song(model, STYLE, SONG, reference=audio(), latents=latents, runtime=CPU)
    monkeypatch.setattr(
        importlib.import_module("pipelines.stages.sample")._Run,
        "_encode",
        lambda *_, **__: pytest.fail("encoded again"),
    )
    assert torch.equal(made(model, conditioning, latents), expected)


def test_the_length_that_a_song_was_told_gives_way_to_that_of_other_latents(folder):
    model = opened(folder)
    short, long = (stages.empty_latents(model, seconds=seconds) for seconds in (1.0, 1.6))
    told = stages.encode_song(model, STYLE, SONG, latents=short, runtime=CPU)
    plain = stages.encode_song(model, STYLE, SONG, runtime=CPU)
    assert made(model, told, long).shape[-1] == 1.6 * RATE
    assert torch.equal(made(model, told, long), made(model, plain, long))


def test_without_latents_the_sampler_encodes_for_the_length_that_it_is_given(folder):
    expected = whole(folder, {"prompt": STYLE, **SUNG, "audio_duration": 1.0})
    model = opened(folder)
    conditioning = stages.encode_song(model, STYLE, SONG, runtime=CPU)
    assert torch.equal(made(model, conditioning, stages.empty_latents(model, seconds=1.0)), expected)


def test_a_sound_of_another_rate_and_one_channel_is_brought_to_the_models(folder):
    model, mono = opened(folder), SOUND.mean(0, keepdim=True)
    slow = audio(mono, RATE)
    fast = audio(mono.repeat_interleave(2, dim=1), 2 * RATE)  # the same second at twice the rate
    heard = [
        stages.encode_song(model, STYLE, SONG, source=Source(sound, "repaint"), runtime=CPU).arguments
        for sound in (slow, fast)
    ]
    assert torch.equal(heard[0]["src_audio"], mono.expand(2, -1))
    assert heard[1]["src_audio"].shape == (2, RATE) and heard[1]["audio_duration"] == 1.0


@pytest.mark.parametrize("name", ["cover", "repaint"])
def test_a_batch_makes_a_song_of_each_seed(name, folder):
    model = opened(folder)
    conditioning = stages.encode_song(model, STYLE, SONG, source=CASES[name][0], reference=audio(), runtime=CPU)
    both = made(model, conditioning, stages.empty_latents(model, seconds=1.0, batch_size=2))
    one = made(model, conditioning, stages.empty_latents(model, seconds=1.0), seed=43)
    assert both.shape == (2, 2, RATE) and not torch.equal(both[0], both[1])
    assert torch.allclose(both[1:], one, atol=1e-4)


def test_a_family_without_words_for_tempo_key_and_metre_is_told_them_in_its_prompt(tmp_path):
    with torch.random.fork_rng(devices=[]):
        blocks.save("MiniMaxMusic3ModularPipeline", tmp_path)
    model = modular.open_folder(tmp_path, dtype="float32", offload="keep")
    conditioning = stages.encode_song(model, STYLE, SONG, runtime=CPU)
    assert conditioning.prompts == (f"{STYLE}, 120 bpm, F# minor, 3/4 time",)
    assert conditioning.arguments == {"lyrics": "a photo"}
    options = {"seed": 1, "steps": 2, "cfg": CFG, "runtime": CPU}
    said = stages.encode_prompt(model, conditioning.prompts, extra={"lyrics": "a photo"}, runtime=CPU)
    empty = stages.empty_latents(model, seconds=0.4)
    told = stages.encode_song(model, STYLE, SONG, latents=empty, runtime=CPU)
    first, *others = [stages.sample(model, one, empty, **options)["samples"] for one in (said, conditioning, told)]
    assert all(torch.equal(first, other) for other in others)
    with pytest.raises(AigcError, match="Expected a model that takes the task cover"):
        stages.encode_song(model, STYLE, SONG, source=Source(audio(), "cover"), runtime=CPU)
    with pytest.raises(AigcError, match="Expected a model that takes a reference"):
        stages.encode_song(model, STYLE, SONG, reference=audio(), runtime=CPU)


def test_what_does_not_fit_is_refused(folder, tmp_path):
    model = opened(folder)

    def refused(match: str, song: Song = SONG, on: Any = model, **given: Any) -> None:
        with pytest.raises(AigcError, match=match):
            stages.encode_song(on, STYLE, song, **given, runtime=CPU)

    refused("Expected no audio for text2music", source=Source(audio()))
    refused("Expected a sound to repaint, got none", source=Source(task="repaint"))
    refused("Expected a task of text2music", source=Source(task="remix"))
    refused("got 0.7 to 0.3", source=Source(audio(), "repaint", start=0.7, end=0.3))
    refused("got 2 to 1", source=Source(audio(), "repaint", start=2.0))
    refused("Expected a cover_strength from 0 to 1", source=Source(audio(), "cover", cover_strength=1.5))
    two = {"waveform": torch.zeros(2, 2, RATE), "sample_rate": RATE}
    refused("Expected one sound as audio, got 2", source=Source(two, "cover"))
    refused("Expected a language of", Song(language="tlh"))
    refused("Expected a metre of", Song(metre="5/4"))
    refused("Expected a tempo of 0 or more", Song(bpm=-1))
    bare = opened(tiny.saved(lambda: tiny_sound.acestep(tokens=False), tmp_path / "bare"))
    refused("audio_tokenizer for a cover", source=Source(audio(), "cover"), on=bare)
    other = opened(tiny.saved(tiny.BUILD["stableaudio"], tmp_path / "other"))
    refused("Expected a model that sings", on=other)
    with pytest.raises(AigcError, match="whose autoencoder takes sound as waves"):
        stages.encode_audio(opened(tiny.saved(tiny.BUILD["sd15"], tmp_path / "sd")), audio(), runtime=CPU)


def test_a_sound_as_latents_decodes_to_what_the_autoencoder_makes_of_it(folder):
    model = opened(folder)
    vae = staged.load_whole(folder).vae.eval()
    with torch.no_grad():
        expected = vae.decode(vae.encode(SOUND[None]).latent_dist.mode()).sample
    latents = stages.encode_audio(model, audio(), runtime=CPU)
    assert latents["samples"].shape == (1, 8, 25) and "noise_mask" not in latents
    assert torch.equal(stages.decode_audio(model, latents, runtime=CPU)["waveform"], expected[..., :RATE])


def test_a_part_of_a_sound_is_made_anew_and_the_rest_kept_exactly(folder):
    model = opened(folder)
    conditioning = stages.encode_song(model, STYLE, SONG, runtime=CPU)
    latents = stages.encode_audio(model, audio(), start=0.2, end=0.41, runtime=CPU)
    assert latents["noise_mask"].flatten().nonzero().flatten().tolist() == list(range(5, 11))
    out = stages.sample(model, conditioning, latents, seed=1, steps=STEPS, cfg=CFG, runtime=CPU)
    changed = (out["samples"] != latents["samples"]).any(1)[0]
    assert changed[5:11].all() and not changed[:5].any() and not changed[11:].any()
    near = stages.sample(model, conditioning, latents, seed=1, steps=1, cfg=CFG, denoise=0.1, runtime=CPU)
    assert (near["samples"] - latents["samples"]).norm() < 0.5 * (out["samples"] - latents["samples"]).norm()
    wrong = {**latents, "noise_mask": torch.ones(1, 1, 8, 8)}
    with pytest.raises(AigcError, match="Expected a noise mask"):
        stages.sample(model, conditioning, wrong, seed=1, steps=STEPS, cfg=CFG, runtime=CPU)


@pytest.mark.parametrize("name", ["StableAudio3Pipeline", "LongCatAudioDiTPipeline"])
def test_other_families_start_from_a_sound_and_make_a_part_of_it_anew(name, tmp_path):
    miniature.build(name).save_pretrained(tmp_path)
    model = opened(tmp_path)
    latents = stages.encode_audio(model, audio(torch.randn(2, 24000) * 0.1, 24000), start=0.2, end=0.5, runtime=CPU)
    assert latents["samples"].shape == stages.empty_latents(model, seconds=1.0)["samples"].shape
    conditioning = stages.encode_prompt(model, [staged.PROMPT], runtime=CPU)
    out = stages.sample(model, conditioning, latents, steps=2, cfg=CFG, runtime=CPU)
    changed = (out["samples"] != latents["samples"]).any(1)[0]
    assert torch.equal(changed, latents["noise_mask"][0, 0] > 0) and changed.any() and not changed.all()
    plain = {k: v for k, v in latents.items() if k != "noise_mask"}
    near = stages.sample(model, conditioning, plain, steps=2, cfg=CFG, denoise=0.5, runtime=CPU)
    assert near["samples"].shape == latents["samples"].shape and not torch.equal(near["samples"], latents["samples"])


@pytest.mark.parametrize("name", ["AudioLDM2Pipeline", "MusicLDMPipeline"])
def test_a_model_of_spectrograms_takes_no_waves(name, tmp_path):
    miniature.build(name).save_pretrained(tmp_path)
    with pytest.raises(AigcError, match="whose autoencoder takes sound as waves"):
        stages.encode_audio(opened(tmp_path), audio(), runtime=CPU)


@pytest.mark.parametrize("family", ["stableaudio"])
def test_a_model_of_fixed_length_gets_silence_after_the_sound(family, tmp_path):
    model = opened(tiny.saved(tiny.BUILD[family], tmp_path))
    latents = stages.encode_audio(model, audio(SOUND[:, :6], 4), runtime=CPU)
    assert latents["samples"].shape == stages.empty_latents(model)["samples"].shape
    assert latents["aigc"].arguments == {"audio_end_in_s": 1.5}
    conditioning = stages.encode_prompt(model, [staged.PROMPT], runtime=CPU)
    out = stages.sample(model, conditioning, latents, seed=1, steps=4, cfg=CFG, denoise=0.5, runtime=CPU)
    assert stages.decode_audio(model, out, runtime=CPU)["waveform"].shape == (1, 2, 6)
    with pytest.raises(AigcError, match="Expected at most 2 seconds"):
        stages.encode_audio(model, audio(SOUND[:, :12], 4), runtime=CPU)


def test_only_the_autoencoder_is_loaded_for_a_sound(folder, monkeypatch):
    loaded: list[str] = []

    def stage(model: Any, name: str, *rest: Any, **more: Any) -> Any:
        loaded.append(name)
        return pipes.stage(model, name, *rest, **more)

    monkeypatch.setattr(sounds, "stage", stage)
    stages.encode_audio(opened(folder), audio(), runtime=CPU)
    assert loaded == ["vae"]
