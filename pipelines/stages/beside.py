"""The sound that a model of video makes along with it (LTX-2): its latents ride in the LATENT's trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ..payloads import Trace
from .replay import shadowed
from .table import UNPACKS_SOUND


@contextmanager
def sound_beside(pipe: Any) -> Iterator[list[torch.Tensor]]:
    """Collect what a pipeline would give to its sound's own decoder, last of all; nothing where it makes none."""
    made: list[torch.Tensor] = []
    original = getattr(pipe, UNPACKS_SOUND, None)
    if original is None:
        yield made
        return

    def unpack(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        made.append(out.detach().cpu())
        return out

    with shadowed(pipe, UNPACKS_SOUND, unpack):
        yield made


def sound_in(latents: Mapping[str, Any], rows: int) -> torch.Tensor | None:
    """The sound's latents that ride in a LATENT of so many rows."""
    trace = latents.get("aigc")
    sound = trace.sound if isinstance(trace, Trace) else None
    return sound if isinstance(sound, torch.Tensor) and len(sound) == rows else None


def sound_decoded(pipe: Any, z: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, int]:
    """[B, C, T] in -1..1 and samples a second, by the pipeline's own autoencoder of sound and its vocoder."""
    given = z.to(device, pipe.audio_vae.dtype)
    spectrum = pipe.audio_vae.decode(given, return_dict=False)[0]
    return pipe.vocoder(spectrum).float().cpu(), int(pipe.vocoder.config.output_sampling_rate)
