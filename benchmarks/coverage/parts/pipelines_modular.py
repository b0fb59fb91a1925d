"""Rows of the families that exist only as blocks."""

from __future__ import annotations

from pipelines.stages.selftest.shrink import TEXT, VOCABULARY

from .pieces import QWEN_VL, Row

STATISTICS = {"latents_mean": [0.01 * i for i in range(32)], "latents_std": [1 + 0.01 * i for i in range(32)]}

PIPELINES: list[Row] = [
    ("Anima", "text_encoder", "", {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}),
    (
        "Anima",
        "text_conditioner",
        "",
        {"source_dim": TEXT, "target_dim": TEXT, "model_dim": TEXT, "target_vocab_size": VOCABULARY},
    ),
    ("Anima", "transformer", "", {"in_channels": 16, "out_channels": 16, "extra_pos_embed_type": None}),
    (("Flux3",), "prompt_upsampler", None, {}),  # optional, and a language model of its own
    ("Flux3", "prompt_upsampler_processor", None, {}),
    ("Flux3", "tokenizer", "Qwen3VLProcessor", {}),
    # eight of its layers side by side are what the transformer takes, the last of them the 33rd
    ("Flux3", "text_encoder", "", {"text_config": {**QWEN_VL["text_config"], "num_hidden_layers": 33}}),
    ("Flux3", "transformer", "", {"joint_attention_dim": 8 * TEXT}),
    ("Flux3", "vae", "", {"latent_channels": 32}),
    ("Flux3Distilled", "transformer", "", {"flow_map": True}),
    ("Echo", "text_encoder", "Gemma3ForConditionalGeneration", {}),
    ("Echo", "tokenizer", "GemmaTokenizer", {}),
    ("Echo", "connectors", "diffusers.pipelines.ltx2.connectors.LTX2TextConnectors", {}),
    ("Echo", "vocoder", "diffusers.pipelines.ltx2.vocoder.LTX2Vocoder", {}),
    # its transformer takes the 51st of the encoder's layers
    ("MiniMaxH3", "text_encoder", "", {"text_config": {**QWEN_VL["text_config"], "num_hidden_layers": 51}}),
    ("MiniMaxH3", "transformer_ref", None, {}),  # for a workflow of its own
    ("MiniMaxH3", "transformer", "", {"hidden_size": 32, "time_embed_hidden_dim": 32}),
    (
        "MiniMaxH3",
        "vae",
        "",
        {"decoder_num_layers": 1, "decoder_num_attention_heads": 2, "decoder_attention_head_dim": 16},
    ),
    ("MiniMaxH3", "audio_vae", "", {"encoder_dim": 2, "latent_dim": 64, "decoder_dim": 128, **STATISTICS}),
    # the codes of its sounds lie above a vocabulary as large as the released one
    ("MiniMaxMusic3", "language_model", "", {"vocab_size": 168_064, "bos_token_id": None, "eos_token_id": 1}),
    ("MiniMaxMusic3", "rvq_depth_decoder", "", {"hidden_size": TEXT}),
    ("MiniMaxMusic3", "condition_encoder", "", {"condition_hidden_dim": TEXT, "out_dim": 32}),
    ("MiniMaxMusic3", "transformer", "", {"attention_head_dim": 32, "ff_inner_dim": 32, "fourier_embedding_dim": 16}),
    ("MiniMaxMusic3", "vocoder", "", {"decoder_input_dim": 16, "decoder_hidden_dim": 32}),
    # its pictures are 224 px and their features 1280 wide, whatever the configs say
    ("WanAnimate2", "image_encoder", "", {"hidden_size": 1280, "image_size": 224, "patch_size": 32}),
    ("WanAnimate2", "transformer", "", {"dim": 32}),
]
