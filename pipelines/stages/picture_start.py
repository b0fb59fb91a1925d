"""Image-to-image pipelines that are given a LATENT: SDXL's refiner after its base, or any other of the kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import AigcError
from . import arguments


def wants_start(pipe: Any, given: Mapping[str, Any]) -> bool:
    """Whether this pipeline starts from a picture by its own `strength`, and has got none from Encode Prompt."""
    names = arguments.accepted(pipe)
    known = "Img2Img" in type(pipe).__name__ and {"image", "strength"} <= set(names)
    return known and names["image"].default is None and given.get("image") is None


def stand_in(pipe: Any) -> dict[str, Any]:
    """A small latent picture, for a call that ends before it matters."""
    return {"image": torch.zeros(1, int(pipe.vae.config["latent_channels"]), 8, 8)}


def start_arguments(
    pipe: Any, given: Mapping[str, Any], samples: torch.Tensor, denoise: float, rows: int, *, mask: Any
) -> dict[str, Any]:
    """The LATENT [1 or B, C, H, W] as the pipeline's picture, in its denoiser's space, and how much to change it.

    Raises AigcError for a mask, which such a pipeline does not take.
    """
    if mask is not None:
        raise AigcError(f"Expected latents without a noise mask for {type(pipe).__name__}, got one: remove it.")
    config = pipe.vae.config
    x0 = (samples.float() - (config.get("shift_factor") or 0.0)) * config["scaling_factor"]
    x0 = x0.repeat(rows, 1, 1, 1) if x0.shape[0] == 1 else x0
    return {"image": x0} if given.get("denoising_start") is not None else {"image": x0, "strength": denoise}


def steps_of(steps: int, denoise: float) -> int:
    """The length of the schedule of which `strength` leaves just these steps."""
    return math.ceil(steps / denoise - 1e-9)
