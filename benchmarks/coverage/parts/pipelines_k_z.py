"""Rows of the pipelines from Kandinsky5 on."""

from __future__ import annotations

from pipelines.stages.selftest.shrink import TEXT

from .pieces import QWEN, Z16, Row

K_BLOCKS = {
    "in_channels": 8,
    "out_channels": 5,
    "block_out_channels": (32, 32, 64, 64),
    "down_block_types": ("KDownBlock2D",) + ("KCrossAttnDownBlock2D",) * 3,
    "mid_block_type": None,
    "up_block_types": ("KCrossAttnUpBlock2D",) * 3 + ("KUpBlock2D",),
    "norm_num_groups": None,
    "act_fn": "gelu",
    "conv_in_kernel": 1,
    "conv_out_kernel": 1,
    "resnet_time_scale_shift": "scale_shift",
    "time_embedding_type": "fourier",
    "timestep_post_act": "gelu",
    "time_cond_proj_dim": 128 + TEXT,
}
PIPELINES: list[Row] = [
    ("StableDiffusionXL", "scheduler", "EulerDiscreteScheduler", {}),
    ("Kolors", "unet", "", {"encoder_hid_dim": TEXT, "encoder_hid_dim_type": "text_proj"}),
    ("LDMText", "bert", "LDMBertModel", {}),
    ("Kandinsky5", "transformer", "", {"in_visual_dim": 16, "out_visual_dim": 16}),
    (("Kandinsky5T2I", "Kandinsky5I2I"), "vae", "", Z16),
    (("Kandinsky5I2I", "Kandinsky5I2V"), "transformer", "", {"visual_cond": True}),
    ("Kandinsky6", "transformer", "", {"in_audio_dim": 40, "out_audio_dim": 40, "visual_token_type_num_embeddings": 2}),
    ("Kandinsky6", "audio_vae", "MMAudioVAE", {}),
    ("Kandinsky6", "vocoder", "MMAudioVocoder", {}),
    ("Krea2", ".", "", {"text_encoder_select_layers": (0, 1)}),
    ("LTX2DFR", "transformer", "", {"use_keyframes_abs_pos_embedding": True}),
    ("LatentConsistency", "unet", "", {"time_cond_proj_dim": 32}),
    ("LucyEdit", "transformer", "", {"in_channels": 32}),
    ("NucleusMoE", "transformer", "", {"out_channels": 16, "num_layers": 5, "capacity_factors": 1.0}),
    ("QwenImageControlNetInpaint", "controlnet", "", {"extra_condition_channels": 4}),
    # It works at 640 px at the least; a coarser autoencoder leaves it as few latents as the others have.
    (
        "QwenImageLayered",
        "vae",
        "",
        {"base_dim": 4, "dim_mult": [1] * 6, "temperal_downsample": [False] * 3 + [True] * 2, "input_channels": 4},
    ),
    ("QwenImageLayered", "transformer", "", {"use_additional_t_cond": True, "use_layer3d_rope": True}),
    ("Motif", "text_encoder", "", {"_config": "T5Gemma2EncoderConfig", "text_config": {"dropout_rate": 0.0}}),
    ("MotifVideoImage2Video", "transformer", "", {"image_embed_dim": TEXT}),
    ("MotifVideoImage2Video", "feature_extractor", "SiglipImageProcessor", {}),
    # Its released config is the whole T5Gemma's, of which it is the encoder.
    (
        "PRXPipeline",
        "text_encoder",
        "transformers.models.t5gemma.modeling_t5gemma.T5GemmaEncoder",
        {"_config": "T5GemmaModuleConfig", "_within": ("T5GemmaConfig", "encoder"), "dropout_rate": 0.0},
    ),
    ("PRXPipeline", "vae", "AutoencoderKL", Z16),
    ("PRXPixel", "text_encoder", "Qwen3VLTextModel", QWEN),
    (
        "PRXPixel",
        "transformer",
        "",
        {"in_channels": 3, "patch_size": 16, "bottleneck_size": 8, "resolution_embeds": True},
    ),
    ("SanaSprint", "scheduler", "SCMScheduler", {}),
    ("SanaSprint", "transformer", "", {"guidance_embeds": True}),
    (("SanaVideo", "SanaImageToVideo"), "vae", "AutoencoderKLWan", {}),
    ("SkyReelsV2Image", "transformer", "", {"in_channels": 36, "image_dim": TEXT}),
    ("StableAudio3", "text_encoder", "", {"is_encoder_decoder": False}),
    ("StableDiffusion3ControlNetInp", "controlnet", "", {"extra_conditioning_channels": 1}),
    (("StableDiffusionInstruct", "StableDiffusionXLInstruct"), "unet", "", {"in_channels": 8}),
    ("StableDiffusionUpscale", "unet", "", {"in_channels": 7, "class_embed_type": None, "num_class_embeds": 1000}),
    ("StableDiffusionUpscale", "low_res_scheduler", "DDPMScheduler", {}),
    ("StableDiffusionLatentUpscale", "unet", "", K_BLOCKS),
    ("StableDiffusionDepth", "unet", "", {"in_channels": 5}),
    (
        "StableDiffusionDepth",
        "depth_estimator",
        "",
        {"num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3], "initializer_range": 0.2},
    ),
    ("StableDiffusionXLAdapter", "adapter", "", {"adapter_type": "full_adapter_xl", "downscale_factor": 16}),
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
