"""Rows of the pipelines from Kandinsky5 on."""

from __future__ import annotations

from ..shrink import TEXT
from .pieces import Z16, Row

PIPELINES: list[Row] = [
    ("StableDiffusionXL", "scheduler", "EulerDiscreteScheduler", {}),
    ("Kolors", "unet", "", {"encoder_hid_dim": TEXT, "encoder_hid_dim_type": "text_proj"}),
    ("LDMText", "bert", "LDMBertModel", {}),
    ("Kandinsky5", "transformer", "", {"in_visual_dim": 16, "out_visual_dim": 16}),
    (("Kandinsky5T2I", "Kandinsky5I2I"), "vae", "", Z16),
    (("Kandinsky5I2I", "Kandinsky5I2V"), "transformer", "", {"visual_cond": True}),
    ("Kandinsky6", "audio_vae", "MMAudioVAE", {}),
    ("Kandinsky6", "vocoder", "MMAudioVocoder", {}),
    ("Krea2", ".", "", {"text_encoder_select_layers": (0, 1)}),
    ("LTX2DFR", "transformer", "", {"use_keyframes_abs_pos_embedding": True}),
    ("LatentConsistency", "unet", "", {"time_cond_proj_dim": 32}),
    ("LucyEdit", "transformer", "", {"in_channels": 32}),
    ("QwenImageControlNetInpaint", "controlnet", "", {"extra_condition_channels": 4}),
    ("Motif", "text_encoder", "", {"_config": "T5Gemma2EncoderConfig"}),
    ("PRX", "text_encoder", "T5GemmaEncoder", {"_config": "T5GemmaModuleConfig"}),
    ("PRXPixel", "text_encoder", "Qwen3VLModel", {}),
    ("SanaSprint", "scheduler", "SCMScheduler", {}),
    ("SanaSprint", "transformer", "", {"guidance_embeds": True}),
    (("SanaVideo", "SanaImageToVideo"), "vae", "AutoencoderKLWan", {}),
    ("SkyReelsV2Image", "transformer", "", {"in_channels": 36}),
    ("StableAudio3", "text_encoder", "", {"is_encoder_decoder": False}),
    ("StableDiffusion3ControlNetInp", "controlnet", "", {"extra_conditioning_channels": 1}),
    (("StableDiffusionInstruct", "StableDiffusionXLInstruct"), "unet", "", {"in_channels": 8}),
    ("StableDiffusionUpscale", "unet", "", {"in_channels": 7, "class_embed_type": None, "num_class_embeds": 1000}),
    ("StableDiffusionUpscale", "low_res_scheduler", "DDPMScheduler", {}),
    ("StableDiffusionLatentUpscale", "unet", "", {"in_channels": 8}),
    ("StableDiffusionDepth", "unet", "", {"in_channels": 5}),
    ("StableDiffusionDepth", "depth_estimator", "", {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3]}),
    ("ZImage", "text_encoder", "Qwen3Model", {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}),
    ("ZImageControlNetInpaint", "controlnet", "", {"control_in_dim": 33}),
    ("ZImageOmni", "transformer", "", {"siglip_feat_dim": TEXT}),
    ("WanImage", "transformer", "", {"in_channels": 36}),
    (
        ("KandinskyCombined", "KandinskyImg2Img", "KandinskyInpaint", "KandinskyPipeline"),
        "unet",
        "",
        {
            "out_channels": 8,
            "encoder_hid_dim": TEXT,
            "encoder_hid_dim_type": "text_image_proj",
            "addition_embed_type": "text_image",
        },
    ),
    (
        "KandinskyV22",
        "unet",
        "",
        {
            "out_channels": 8,
            "encoder_hid_dim": TEXT,
            "encoder_hid_dim_type": "image_proj",
            "addition_embed_type": "image",
        },
    ),
    (("KandinskyInpaint", "KandinskyV22Inpaint"), "unet", "", {"in_channels": 9}),
    ("LDMText", "unet", "UNet2DConditionModel", {}),
    ("LDMText", "vqvae", "AutoencoderKL", {}),
]
