"""From a dataset and a design to a trained autoencoder, saved as a diffusers folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..data import batches
from ..payloads import Dataset, Design
from ..runtime import Runtime
from . import autoencoders, checkpoint, linear_encoder, making, run
from .objective import Course
from .vae import Settings, VaeObjective, scaling_factor

MOST_MEASURED = 1024  # pictures for principal components and for the scaling factor


@dataclass(frozen=True)
class MadeVae:
    """vae: a diffusers folder, with the weights that examined best. sitting: the run, as it ended."""

    vae: Path
    sitting: run.Sitting


def train_vae(
    dataset: Dataset,
    design: Design,
    settings: Settings,
    course: Course,
    folder: Path,
    *,
    mirror: bool = False,
    runtime: Runtime,
    on_step: run.OnStep | None = None,
    stops: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> MadeVae:
    """Train an autoencoder in a run's folder, or go on with it, and save it there as `vae`.

    A stop keeps everything and still returns it. Raises AigcError as `run.train` does, and for too few pictures.
    """
    design = replace(design, options=autoencoders.options(design))
    side = int(design.options["resolution"])
    linear = bool(design.options.get("linear_encoder", False))
    view = batches.View((side, side), mirror=mirror)
    with torch.inference_mode(False), torch.enable_grad():
        train, held = making.split(dataset, course.seed)
        net = autoencoders.build(design, seed=course.seed)
        seen = making.pixels(train, view, MOST_MEASURED)[0]
        runtime.check_interrupt()
        if linear and not (folder / run.LAST).exists():
            linear_encoder.set_encoder(net, seen)
        real, _ = making.pixels(held, view)
        objective = VaeObjective(
            net,
            settings,
            held_out=real,
            frozen_encoder=linear,
            device=runtime.device,
            check=runtime.check_interrupt,
        )
        about = {"settings": settings.known(), "mirror": mirror, "pictures": len(train.items)}
        feed = making.Ahead(train, course.seed, course.batch, view)
        try:
            sitting = run.train(objective, feed, course, folder, design, about=about, on_step=on_step, stops=stops)
        finally:
            feed.close()
        return MadeVae(_saved(sitting, objective, seen), sitting)


def go_on(
    about: dict[str, Any],
    course: Course,
    folder: Path,
    dataset: Dataset,
    **host: Any,
) -> MadeVae:
    """The run in `folder` further, with the settings that it was begun with."""
    known = about["about"]
    settings = Settings(**known["settings"])
    return train_vae(dataset, Design(**about["design"]), settings, course, folder, mirror=known["mirror"], **host)


def _saved(sitting: run.Sitting, objective: VaeObjective, seen: torch.Tensor) -> Path:
    with checkpoint.best(sitting.folder / run.BEST, {"average": objective.average}):
        net = objective.average.net
        factor = scaling_factor(net, seen, objective.device)
        net.register_to_config(scaling_factor=factor)
        return autoencoders.save(sitting.folder / autoencoders.FOLDER, {"": net})


def figures(made: MadeVae) -> Iterator[str]:
    """What the examinations say, a line each."""
    rows = [row for row in made.sitting.log.rows if "examined" in row]
    if not rows:
        return
    (first, begun), (last, now) = ((row["step"], row["examined"]) for row in (rows[0], rows[-1]))
    yield f"held-out PSNR {begun['PSNR']:.2f} dB at step {first}, {now['PSNR']:.2f} dB at step {last}; higher is better"
    if "KL" in now:
        yield (
            f"{now['reconstruction']:.4g} nats of reconstruction + {now['KL']:.4g} nats of KL a picture = "
            f"{now['bits per dimension']:.3f} bits per dimension; lower is better"
        )
        each = ", ".join(f"{nats:.3g}" for nats in now["KL per channel"])
        yield f"{now['used channels']:.0%} of the latent channels are used; KL per channel in nats: {each}"
