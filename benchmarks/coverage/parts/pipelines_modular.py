"""Rows of the families that exist only as blocks."""

from __future__ import annotations

from pipelines.stages.selftest.shrink import TEXT, VOCABULARY

from .pieces import QWEN_VL, Row

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
]
