"""Rows of the pipelines up to Kandinsky3."""

from __future__ import annotations

from pipelines.stages.selftest.shrink import TEXT

from .pieces import QWEN, UNET, WAN22_VAE, XL, Row

PIPELINES: list[Row] = [
    ("AnimateDiff", "unet", "UNet2DConditionModel", UNET),
    ("AnimateDiffSDXL", "unet", "UNet2DConditionModel", {**UNET, **XL}),
    ("Flux2", "vae", "", {"latent_channels": 32}),
    ("BriaFibo", "vae", "", {"z_dim": 16}),
    ("Flux2Klein", "transformer", "", {"joint_attention_dim": 3 * TEXT}),
    ("AudioLDM2", "language_model", "", {"max_new_tokens": 8}),
    ("BriaFiboPipeline", "transformer", "", {"joint_attention_dim": 2 * TEXT}),
    ("BriaFiboEdit", "transformer", "", {"joint_attention_dim": 2 * TEXT}),
    ("BriaFibo2", "text_encoder", "", {"text_config": {**QWEN, "num_hidden_layers": 40}}),
    ("ChronoEdit", "transformer", "", {"in_channels": 36, "image_dim": TEXT}),
    (("CogVideoXFun", "CogVideoXImage", "ConsisID"), "transformer", "", {"in_channels": 32}),
    ("CogView4Control", "transformer", "", {"in_channels": 32}),
    ("CogView4", "text_encoder", "", {"pad_token_id": 0}),
    ("AceStep", "text_encoder", "Qwen3Model", QWEN),
    ("AceStep", "condition_encoder", "", {"text_hidden_dim": TEXT}),
    ("Ideogram4", "text_encoder", "Qwen3VLModel", {}),
    ("EasyAnimate", "transformer", "", {"in_channels": 16, "out_channels": 16, "patch_size": 2}),
    ("EasyAnimateInpaint", "transformer", "", {"in_channels": 33}),
    ("EasyAnimateControl", "transformer", "", {"in_channels": 32}),
    (
        ("FluxControlPipeline", "FluxControlImg2Img", "FluxControlInpaint"),
        "transformer",
        "",
        {"in_channels": 128, "out_channels": 64},
    ),
    ("FluxFill", "transformer", "", {"in_channels": 384, "out_channels": 64}),
    (("IF",), "unet", "", {"in_channels": 3, "out_channels": 6, "encoder_hid_dim": TEXT}),
    (
        ("IFImg2ImgSuper", "IFInpaintingSuper", "IFSuper"),
        "unet",
        "",
        {"in_channels": 6, "class_embed_type": "timestep"},
    ),
    ("IF", "scheduler", "", {"variance_type": "learned_range"}),
    ("IFImg2ImgSuper", "watermarker", "IFWatermarker", {}),
    (("HunyuanSkyreelsImage",), "transformer", "", {"in_channels": 32}),
    ("HunyuanVideoFramepack", "transformer", "", {"has_clean_x_embedder": True, "has_image_proj": True}),
    ("HunyuanVideoImage", "transformer", "", {"image_condition_type": "token_replace"}),
    ("HunyuanVideoImage", "text_encoder", "", {"pad_token_id": 6}),
    ("AudioLDM2", "vae", "", {"in_channels": 1, "out_channels": 1}),
    ("BriaFibo2", "vae", "", {"latent_channels": 32}),
    (("BriaFiboPipeline", "BriaFiboEdit"), "transformer", "", {"in_channels": 16}),
    ("HunyuanVideo15", "transformer", "", {"target_size": 64}),
    ("Ideogram4", "text_encoder", "", {"text_config": {**QWEN, "num_hidden_layers": 40}}),
    ("Ideogram4", "transformer", "", {"llm_features_dim": 13 * TEXT}),
    ("Ideogram4", "unconditional_transformer", "", {"llm_features_dim": 13 * TEXT}),
    ("Cosmos3Omni", ".", "", {"enable_safety_checker": False}),
    (("Cosmos2TextToImage", "Cosmos2VideoToWorld"), "scheduler", "", {"use_karras_sigmas": True}),
    # one channel more: which frames are given
    (("Cosmos2VideoToWorld", "Cosmos2_5", "CosmosVideoToWorld"), "transformer", "", {"in_channels": 17}),
    # all layers of the text encoder, side by side
    ("Cosmos2_5", "transformer", "", {"use_crossattn_projection": True, "crossattn_proj_in_channels": 2 * TEXT}),
    ("Cosmos2_5", "controlnet", "", {"use_crossattn_projection": True, "crossattn_proj_in_channels": 2 * TEXT}),
    (
        "Cosmos2_5_Transfer",
        "transformer",
        "",
        {
            "controlnet_block_every_n": 2,
            "img_context_dim_in": TEXT,
            "img_context_num_tokens": 4,
            "img_context_dim_out": "inner",
        },
    ),
    ("Cosmos2_5_Transfer", "controlnet", "", {"img_context_dim_in": TEXT, "img_context_dim_out": "inner"}),
    ("Cosmos3Omni", "vae", "", WAN22_VAE),
    ("EasyAnimateInpaint", "vae", "", {"_extra": {"cache_mag_vae": True}}),
    ("ChromaInpaint", "transformer", "", {"_extra": {"guidance_embeds": False}}),
    ("Helios", "scheduler", "", {"use_dynamic_shifting": True}),
    ("HeliosPipeline", "scheduler", "", {"stages": 1, "stage_range": [0, 1]}),
    # at the default of 1/3 the noise of a block has a singular covariance, which the CPU's Cholesky refuses
    ("HeliosPyramid", "scheduler", "", {"gamma": 0.3}),
    ("HunyuanImagePipeline", "vae", "", {"scaling_factor": 0.75289}),
    # a frame is split in two by channels: the transformer's 64 come of the autoencoder's 32
    (
        "HunyuanImageRefiner",
        "transformer",
        "",
        {"in_channels": 128, "out_channels": 64, "patch_size": (1, 1, 1), "rope_axes_dim": (16, 56, 56)},
    ),
    ("GlmImage", "vae", "", {"latents_mean": [0.1] * 16, "latents_std": [1.5] * 16}),
]
