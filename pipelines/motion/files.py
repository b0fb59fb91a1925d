"""Motion layers in a file: one .safetensors with what they were made for in its header."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from ..errors import AigcError
from .network import Motion, Shape

FORMAT = "aigc-motion-1"


def save(path: Path, motion: Motion, *, scale: float, licence: str = "") -> None:
    """Write the layers in float16, whole or not at all. scale: a LATENT times it has unit variance, as the layers take it."""
    from safetensors.torch import save_file

    header = {"format": FORMAT, "shape": json.dumps(asdict(motion.shape)), "scale": str(scale), "licence": licence}
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        save_file(
            {k: v.detach().half().contiguous() for k, v in motion.state_dict().items()}, str(part), metadata=header
        )
        part.chmod(0o644)  # safetensors makes it readable for its owner only
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
