"""The stage between Sample and the decoder that sets stills in motion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .. import motion as layers
from ..errors import AigcError
from ..payloads import Model, Trace
from ..runtime import Runtime
from .decode import decode_image
from .latents import check, geometry
from .pipe import decoder_name, skeleton


@torch.no_grad()
def animate(
    model: Model,
    latents: Mapping[str, Any],
    *,
    motion: str,
    frames: int,
    strength: float = 1.0,
    loop: bool = False,
    path: Path,
    runtime: Runtime | None = None,
) -> dict[str, Any]:
    """LATENT of stills [B, C, H, W] -> LATENT of clips [B * frames, C, H, W], the frames of a still one after another.

    motion: a kind that the layers in `path` learned. frames: 2 or more over the whole motion. strength: how far it goes, 1 as
    usual. loop: leave out the frame at the end where the motion is back at its first.
    Raises AigcError for latents that the layers were not made for.
    """
    runtime = runtime or Runtime()
    net, scale = layers.load(path)
    shape = net.shape
    if motion not in shape.kinds:
        raise AigcError(f"Expected a motion of {', '.join(shape.kinds)}, got '{motion}': choose one of them.")
    if frames < 2:
        raise AigcError(f"Expected two frames or more, got {frames}: 16 is usual.")
    pipe = skeleton(model, runtime)
    form = geometry(pipe, getattr(pipe, decoder_name(model)))
    samples = latents["samples"]
    check(form, samples)
    if form.dims != 4 or tuple(samples.shape[1:]) != (shape.channels, shape.side, shape.side):
        raise AigcError(
            f"Expected stills of the model that comes with the pack, latents of shape [B, {shape.channels}, {shape.side}, "
            f"{shape.side}] (128 x 128 pixels), got {list(samples.shape)}: load that model and leave width and height at 0. For "
            "others take a video model, or Walk Latents."
        )
    stills = samples.split(1)  # each as if it were alone
    pictures = torch.cat([decode_image(model, {"samples": still}, runtime=runtime) for still in stills])
    pictures = pictures.movedim(-1, 1) * 2 - 1
    phases = torch.linspace(0, 1, frames + 1)[:-1] if loop else torch.linspace(0, 1, frames)
    made, moves = [], []
    with runtime.placed([net]):
        told = {
            "kinds": torch.tensor([shape.kinds.index(motion)]),
            "phases": phases[None],
            "strengths": torch.tensor([strength]),
        }
        told = {name: value.to(runtime.device) for name, value in told.items()}
        for still, picture in zip(stills, pictures.split(1)):
            runtime.check_interrupt()
            way = net.flow(picture.to(runtime.device), **told)
            clip = net(still.to(runtime.device, torch.float32) * scale, way, **told)
            made.append((clip / scale).cpu())
            moves.append(way[0].cpu())
    clips = torch.cat(made)
    rows = tuple(row for row in range(len(samples)) for _ in range(frames))
    size = {"height": form.spatial * shape.side, "width": form.spatial * shape.side}
    return {
        "samples": clips,
        "aigc": Trace(form.family, clips, arguments=size),
        "aigc_motion": layers.Moved(clips, pictures, rows, torch.cat(moves), path),
    }
