"""Tiny pipelines of sound with random weights, built from the classes' own constructors."""

from __future__ import annotations

from typing import Any

from . import tiny


def stableaudio() -> Any:
    from diffusers import (
        AutoencoderOobleck,
        EDMDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
    )
    from diffusers.pipelines.stable_audio import StableAudioProjectionModel

    words = tiny.word_tokenizer(length=32)
    return StableAudioPipeline(
        transformer=StableAudioDiTModel(
            sample_size=4, in_channels=3, num_layers=2, attention_head_dim=4, num_key_value_attention_heads=2,
            out_channels=3, cross_attention_dim=4, time_proj_dim=8, global_states_input_dim=8,
            cross_attention_input_dim=4,
        ),
        scheduler=EDMDPMSolverMultistepScheduler(
            prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
        ),
        vae=AutoencoderOobleck(
            encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
            channel_multiples=[2, 4], sampling_rate=4,
        ),
        text_encoder=tiny.t5(len(words)),
        tokenizer=words,
        projection_model=StableAudioProjectionModel(
            text_encoder_dim=32, conditioning_dim=4, min_value=0, max_value=32
        ),
    )  # fmt: skip


def acestep(tokens: bool = True) -> Any:
    """25 latent cells a second. tokens: with the parts that a cover needs."""
    from diffusers import (
        AceStepAudioTokenDetokenizer,
        AceStepAudioTokenizer,
        AceStepConditionEncoder,
        AceStepPipeline,
        AceStepTransformer1DModel,
        AutoencoderOobleck,
        FlowMatchEulerDiscreteScheduler,
    )
    from transformers import Qwen3Config, Qwen3Model

    words = tiny.word_tokenizer()
    heads: dict[str, Any] = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    size: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, **heads}
    pooled: dict[str, Any] = {**size, "audio_acoustic_hidden_dim": 8, "num_attention_pooler_hidden_layers": 1}
    return AceStepPipeline(
        vae=AutoencoderOobleck(
            encoder_hidden_size=16, downsampling_ratios=[4, 8], decoder_channels=4, decoder_input_channels=8,
            channel_multiples=[1, 2], sampling_rate=800,
        ),
        text_encoder=Qwen3Model(Qwen3Config(vocab_size=len(words), num_hidden_layers=2, **size)),
        tokenizer=words,
        transformer=AceStepTransformer1DModel(
            **size, num_hidden_layers=2, in_channels=24, audio_acoustic_hidden_dim=8
        ),
        condition_encoder=AceStepConditionEncoder(
            **size, text_hidden_dim=16, timbre_hidden_dim=8, num_lyric_encoder_hidden_layers=1,
            num_timbre_encoder_hidden_layers=1,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        audio_tokenizer=AceStepAudioTokenizer(**pooled, fsq_dim=16) if tokens else None,
        audio_token_detokenizer=AceStepAudioTokenDetokenizer(**pooled) if tokens else None,
    )  # fmt: skip
