"""What the sampler is asked for, checked before anything is loaded for it."""

from __future__ import annotations

from typing import Any

from ..errors import AigcError
from ..payloads import Conditioning, Model
from .table import SECONDS, SOUND_SOURCES


def check_numbers(model: Model, conditioning: Conditioning, steps: int, cfg: float, denoise: float) -> None:
    if conditioning.pipeline_class != model.pipeline_class:
        raise AigcError(
            f"Expected a conditioning made with this model ({model.pipeline_class}), got one of "
            f"{conditioning.pipeline_class}: connect the same model to Encode Prompt."
        )
    if steps < 1:
        raise AigcError(f"Expected at least 1 step, got {steps}: set steps to 1 or more.")
    if not 0 <= denoise <= 1:
        raise AigcError(
            f"Expected denoise between 0 and 1, got {denoise}: 1 starts from pure noise, 0 changes nothing."
        )
    if cfg != cfg or cfg < 0:
        raise AigcError(f"Expected a cfg of 0 or more, got {cfg}: 1 is without guidance for most models.")


def fixed_size(conditioning: Conditioning, size: dict[str, Any]) -> dict[str, Any]:
    """The call's size, and the length of the sound that it is made of. Raises AigcError when encoded pictures have another size."""
    for name in ("height", "width"):
        wanted = conditioning.arguments.get(name)
        if wanted is not None and name in size and size[name] != wanted:
            raise AigcError(
                f"Expected latents of the {name} of the encoded images ({wanted}), got {size[name]}: resize one of them."
            )
    if not any(conditioning.arguments.get(name) is not None for name in SOUND_SOURCES):
        return size
    return {**size, **{name: conditioning.arguments[name] for name in SECONDS if name in conditioning.arguments}}
