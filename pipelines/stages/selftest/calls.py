"""What a pipeline is called with: small pictures, masks and sizes under the names of its own parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..table import FRAMES as FRAME_WORDS

PROMPT, NEGATIVE = "a photo of an astronaut riding horse on mars", "low quality blurry"
SIDE, FRAMES, STEPS, CFG, STRENGTH = 64, 9, 2, 5.0, 0.6

# Named like a picture; `controls` of Cosmos and masks are made alike.
PICTURES = ("image", "control_image", "source_image", "input_image", "face_image", "ref_image", "image_2")
LISTS = ("images", "reference_images", "input_images", "references")
VIDEOS = (
    "video", "control_video", "conditioning_frames", "pose_video", "face_video", "mask_video", "controls",
)  # fmt: skip
MASKS = ("mask_image", "mask", "control_mask")


def arguments(cls: type, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Call arguments of a class but its prompts, steps, guidance and seed, which the comparison gives.

    own: what this class is called with beyond or instead of that; None leaves an argument out.
    """
    names = inspect.signature(cls.__call__).parameters
    own = dict(own or {})
    frames = next((own[k] for k in FRAME_WORDS if k in own), FRAMES)
    side = own.get("height", SIDE)
    call = {name: _made(name, frames, side) for name in names}
    call.update({k: v for k, v in own.items() if k in names})
    return {k: v for k, v in call.items() if v is not None}


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
