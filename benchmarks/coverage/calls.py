"""What a pipeline is called with: small pictures, masks and sizes under the names of its own parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

PROMPT, NEGATIVE = "a photo of an astronaut riding horse on mars", "low quality blurry"
SIDE, FRAMES, STEPS, CFG, STRENGTH = 64, 9, 2, 5.0, 0.6

# Named like a picture; `controls` of Cosmos and masks are made alike.
PICTURES = ("image", "control_image", "source_image", "input_image", "face_image", "ref_image", "image_2")
LISTS = ("images", "reference_images", "input_images", "references")
VIDEOS = (
    "video", "control_video", "conditioning_frames", "pose_video", "face_video", "mask_video", "controls",
)  # fmt: skip
MASKS = ("mask_image", "mask", "control_mask")


def arguments(cls: type) -> dict[str, Any]:
    """Call arguments of a class but its prompts, steps, guidance and seed, which the comparison gives."""
    names = inspect.signature(cls.__call__).parameters
    rows = [row for start, row in ROWS if cls.__name__.startswith(start)]
    own = {k: v() if callable(v) else v for row in rows for k, v in row.items() if k in names}
    frames = next((row[k] for row in rows for k in ("num_frames", "video_length") if k in row), FRAMES)
    side = next((row["height"] for row in rows if "height" in row), SIDE)
    call = {name: _made(name, frames, side) for name in names}
    return {k: v for k, v in {**call, **own}.items() if v is not None}


def _made(name: str, frames: int, side: int) -> Any:
    if name in PICTURES:
        return picture(3, side)
    if name in LISTS:
        return [picture(3, side), picture(4, side)]
    if name in VIDEOS:
        return [picture(i, side) for i in range(frames)]
    if name in MASKS:
        return mask(side)
    sizes: Mapping[str, Any] = {
        "height": side,
        "width": side,
        "num_frames": frames,
        "video_length": frames,
        "strength": STRENGTH,
    }
    return sizes.get(name)


def picture(seed: int, side: int = SIDE) -> Any:
    """A smooth picture with some noise, always the same for a seed."""
    import numpy as np
    from PIL import Image

    noise = np.random.RandomState(seed).rand(side, side, 3)
    ramp = np.linspace(0, 1, side)
    return Image.fromarray((((noise + ramp[:, None, None] + ramp[None, :, None]) / 3) * 255).astype("uint8"))


def mask(side: int = SIDE) -> Any:
    """White, to be drawn anew, in the right half."""
    import numpy as np
    from PIL import Image

    values = np.zeros((side, side), "uint8")
    values[:, side // 2 :] = 255
    return Image.fromarray(values)


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
