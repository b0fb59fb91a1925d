"""Motion layers in a file: one .safetensors with what they were made for in its header."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from .. import whole
from ..errors import AigcError
from .network import Motion, Shape

FORMAT = "aigc-motion-2"


def save(path: Path, motion: Motion, *, scale: float, licence: str = "") -> None:
    """Write the layers in float16, whole or not at all. scale: a LATENT times it has unit variance, as the layers take it."""
    header = {"format": FORMAT, "shape": json.dumps(asdict(motion.shape)), "scale": str(scale), "licence": licence}
    whole.write(path, {k: v.half() for k, v in motion.state_dict().items()}, header)


@lru_cache(maxsize=1)
def load(path: Path) -> tuple[Motion, float]:
    """The layers in float32, and the scale of `save`. Raises AigcError for a file that is none of these."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise AigcError(
            f"Expected motion layers in {path.name}, but it cannot be read ({error}): install the pack again."
        ) from error
    if header.get("format") != FORMAT:
        raise AigcError(
            f"Expected motion layers of {FORMAT} in {path.name}, got another kind of file: install the pack again."
        )
    told = json.loads(header["shape"])
    motion = Motion(Shape(**{**told, "kinds": tuple(told["kinds"])}))
    motion.load_state_dict(weights)
    return motion.eval().requires_grad_(False), float(header["scale"])
