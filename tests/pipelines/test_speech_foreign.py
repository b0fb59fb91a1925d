"""Text-to-waveform models of transformers, tiny and random: their own classes, from folders as a hub has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import speech, waveforms
from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.sources import Roots
from pipelines.speech import foreign

CPU = Runtime("cpu")
TEXT = "Hello there. This is said by a model with random weights."


@pytest.fixture(scope="module")
def vits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder = tmp_path_factory.mktemp("vits")
    letters = {letter: number for number, letter in enumerate("_ abcdefghijklmnopqrstuvwxyz'")}
    (folder / "vocab.json").write_text(json.dumps(letters))
    tokenizer = VitsTokenizer(str(folder / "vocab.json"), pad_token="_", unk_token=None, phonemize=False)
    torch.manual_seed(0)
    config = VitsConfig(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16, flow_size=16,
        spectrogram_bins=9, upsample_initial_channel=16, upsample_rates=[8, 8], upsample_kernel_sizes=[16, 16],
        resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]], duration_predictor_num_flows=2,
        duration_predictor_filter_channels=16,
        prior_encoder_num_flows=2, prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        depth_separable_num_layers=1, sampling_rate=16000,
    )  # fmt: skip
    model = VitsModel(config)
    torch.nn.init.normal_(model.decoder.conv_post.weight, std=2.0)  # as loud as speech
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BarkConfig, BarkModel, BarkProcessor, BertTokenizer, EncodecConfig
    from transformers.models.bark import BarkCoarseConfig, BarkFineConfig, BarkSemanticConfig

    folder = tmp_path_factory.mktemp("bark")
    size = {"block_size": 64, "num_layers": 1, "num_heads": 2, "hidden_size": 16, "dropout": 0.0}
    codec = EncodecConfig(
        num_filters=4, hidden_size=16, codebook_size=16, codebook_dim=16, upsampling_ratios=[4, 2], num_lstm_layers=1,
        target_bandwidths=[60.0, 120.0], sampling_rate=24000, num_residual_layers=1,
    )  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "there", ".", "random"]))
    torch.manual_seed(0)
    config = BarkConfig(
        semantic_config=BarkSemanticConfig(input_vocab_size=80, output_vocab_size=24, **size).to_dict(),
        coarse_acoustics_config=BarkCoarseConfig(input_vocab_size=64, output_vocab_size=64, **size).to_dict(),
        fine_acoustics_config=BarkFineConfig(
            input_vocab_size=17, output_vocab_size=17, n_codes_total=4, n_codes_given=1, **size
        ).to_dict(),
        codec_config=codec.to_dict(),
    )  # fmt: skip
    model = BarkModel(config)
    model.save_pretrained(folder)
    steps = {
        "model_type": "bark",
        "semantic_config": {
            "text_encoding_offset": 30, "text_pad_token": 60, "semantic_infer_token": 61, "semantic_vocab_size": 20,
            "max_input_semantic_length": 8, "eos_token_id": 20, "semantic_rate_hz": 10, "max_new_tokens": 8, "do_sample": True,
        },
        "coarse_acoustics_config": {
            "coarse_semantic_pad_token": 60, "coarse_rate_hz": 20, "n_coarse_codebooks": 2, "coarse_infer_token": 61,
            "max_coarse_input_length": 8, "max_coarse_history": 16, "sliding_window_len": 8,
            "do_sample": True, "max_new_tokens": 16,
        },
        "fine_acoustics_config": {"max_fine_history_length": 16, "max_fine_input_length": 32,
        "n_fine_codebooks": 4, "temperature": 0.5},
        "sample_rate": 24000, "codebook_size": 16,
    }  # fmt: skip
    (folder / "generation_config.json").write_text(json.dumps(steps))
    BarkProcessor(BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def closed():
    yield
    waveforms.release(CPU)


def say(folder: Path, text: str = TEXT, **more) -> tuple[np.ndarray, int]:
    made = speech.speak(text, model=str(folder), roots=Roots(), **{"runtime": CPU, **more})
    assert made["waveform"].ndim == 3 and made["waveform"].dtype == torch.float32
    return made["waveform"][0, 0].numpy(), made["sample_rate"]


def test_vits_speaks_at_its_own_rate_by_the_seed_and_the_speed(vits):
    sound, rate = say(vits, seed=3)
    assert rate == 16000 and 0.01 < np.abs(sound).max() <= 1
    assert np.array_equal(sound, say(vits, seed=3)[0]) and not np.array_equal(sound, say(vits, seed=4)[0])
    assert len(say(vits, seed=3, speed=2.0)[0]) < 0.8 * len(sound)


def test_the_seed_leaves_torchs_own_random_numbers_alone(vits):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    say(vits, seed=3)
    assert torch.equal(torch.rand(3), expected)


def test_numbers_are_written_out_when_the_language_is_said(vits):
    assert len(say(vits, "forty-two", language="en")[0]) == len(say(vits, "42", language="en")[0])


def test_bark_speaks_by_the_seed_and_an_interrupt_acts_within_a_piece(bark):
    sound, rate = say(bark, "Hello there.", seed=1)
    assert rate == 24000 and len(sound) and np.isfinite(sound).all()
    assert np.array_equal(sound, say(bark, "Hello there.", seed=1)[0])

    class Stop(Exception):
        pass

    class Stopping(Runtime):
        asked = 0

        def check_interrupt(self) -> None:
            self.asked += 1
            if self.asked == 12:
                raise Stop

    runtime = Stopping("cpu")
    with pytest.raises(Stop):
        say(bark, "Hello there.", runtime=runtime)
    assert runtime.asked == 12
    say(bark, "Hello there.", runtime=runtime)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"speed": 1.5}, "speed 1 for .* a bark model has no control"),
        (
            {"reference": {"waveform": torch.zeros(1, 1, 100), "sample_rate": 24000}},
            "a bark model does not imitate voices; csm, dia",
        ),
        ({"text": ""}, "a text to speak"),
    ],
)
def test_what_a_model_cannot_do_is_refused_in_words(bark, more, says):
    with pytest.raises(AigcError, match=says):
        say(bark, **more)


def test_another_kind_of_model_and_a_pickle_are_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(AigcError, match=r"text-to-speech model \(bark, .*vits.*\), got bert"):
        say(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vits"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(AigcError, match=r"safetensors weights .* a pickle is not read"):
        say(tmp_path)


def test_a_voice_to_imitate_is_handed_over_in_the_models_own_form():
    tone = {"waveform": torch.ones(1, 2, 4800) * 0.1, "sample_rate": 48000}
    shown = foreign.Reference(tone, "These are my words.")
    csm, pocket, bark = (waveforms.Opened(kind, None, 24000) for kind in ("csm", "pocket_tts", "bark"))
    first, second = foreign._conversation(csm, "Say this.", shown)
    assert [part["type"] for part in first["content"]] == ["text", "audio"] and first["content"][0][
        "text"
    ] == shown.text
    assert first["role"] == second["role"] and second["content"] == [{"type": "text", "text": "Say this."}]
    (turn,) = foreign._conversation(pocket, "Say this.", shown)
    assert [part["type"] for part in turn["content"]] == ["audio", "text"]
    assert turn["content"][0]["audio"].shape == (2400,), "mono, at the model's rate"
    assert (
        foreign._conversation(bark, "Say this.", None) == foreign._conversation(csm, "Say this.", None) == "Say this."
    )


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [("csm", " ", "reads along"), ("dia", "", "reads along"), ("vits", "x", "does not imitate")],
)
def test_a_reference_without_its_words_or_use_is_refused(kind: str, text: str, says: str):
    shown = foreign.Reference({"waveform": torch.zeros(1, 1, 10), "sample_rate": 24000}, text)
    with pytest.raises(AigcError, match=says):
        foreign._check(waveforms.Opened(kind, None, 24000), "maker/model", 1.0, shown)
