"""What single classes are called with beyond what every pipeline is called with in `pipelines/stages/selftest/calls.py`."""

from __future__ import annotations

from typing import Any

from pipelines.stages.selftest import calls
from pipelines.stages.selftest.calls import FRAMES, SIDE, mask, picture


def arguments(cls: type) -> dict[str, Any]:
    """Call arguments of a class but its prompts, steps, guidance and seed, which the comparison gives."""
    own: dict[str, Any] = {}
    for start, row in ROWS:
        if cls.__name__.startswith(start):
            own.update({k: v() if callable(v) else v for k, v in row.items()})
    return calls.arguments(cls, own)


def original() -> Any:
    """The picture before it was made small."""
    return picture(3)


def see_through() -> Any:
    """A picture with an alpha channel."""
    return picture(3).convert("RGBA")


def embedding() -> Any:
    """What a prior would make [1, 32]."""
    import torch

    return torch.rand(1, 32, generator=torch.Generator().manual_seed(6))


def masks() -> Any:
    """A mask for every frame."""
    return [mask() for _ in range(FRAMES)]


def tone() -> Any:
    """A second of sound [1, 2, 64] in -1..1, at the miniatures' sample rate."""
    import torch

    return torch.sin(torch.arange(64) / 5).expand(1, 2, -1)


def clip() -> Any:
    """A video as a tensor [1, 3, FRAMES, SIDE, SIDE] in 0..1."""
    import torch

    return torch.rand(1, 3, FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def clip_mask() -> Any:
    """Its mask [1, 1, FRAMES, SIDE, SIDE] in 0..255: the right half is drawn anew."""
    import torch

    values = torch.zeros(1, 1, FRAMES, SIDE, SIDE)
    values[..., SIDE // 2 :] = 255
    return values


# HunyuanVideo's template, shorter: the released one is longer than what letters as tokens leave room for. Places count tokens.
LLAVA_TEMPLATE = {
    "template": "<|start_header_id|>system<|end_header_id|>\n\n<image>\nDescribe:<|eot_id|>\n\n"
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "crop_start": 25,
    "image_emb_start": 8,
    "image_emb_end": 24,
    "image_emb_len": 16,
}

# What a class is called with beyond or instead of that; None leaves an argument out.
EMBEDS = {"image_embeds": embedding, "negative_image_embeds": embedding}
ROWS: list[tuple[str | tuple[str, ...], dict[str, Any]]] = [
    ("Allegro", {"num_frames": 24}),  # one tile
    ("Kandinsky5I2V", {"num_frames": 17}),
    (
        "GlmImage",
        {"image": None},
    ),  # with one, transformers 5.24 hands diffusers features that it cannot put into tokens
    ("Mochi", {"num_frames": 7}),
    ("SanaWM", {"action": "w-8", "intrinsics": [64.0, 64.0, 32.0, 32.0]}),
    ("Latte", {"video_length": 4}),
    ("AnimateDiff", {"num_frames": 4}),
    (("PixArt", "PRX", "Sana", "Lumina", "HunyuanDiT"), {"use_resolution_binning": False}),
    (("Flux2",), {"text_encoder_out_layers": (0, 1, 2)}),
    ("Helios", {"video": None, "num_frames": 34}),  # two chunks
    ("HunyuanVideoFramepack", {"num_frames": 37}),  # two sections
    ("HunyuanVideoImage", {"prompt_template": LLAVA_TEMPLATE}),
    (
        ("LTX2HDR", "LTX2InContext", "LTX2Condition", "LTX2Pipeline", "LTX2Image", "LTX2DFRPipeline"),
        {"height": 128, "width": 128},
    ),
    ("LTX2DFRPipeline", {"num_frames": 25}),
    ("LTXI2VLong", {"height": 192, "width": 192}),
    ("NucleusMoE", {"return_index": -1}),
    ("OmniGen", {"input_images": None}),
    ("QwenImage21", {"image": None}),
    ("QwenImageLayered", {"image": see_through, "layers": 2}),
    (("Cosmos3Omni", "CosmosVideoToWorld"), {"video": None}),
    ("Cosmos2_5_Transfer", {"num_frames_per_chunk": 9}),
    ("Cosmos2_5_PredictBase", {"video": None}),
    ("EasyAnimateInpaint", {"video": clip, "mask_video": clip_mask}),
    ("SkyReelsV2DiffusionForcing", {"overlap_history": 1}),
    ("StableAudio3AudioToAudio", {"audio": tone, "init_noise_level": 0.7}),
    ("StableAudio3Inpaint", {"audio": tone, "mask": None, "mask_start_seconds": 0.3, "mask_end_seconds": 0.7}),
    ("StableDiffusionXLControlNetUnion", {"control_mode": 0}),
    (("IFImg2ImgSuper", "IFInpaintingSuper"), {"original_image": original}),
    ("WanVACE", {"mask": masks}),
    (("KandinskyPipeline", "KandinskyImg2ImgPipeline", "KandinskyInpaintPipeline"), EMBEDS),
    ("AnyFlowFAR", {"chunk_partition": [1, 2]}),
    ("AnyFlow", {"video": None}),
    ("BriaFiboEdit", {"prompt": '{"edit_instruction": "a photo of a cat"}', "mask": None}),
]
