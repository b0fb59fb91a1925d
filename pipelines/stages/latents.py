"""The shape of a model's latents, empty ones, and the way between ComfyUI's LATENT and what `vae.decode` takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import Model, Trace
from ..runtime import Runtime
from .arguments import accepted, frames_name, seconds_name, takes_number
from .convention import from_host_shape, to_host
from .ended import Ended
from .pipe import decoder_name, skeleton
from .pixels import Pixels
from .table import SECONDS, WHOLE_CELLS, frames_per_second

_CHANNELS = ("latent_channels", "z_dim", "decoder_input_channels", "vq_embed_dim", "latent_dim")
_SPATIAL = (
    "vae_scale_factor_spatial", "vae_spatial_compression_ratio", "vae_spatial_scale_factor", "vae_scale_factor"
)  # fmt: skip
_TEMPORAL = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio", "vae_temporal_scale_factor")


@dataclass(frozen=True)
class Geometry:
    """How a model's latents relate to pixels, frames or samples.

    channels: latent channels as `vae.decode` takes them. spatial, temporal: pixels and frames a latent cell.
    dims: 3 for sound [B,C,T], 4 for pictures [B,C,H,W], 5 for video [B,C,T,H,W].
    frames_in_batch: video whose frames lie along the batch (AnimateDiff, SVD).
    chunk: frames and cells of a chunk, for an autoencoder that drops a part of the last one (MiniMax-H3).
    """

    family: str
    channels: int
    spatial: int
    temporal: int
    dims: int
    frames_in_batch: bool = False
    chunk: tuple[int, int] | None = None

    def cells(self, frames: int) -> int:
        """Cells along the time of a video of so many frames, of at least so many where they come in chunks."""
        if self.chunk is None:
            return (frames - 1) // self.temporal + 1
        per, kept = self.chunk
        return max(0, math.ceil((frames - kept) / per)) * kept + 2

    @property
    def video(self) -> bool:
        """Whether one row is several pictures one after another."""
        return self.frames_in_batch or (self.dims == 5 and (self.temporal > 1 or self.chunk is not None))

    def fitting(self, frames: int, own: int) -> int:
        """The nearest number of frames that comes out whole: as far from a multiple of `temporal` as the family's own number.

        That is 4 k + 1 for Wan (81) and 8 k + 1 for LTX (161). Left to families that know no number of their own (own 1), and
        to those of chunks.
        """
        if self.chunk is not None or own == 1:
            return frames
        rest = own % self.temporal
        near = math.floor((frames - rest) / self.temporal + 0.5) * self.temporal + rest
        return near if near > 0 else near + self.temporal

    def frames(self, cells: int) -> int:
        """The inverse of `cells`."""
        if self.chunk is None:
            return (cells - 1) * self.temporal + 1
        per, kept = self.chunk
        return (cells - 2) // kept * per + kept


def geometry(pipe: Any, decoder: Any) -> Geometry:
    """Read the geometry off a pipeline and its autoencoder's config; no weights needed."""
    config, name = decoder.config, type(decoder).__name__
    channels = next((int(config[k]) for k in _CHANNELS if config.get(k)), 4)
    owner = decoder if isinstance(decoder, Pixels | Ended) else pipe
    spatial = next((int(v) for k in _SPATIAL if isinstance(v := getattr(owner, k, None), int | float)), 8)
    if name == "AutoencoderKL":  # a pipeline may call a packed patch its scale factor (Bria)
        spatial = 2 ** (len(config["block_out_channels"]) - 1)
    temporal = next((int(v) for k in _TEMPORAL if isinstance(v := getattr(owner, k, None), int | float)), 0)
    takes_frames = bool(frames_name(pipe)) or "video" in accepted(pipe)
    told_frames = takes_number(decoder)  # it has them along the batch (SVD)
    # Qwen-Image 2.1 calls a convolution of one frame after the other so, which torch does not know as three-dimensional.
    convolves_time = any(isinstance(m, nn.Conv3d) or type(m).__name__.endswith("Conv3d") for m in decoder.modules())
    if "Oobleck" in name or (seconds_name(pipe) and name not in ("AutoencoderKL",)):
        dims = 3
    elif (temporal or convolves_time) and not told_frames:
        dims = 5
    else:
        dims = 4
    chunk = decoder.chunk if isinstance(decoder, Ended) else None
    return Geometry(type(pipe).__name__, channels, spatial, max(temporal, 1), dims, dims == 4 and takes_frames, chunk)


def _own_size(pipe: Any, shape: Geometry, name: str) -> int:
    default = accepted(pipe)[name].default if name in accepted(pipe) else None
    if isinstance(default, int):
        return default
    cells = getattr(pipe, "default_sample_size", None)
    if cells is None:
        denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
        cells = denoiser.config.get("sample_size") if denoiser is not None else None
    if isinstance(cells, list | tuple):
        cells = cells[0 if name == "height" else -1]
    return int(cells) * shape.spatial if cells else 512


def _fitted(shape: Geometry, name: str, value: int, step: int) -> int:
    """The size, for a video the nearest that fits: its families' steps of 16 or 32 are in nobody's head.

    Raises AigcError for a picture's that does not fit.
    """
    near = max(step, round(value / step) * step)
    if value != near and not shape.video:
        raise AigcError(f"Expected {name} to be a multiple of {step} for this model, got {value}: use {near}.")
    return near


def _step(pipe: Any, shape: Geometry) -> int:
    """Pixels that width and height must be a multiple of: a latent cell, or a patch of cells."""
    for name in ("transformer", "unet"):
        denoiser = getattr(pipe, name, None)
        if denoiser is not None:
            patch = denoiser.config.get("patch_size") or 1
            patch = patch[-1] if isinstance(patch, list | tuple) else patch
            packed = 2 if hasattr(pipe, "_pack_latents") and shape.dims != 5 else 1
            return shape.spatial * max(int(patch) if isinstance(patch, int) else 1, packed)
    return shape.spatial


def empty_latents(
    model: Model,
    *,
    width: int = 0,
    height: int = 0,
    frames: int = 0,
    seconds: float = 0.0,
    batch_size: int = 1,
    runtime: Runtime | None = None,
) -> dict[str, Any]:
    """Zeros in the shape of `model`'s latents. 0 means the model's own size, frame count or duration.

    A video's size and frames are rounded to what the model makes; `told` says so. Raises AigcError when the size of a picture
    does not fit the model.
    """
    pipe = skeleton(model, runtime or Runtime())
    shape = geometry(pipe, getattr(pipe, decoder_name(model)))
    if batch_size < 1:
        raise AigcError(f"Expected batch_size of at least 1, got {batch_size}: set it to 1 or more.")
    arguments: dict[str, Any] = {}
    if shape.dims == 3:
        cells, arguments = sound_cells(pipe, getattr(pipe, decoder_name(model)), seconds)
        size: tuple[int, ...] = (batch_size, shape.channels, cells)
    else:
        width = width or _own_size(pipe, shape, "width")
        height = height or _own_size(pipe, shape, "height")
        step = _step(pipe, shape)
        width, height = (_fitted(shape, n, v, step) for n, v in (("width", width), ("height", height)))
        arguments = {"width": width, "height": height}
        cells_hw = (height // shape.spatial, width // shape.spatial)
        size = (batch_size, shape.channels, *cells_hw)
        if shape.dims == 5:
            own = _own_frames(pipe)
            frames = shape.fitting(frames, own) if frames else own
            arguments["num_frames"] = frames
            size = (batch_size, shape.channels, shape.cells(frames), *cells_hw)
        elif shape.frames_in_batch:
            frames = frames or _own_frames(pipe)
            arguments["num_frames"] = frames
            size = (batch_size * frames, shape.channels, *cells_hw)
        if (name := seconds_name(pipe)) and seconds:
            arguments[name] = seconds
    samples = to_host(shape.family, torch.zeros(size), pipe)
    return {"samples": samples, "aigc": Trace(shape.family, samples, arguments=arguments)}


def _own_frames(pipe: Any) -> int:
    """What the call has by default, or the denoiser was trained on (SVD)."""
    name = frames_name(pipe)
    default = accepted(pipe)[name].default if name else 1
    if not isinstance(default, int):
        denoiser = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
        default = denoiser.config.get("num_frames") if denoiser is not None else None
    return default if isinstance(default, int) else 1


def told(model: Model, latents: Mapping[str, Any], **asked: float) -> str:
    """What a LATENT of `empty_latents` will be, in words; asked: width, height, frames as they were asked for, 0 for any."""
    fps = frames_per_second(model.pipeline_class)
    trace = latents.get("aigc")
    has: Mapping[str, Any] = trace.arguments if isinstance(trace, Trace) else {}
    if "width" not in has:
        seconds = next((v for k, v in has.items() if k in SECONDS), None)
        return f"sound of {seconds:g} seconds" if seconds else f"sound of {latents['samples'].shape[-1]} latent cells"
    frames = has.get("num_frames", 1)
    line = f"{has['width']} x {has['height']}"
    line += f", {frames} frames: {frames / fps:.2f} seconds at {fps:g} a second" if frames > 1 else ""
    got = {"width": has["width"], "height": has["height"], "frames": frames}
    rounded = [
        f"{n} {v:g} to {got[n]}" for n, v in asked.items() if v and got[n] != v and (n != "frames" or frames > 1)
    ]
    return line + (f"; rounded to what this model makes: {', '.join(rounded)}" if rounded else "")


def sound_cells(pipe: Any, decoder: Any, seconds: float) -> tuple[int, dict[str, Any]]:
    """Latent cells of a sound and the call's own word for its length; 0 seconds are the model's own.

    Raises AigcError when a model of fixed length cannot make it so long, or states neither rate nor hop.
    """
    name, fixed = seconds_name(pipe), pipe.transformer.config.get("sample_size")
    rate, hop = rate_and_hop(pipe, decoder)
    longest = fixed * hop / rate if fixed else math.inf
    if seconds > longest:
        raise AigcError(f"Expected at most {longest:g} seconds for this model, got {seconds:g}: ask for less.")
    if not seconds:
        default = accepted(pipe)[name].default if name else None
        seconds = longest if fixed else default if isinstance(default, int | float) else 10.0
    whole = math.floor if type(pipe).__name__.startswith(WHOLE_CELLS) else math.ceil
    return fixed or max(1, whole(seconds * rate / hop)), {name: seconds} if name else {}


def rate_and_hop(pipe: Any, decoder: Any) -> tuple[int, int]:
    """Samples a second, and samples a latent cell. Raises AigcError for a model that states one of them nowhere."""
    rate = decoder.config.get("sampling_rate") or getattr(pipe, "sample_rate", None)
    stated = [getattr(decoder, n, None) or decoder.config.get(n) for n in ("hop_length", "downsampling_ratio")]
    hop = next((n for n in stated if n), None)
    if not rate or not hop:
        raise AigcError(
            f"Expected a model that states sample rate and hop length, got {type(pipe).__name__}: "
            "this family of sound cannot be used yet; please report its name."
        )
    return int(rate), int(hop)


def call_size(pipe: Any, shape: Geometry, latents: Mapping[str, Any]) -> dict[str, Any]:
    """height, width, num_frames and the like for a LATENT: from its trace if it still fits, else from its shape."""
    samples, trace = latents["samples"], latents.get("aigc")
    arguments = dict(trace.arguments) if isinstance(trace, Trace) else {}
    if isinstance(trace, Trace) and trace.samples.shape[1:] == samples.shape[1:] and "width" in arguments:
        return arguments
    raw = from_host_shape(shape.family, samples)
    if shape.dims >= 4:
        arguments.update(height=raw[-2] * shape.spatial, width=raw[-1] * shape.spatial)
    if shape.dims == 5:
        arguments["num_frames"] = shape.frames(raw[2])
    elif shape.frames_in_batch:
        arguments["num_frames"] = samples.shape[0]
    elif shape.dims == 3 and not any(k == seconds_name(pipe) for k in arguments):
        arguments.update(sound_cells(pipe, getattr(pipe, "ended", None) or pipe.vae, 0.0)[1])
    return arguments


def check(shape: Geometry, samples: torch.Tensor) -> None:
    """Raise AigcError unless `samples` can be a LATENT of this model."""
    raw = from_host_shape(shape.family, samples)
    if samples.ndim != shape.dims or raw[1] != shape.channels:
        kinds = {3: "sound", 4: "a picture", 5: "video"}
        raise AigcError(
            f"Expected latents of {shape.family}: {kinds[shape.dims]} with {shape.channels} channels, got shape "
            f"{list(samples.shape)}. This latent was made for another model: encode the image again with this model's "
            "Encode Image, or make empty latents with it."
        )


def batch_rows(prompts: int, samples: torch.Tensor, shape: Geometry) -> list[int]:
    """For each row of the batch, which prompt it has: prompts repeat in blocks when the batch is a multiple."""
    batch = 1 if shape.frames_in_batch else int(samples.shape[0])
    if batch == 1:
        return list(range(prompts))
    if batch % prompts:
        raise AigcError(
            f"Expected a batch that is a multiple of the {prompts} prompts, got {batch}: set batch_size to 1 or {prompts}."
        )
    return [i for i in range(prompts) for _ in range(batch // prompts)]


def untouched(latents: Mapping[str, Any]) -> Trace | None:
    """The LATENT's trace if its tensor is still exactly what our sampler made, else None."""
    trace = latents.get("aigc")
    if not isinstance(trace, Trace) or trace.raw is None:
        return None
    samples = latents["samples"]
    same = samples is trace.samples or (
        samples.shape == trace.samples.shape and torch.equal(samples.cpu(), trace.samples.cpu())
    )
    return trace if same else None
