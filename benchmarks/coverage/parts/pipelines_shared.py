"""Rows of pipelines from both halves of the alphabet; they come first."""

from __future__ import annotations

from .pieces import DYNAMIC, XL, Z16, Row

PIPELINES: list[Row] = [
    (("StableDiffusionXL", "AnimateDiffSDXL", "Kolors"), "unet", "", XL),
    (("StableDiffusionXL", "AnimateDiffSDXL"), "controlnet", "", XL),
    (
        (
            "Flux",
            "Bria",
            "Chroma",
            "LongCatImage",
            "Ovis",
            "ZImage",
            "StableDiffusion3",
            "Lumina2",
            "HiDream",
            "CogView4",
            "CogView3",
            "Glm",
        ),
        "vae",
        "",
        Z16,
    ),
    (("Flux", "QwenImage"), "scheduler", "", DYNAMIC),
]
