"""What a pipeline is called with: small pictures, masks and sizes under the names of its own parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

PROMPT, NEGATIVE = "a photo of an astronaut riding horse on mars", "low quality blurry"
SIDE, FRAMES, STEPS, CFG = 64, 9, 2, 5.0

# Named like a picture; `controls` of Cosmos and masks are made alike.
PICTURES = ("image", "control_image", "source_image", "input_image", "face_image", "ref_image", "image_2")
LISTS = ("images", "reference_images", "input_images", "references")
VIDEOS = (
    "video", "control_video", "conditioning_frames", "pose_video", "face_video", "mask_video", "controls",
)  # fmt: skip
MASKS = ("mask_image", "mask", "control_mask")

# What a class is called with beyond or instead of that; None leaves an argument out.
ROWS: list[tuple[str | tuple[str, ...], dict[str, Any]]] = [
    ("Allegro", {"num_frames": 8}),
    ("Mochi", {"num_frames": 7}),
    ("Latte", {"video_length": 4}),
    ("AnimateDiff", {"num_frames": 4}),
    (("PixArt", "Sana", "Lumina", "HunyuanDiT"), {"use_resolution_binning": False}),
    (("Flux2",), {"text_encoder_out_layers": (0, 1, 2)}),
    ("Helios", {"video": None}),
    ("AnyFlow", {"video": None}),
    ("BriaFiboEdit", {"prompt": '{"edit_instruction": "a photo of a cat"}', "mask": None}),
]


def arguments(cls: type) -> dict[str, Any]:
    """Call arguments of a class but its prompts, steps, guidance and seed, which the comparison gives."""
    names = inspect.signature(cls.__call__).parameters
    rows = [row for start, row in ROWS if cls.__name__.startswith(start)]
    own = {k: v for row in rows for k, v in row.items() if k in names}
    frames = next((row[k] for row in rows for k in ("num_frames", "video_length") if k in row), FRAMES)
    call = {name: _made(name, frames) for name in names}
    return {k: v for k, v in {**call, **own}.items() if v is not None}


def _made(name: str, frames: int) -> Any:
    if name in PICTURES:
        return picture(3)
    if name in LISTS:
        return [picture(3), picture(4)]
    if name in VIDEOS:
        return [picture(i) for i in range(frames)]
    if name in MASKS:
        return mask()
    sizes: Mapping[str, Any] = {"height": SIDE, "width": SIDE, "num_frames": frames, "video_length": frames}
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
