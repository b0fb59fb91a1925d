"""Sounds on their way into a model: in its autoencoder's form, and as the latents that sampling starts from."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch.nn import functional as F

from ..errors import AigcError
from ..media import Sound, at_rate, heard
from ..payloads import Model, Trace
from ..runtime import Runtime
from .convention import to_host
from .decode import mean_of
from .latents import geometry, rate_and_hop, sound_cells
from .pipe import decoder_name, stage


def encode_audio(
    model: Model, audio: Any, *, start: float = 0.0, end: float = 0.0, runtime: Runtime | None = None
) -> dict[str, Any]:
    """AUDIO -> LATENT [B, C, T], the mean of the autoencoder's posterior; only that holds weights.

    start, end: seconds of the part that sampling makes anew, as a "noise_mask" [1, 1, T]; both 0: no mask. end 0 is the end.
    A model of fixed length gets silence after the sound. Raises AigcError for a model that takes no waves, for a sound that is
    longer than the model's, and for a part that is none.
    """
    runtime = runtime or Runtime()
    with stage(model, "vae", runtime) as pipe:
        autoencoder = getattr(pipe, decoder_name(model))
        shape = geometry(pipe, autoencoder)
        if shape.dims != 3 or not hasattr(autoencoder, "encode") or not hasattr(autoencoder, "encoder"):
            raise AigcError(
                f"Expected a model whose autoencoder takes sound as waves, got {shape.family}: use ACE-Step, Stable Audio or "
                "LongCat-AudioDiT."
            )
        sound = fitted(heard(audio), pipe, autoencoder)
        hop = rate_and_hop(pipe, autoencoder)[1]
        cells, told = sound_cells(pipe, autoencoder, sound.seconds)
        wave = F.pad(sound.waveform, (0, cells * hop - sound.waveform.shape[-1]))
        runtime.check_interrupt()
        z = _encoded(autoencoder, wave.to(runtime.device, autoencoder.dtype))[..., :cells].float().cpu()
        samples = to_host(shape.family, z, pipe)
    latent = {"samples": samples, "aigc": Trace(shape.family, samples, raw=z, arguments=told)}
    if not start and not end:
        return latent
    start, end = part(start, end, sound.seconds)
    mask = torch.zeros(1, 1, cells)
    mask[..., int(start * sound.rate / hop) : math.ceil(end * sound.rate / hop)] = 1.0
    return {**latent, "noise_mask": mask}


def part(start: float, end: float, seconds: float) -> tuple[float, float]:
    """From where to where in a sound of so many seconds; end 0 is its end. Raises AigcError for no part of it."""
    end = min(end, seconds) if end > 0 else seconds
    if not 0 <= start < end:
        raise AigcError(
            f"Expected a part of the sound, whose length is {seconds:.2f} seconds, got {start:g} to {end:g}: let start_seconds "
            "come before end_seconds."
        )
    return start, end


def fitted(sound: Sound, pipe: Any, autoencoder: Any) -> Sound:
    """[B, C, T] at the autoencoder's rate and with its number of channels."""
    config = autoencoder.config
    waveform = at_rate(sound, rate := rate_and_hop(pipe, autoencoder)[0]).waveform
    channels = int(config.get("audio_channels") or config.get("in_channels") or 1)
    if waveform.shape[1] != channels:
        waveform = waveform.mean(1, keepdim=True).expand(-1, channels, -1).contiguous()
    return Sound(waveform, rate)


def _encoded(autoencoder: Any, wave: torch.Tensor) -> torch.Tensor:
    """The mean: LongCat's autoencoder draws from its posterior unless it is told not to."""
    draws = "sample_posterior" in inspect.signature(autoencoder.encode).parameters
    return mean_of(autoencoder.encode(wave, **({"sample_posterior": False} if draws else {})))
