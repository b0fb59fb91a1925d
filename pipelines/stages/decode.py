"""The decode stage: latents to pictures, frames or sound, with the pipeline's own processor; and images to latents."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from .. import spill
from ..errors import AigcError
from ..motion import Moved
from ..payloads import Model, Trace
from ..runtime import Runtime
from ..walks import Walk
from . import arguments
from .beside import sound_decoded, sound_in
from .convention import from_host, to_host
from .ended import PICTURES, SOUNDS, Beside, Ended
from .ending import decoded, recalled
from .latents import Geometry, batch_rows, check, geometry, untouched
from .pipe import decoder_name, skeleton, stage
from .replay import replaying, shadowed
from .table import CFG_CONCATENATED, PROCESSORS, SECONDS, frames_per_second, tail_replay
from .tail import without_steps


def decode_image(model: Model, latents: Mapping[str, Any], *, runtime: Runtime | None = None) -> torch.Tensor:
    """LATENT -> IMAGE [B, H, W, 3] in 0..1, float32 on the CPU; frames of a video follow each other along B."""
    runtime = runtime or Runtime()
    out = _decode(model, latents, runtime)
    if out.ndim == 3:
        raise AigcError("Expected latents of a picture, got those of a sound: use Decode Audio.")
    if out.ndim == 5:  # [B, F, C, H, W]
        out = out.flatten(0, 1)
    count, channels, height, width = out.shape
    images = spill.empty((count, height, width, channels), runtime.scratch)
    for image, made in zip(images, out):  # one at a time: a long clip is in memory once, as the decoder made it
        image.copy_(_finite(made).permute(1, 2, 0))
    return images


def decode_video(
    model: Model, latents: Mapping[str, Any], *, runtime: Runtime | None = None
) -> tuple[torch.Tensor, float]:
    """LATENT -> (IMAGE [F, H, W, 3] in 0..1, frames a second); several videos of a batch follow each other."""
    trace = latents.get("aigc")
    told = trace.arguments if isinstance(trace, Trace) else {}
    given = told.get("frame_rate") or told.get("fps")
    return decode_image(model, latents, runtime=runtime), float(given or frames_per_second(model.pipeline_class))


def decode_audio(model: Model, latents: Mapping[str, Any], *, runtime: Runtime | None = None) -> dict[str, Any]:
    """LATENT -> AUDIO {"waveform": [B, C, T] in -1..1, "sample_rate": Hz}."""
    runtime = runtime or Runtime()
    if (along := _along(model, latents, runtime)) is not None:
        return along
    with stage(model, "vae", runtime) as pipe:
        decoder = getattr(pipe, decoder_name(model))
        rate = _sample_rate(pipe, decoder)
    out = _decode(model, latents, runtime, SOUNDS).float().cpu()
    if out.ndim > 3:
        raise AigcError("Expected latents of a sound, got those of a picture: use Decode Image.")
    waveform = out if out.ndim == 3 else out[:, None]
    trace = latents.get("aigc")
    if isinstance(trace, Trace) and not isinstance(decoder, Ended):
        seconds = next((trace.arguments[n] for n in SECONDS if trace.arguments.get(n)), None)
        waveform = waveform[..., : int(seconds * rate)] if seconds else waveform
    return {"waveform": _finite(waveform), "sample_rate": rate}


def decode_sound(model: Model, latents: Mapping[str, Any], *, runtime: Runtime | None = None) -> dict[str, Any] | None:
    """LATENT of a video -> AUDIO of the sound that the model made along with it, one a video; None where it made none."""
    runtime = runtime or Runtime()
    pipe = skeleton(model, runtime)
    decoder = getattr(pipe, decoder_name(model))
    if isinstance(decoder, Ended):
        return decode_audio(model, latents, runtime=runtime) if decoder.both else None
    return _along(model, latents, runtime)


def _along(model: Model, latents: Mapping[str, Any], runtime: Runtime) -> dict[str, Any] | None:
    z = sound_in(latents, len(latents["samples"]))
    if z is None:
        return None
    with stage(model, "vae", runtime) as pipe:
        waveform, rate = sound_decoded(pipe, z, runtime.device)
    return {"waveform": _finite(waveform), "sample_rate": rate}


def encode_image(model: Model, image: torch.Tensor, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """IMAGE [B, H, W, C] in 0..1 -> LATENT, the mean of the autoencoder's posterior.

    A model of video takes the batch as the frames of one video. Raises AigcError when the size does not fit.
    """
    runtime = runtime or Runtime()
    with stage(model, "vae", runtime) as pipe:
        name = decoder_name(model)
        decoder = getattr(pipe, name)
        shape = geometry(pipe, decoder)
        if shape.dims == 3:
            raise AigcError(f"Expected a model of pictures or video, got {shape.family}, which makes sound.")
        height, width = int(image.shape[1]), int(image.shape[2])
        if height % shape.spatial or width % shape.spatial:
            near = [max(shape.spatial, round(v / shape.spatial) * shape.spatial) for v in (width, height)]
            raise AigcError(
                f"Expected an image whose width and height are multiples of {shape.spatial}, got {width} x {height}: "
                f"resize it to {near[0]} x {near[1]}."
            )
        pixels = image[..., :3].permute(0, 3, 1, 2).to(runtime.device, decoder.dtype) * 2 - 1
        if shape.dims == 5:
            pixels = pixels.transpose(0, 1)[None] if shape.temporal > 1 else pixels[:, :, None]
        runtime.check_interrupt()
        z = mean_of(decoder.encode(pixels)).float().cpu()
        samples = to_host(shape.family, z, pipe)
    arguments_ = {"height": height, "width": width}
    if shape.dims == 5:
        arguments_["num_frames"] = shape.frames(z.shape[2])
    return {"samples": samples, "aigc": Trace(shape.family, samples, raw=z, arguments=arguments_)}


def mean_of(encoded: Any) -> torch.Tensor:
    """What an autoencoder's `encode` returned: the mean of its posterior, or its latents."""
    if hasattr(encoded, "latent_dist"):
        return encoded.latent_dist.mode()
    for name in ("latents", "latent"):
        if hasattr(encoded, name):
            return getattr(encoded, name)
    return encoded[0]


def _decode(
    model: Model, latents: Mapping[str, Any], runtime: Runtime, wanted: Sequence[str] = PICTURES
) -> torch.Tensor:
    """[B, C, H, W] or [B, F, C, H, W] in 0..1, or a waveform [B, C, T], as the decoder left it; `wanted`: for models of both."""
    samples = latents["samples"]
    with stage(model, "vae", runtime) as pipe:
        name = decoder_name(model)
        decoder = getattr(pipe, name)
        shape = geometry(pipe, decoder)
        check(shape, samples)
        trace = untouched(latents)
        same_family = trace is not None and trace.pipeline_class == shape.family
        z = trace.raw if trace is not None and same_family else from_host(shape.family, samples.float().cpu(), pipe)
        z = z.to(runtime.device, decoder.dtype)
        runtime.check_interrupt()
        carried = latents.get("aigc")
        if isinstance(decoder, Ended):
            return decoder.decode(z, *_beside(latents, shape, len(z)), wanted=wanted)
        if tail_replay(shape.family) and isinstance(carried, Trace) and carried.conditioning is not None:
            return _by_tail(pipe, decoder, z, carried, shape, runtime)
        args, kwargs = trace.decode_arguments if trace is not None and same_family else ((), {})
        args, kwargs = _to(args, runtime), _to(recalled(kwargs), runtime)
        size, dim = arguments.decode_chunk(pipe)
        walk = latents.get("aigc_walk")
        size = size or (walk.at_once if isinstance(walk, Walk) and not dim else 0)
        parts = z.split(size or len(z), dim)
        out = torch.cat([decoded(pipe, decoder, part, args, kwargs) for part in parts], dim)
        out = _processed(pipe, _cropped(pipe, out, latents))
    moved = latents.get("aigc_motion")
    return moved.redrawn(out, runtime) if isinstance(moved, Moved) and moved.fits(samples) else out


def _beside(latents: Mapping[str, Any], shape: Geometry, rows: int) -> tuple[Beside, ...]:
    """What goes along with each row of a LATENT, also of one that was changed or taken out of a batch."""
    trace = latents.get("aigc")
    if not isinstance(trace, Trace) or trace.pipeline_class != shape.family:
        return ()
    known, places = trace.decode_arguments[0], latents.get("batch_index") or ()
    taken = len(known) != rows and len(places) == rows and max(places, default=0) < len(known)
    return tuple(known[place] for place in places) if taken else known


def _cropped(pipe: Any, out: torch.Tensor, latents: Mapping[str, Any]) -> torch.Tensor:
    """What a family made in a size it was trained for ("resolution binning"), brought to the size that was asked for."""
    trace = latents.get("aigc")
    if not isinstance(trace, Trace) or trace.samples.shape != latents["samples"].shape:
        return out
    size = trace.arguments
    if "use_resolution_binning" not in arguments.accepted(pipe) or not {"width", "height"} <= size.keys():
        return out
    processor = pipe.video_processor if out.ndim == 5 else pipe.image_processor
    if not hasattr(processor, "resize_and_crop_tensor"):  # HunyuanDiT gives the picture at the size of the bin
        return out
    return processor.resize_and_crop_tensor(out, size["width"], size["height"])


def _to(values: Any, runtime: Runtime) -> Any:
    move = lambda v: v.to(runtime.device) if isinstance(v, torch.Tensor) else v  # noqa: E731
    return {k: move(v) for k, v in values.items()} if isinstance(values, Mapping) else tuple(move(v) for v in values)


def _processed(pipe: Any, out: torch.Tensor) -> torch.Tensor:
    """The decoder's output in 0..1 by the pipeline's own processor; sound stays as it is."""
    if out.ndim == 3:
        return out
    if type(pipe).__name__ in PROCESSORS:
        owner, method = PROCESSORS[type(pipe).__name__]
        return getattr(getattr(pipe, owner), method)(out, output_type="pt").movedim(-1, 2)  # [B, F, H, W, C]
    if out.ndim == 5 and out.shape[2] == 1 and not hasattr(pipe, "video_processor"):
        out = out[:, :, 0]
    if out.ndim == 5:
        return pipe.video_processor.postprocess_video(out, output_type="pt")
    processor = getattr(pipe, "image_processor", None) or getattr(pipe, "video_processor", None)
    if processor is None or not hasattr(processor, "postprocess"):
        return (out / 2 + 0.5).clamp(0, 1)
    return processor.postprocess(out, output_type="pt")


def _by_tail(pipe: Any, decoder: Any, z: torch.Tensor, trace: Trace, shape: Geometry, runtime: Runtime) -> torch.Tensor:
    """Run the pipeline with an empty schedule and `z` in the place of what it would decode: all its own tail runs."""
    conditioning = trace.conditioning
    assert conditioning is not None
    original = decoder.decode
    prompts = len(conditioning.prompts)
    rows = batch_rows(prompts, z, shape)

    rest, dim = z, arguments.decode_chunk(pipe)[1]

    def decode(given: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        nonlocal rest
        # Long videos are decoded in chunks of frames.
        now, rest = rest.tensor_split([given.shape[dim]], dim)
        if not now.numel():
            raise AigcError(
                f"Expected a video that {shape.family} makes in one piece, got a longer one, of which only the first piece "
                "was sampled: ask for fewer frames."
            )
        return original(now, *args, **kwargs)

    decode.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    call = arguments.of_conditioning(pipe, conditioning, rows)
    call.update(arguments.size(pipe, trace.arguments))
    call.update(arguments.guidance(pipe, arguments.without_guidance(pipe)))
    if "output_type" in arguments.accepted(pipe):
        call["output_type"] = "pt"
    with ExitStack() as stack:
        stack.enter_context(
            replaying(
                pipe, decoder, conditioning.calls, prompts=prompts, rows=rows, device=runtime.device,
                halves=type(pipe).__name__ in CFG_CONCATENATED, guided=False,
            )
        )  # fmt: skip
        stack.enter_context(shadowed(decoder, "decode", decode))
        stack.enter_context(without_steps(pipe))
        out = pipe(**call, generator=torch.Generator("cpu").manual_seed(0))
    return _output(out)


def _output(out: Any) -> torch.Tensor:
    """The tensor in a pipeline's output object: pictures [B,C,H,W], video [B,F,C,H,W] or sound."""
    for name in ("images", "frames", "audios", "videos"):
        if getattr(out, name, None) is not None:
            value = getattr(out, name)
            break
    else:
        value = out[0]
    if isinstance(value, list | tuple):
        value = torch.stack([torch.as_tensor(v) for v in value])
    return torch.as_tensor(value)


def _sample_rate(pipe: Any, decoder: Any) -> int:
    for owner, name in (
        (decoder.config, "sampling_rate"),
        (getattr(getattr(pipe, "vocoder", None), "config", None), "sampling_rate"),
        (pipe, "sample_rate"),
    ):
        value = getattr(owner, name, None)
        if value:
            return int(value)
    raise AigcError(
        f"Expected a model of sound, got {type(pipe).__name__}, which states no sample rate: use Decode Image."
    )


def _finite(out: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(out).all():
        raise AigcError(
            "Expected finite values from the decoder, got NaN or infinity: load the model with dtype float32 or bfloat16."
        )
    return out
