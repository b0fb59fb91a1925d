"""From a dataset and a design to a trained GAN: what is held out, what examines, what is saved; how any run goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..data import batches, draws
from ..errors import AigcError
from ..payloads import Dataset, Design, Discriminator, Gan, Model
from ..runtime import Runtime
from ..score import descriptor
from ..score.judges import judging
from . import checkpoint, run
from .gan import GanObjective, Settings, kid_distance
from .objective import Course

HELD_OUT, LEAST, MOST_HELD = 0.15, 32, 512
FILE = "gan.safetensors"


@dataclass(frozen=True)
class Made:
    """gan: with the weights that examined best, or the last ones when none were examined. sitting: the run, as it ended."""

    gan: Gan
    sitting: run.Sitting


class Ahead:
    """Batches by their numbers; in order they are made a few ahead in a thread."""

    def __init__(self, dataset: Dataset, seed: int, size: int, view: batches.View) -> None:
        self.dataset, self.seed, self.size, self.view = dataset, seed, size, view
        self._next, self._rows = -1, _nothing()

    def __call__(self, k: int) -> batches.Batch:
        if k != self._next:
            self.close()
            self._rows = batches.ahead(self.dataset, self.seed, k, self.size, self.view)
        self._next = k + 1
        return next(self._rows)

    def close(self) -> None:
        self._rows.close()
        self._next, self._rows = -1, _nothing()


def _nothing() -> Generator[batches.Batch, None, None]:
    yield from ()


def split(dataset: Dataset, seed: int, share: float = HELD_OUT) -> tuple[Dataset, Dataset]:
    """What is trained on, and what is held out to examine. Raises AigcError for too few.

    share 0: all are trained on, and up to MOST_HELD of the same are examined with.
    """
    plain = replace(dataset, items=tuple(replace(item, bucket=None) for item in dataset.items))
    if len(plain.items) < LEAST:
        raise AigcError(
            f"Expected at least {LEAST} pictures to train on, got {len(plain.items)} ({len(plain.rejected)} left out): add more."
        )
    if share == 0:
        some = sorted(draws.permutation(len(plain.items), seed)[:MOST_HELD])
        return replace(plain, rejected=()), replace(plain, items=tuple(plain.items[i] for i in some), rejected=())
    return batches.held_out(plain, share, seed)


def pixels(dataset: Dataset, view: batches.View, most: int = MOST_HELD) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `most` pictures [N, 3, H, W] in -1..1 and their labels, in a drawn order."""
    count = min(most, len(dataset.items))
    batch = batches.batch(dataset, 0, 0, count, replace(view, mirror=False))
    return batch.pixels, batch.labels


def penalty_for(resolution: int) -> float:
    """gamma of R1 and R2 where none is given: 20 at 64 pixels, in proportion to the pixels (Karras et al. 2020, arXiv
    1912.04958, appendix B); the constant is ours, for sets of some hundred pictures."""
    return 20 * (resolution / 64) ** 2


def checked(design: Design, dataset: Dataset) -> None:
    """Raises AigcError for a design of something else, or of classes that the dataset does not have."""
    from ..gan import options

    classes = int(options(design)["classes"])
    if classes and classes != len(dataset.labels):
        raise AigcError(
            f"Expected a dataset of {classes} classes for this design, got {len(dataset.labels)}: connect the dataset "
            "to Design GAN, or set its classes to 0."
        )


@contextmanager
def examined_by(judge: Discriminator | None, runtime: Runtime) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """Points of pictures [B, 3, H, W] in 0..1: a judge's trunk, or the descriptor that needs no weights."""
    if judge is None:
        yield descriptor.describe
        return
    if judge.spec.modality != "image":
        raise AigcError(
            f"Expected a judge of pictures to examine with, got {judge.spec.id}, one of {judge.spec.modality}s: connect another."
        )
    with judging(judge, runtime) as net:
        yield lambda x: net.features(x.to(runtime.device))


def train_gan(
    dataset: Dataset,
    design: Design,
    settings: Settings,
    course: Course,
    folder: Path,
    *,
    mirror: bool = False,
    judge: Discriminator | None = None,
    runtime: Runtime,
    on_step: run.OnStep | None = None,
    stops: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> Made:
    """Train a GAN in a run's folder, or go on with it, and save it there as gan.safetensors.

    A stop keeps everything and still returns it. Raises AigcError as `run.train` does, and for too few pictures or classes that
    do not fit.
    """
    from .. import gan as gans

    checked(design, dataset)
    design = replace(design, options=gans.options(design))
    side = int(design.options["resolution"])
    view = batches.View((side, side), mirror=mirror)
    with torch.inference_mode(False), torch.enable_grad(), examined_by(judge, runtime) as points:
        train, held = split(dataset, course.seed)
        real, labels = pixels(held, view)
        objective = GanObjective(
            *gans.build(design, seed=course.seed),
            settings,
            distance=kid_distance([((x + 1) / 2) for x in real.split(32)], points),
            held_out=(real, labels),
            device=runtime.device,
            check=runtime.check_interrupt,
        )
        about: dict[str, Any] = {"settings": settings.known(), "mirror": mirror}
        about |= {"pictures": len(train.items), "judge": judge.spec.id if judge else ""}
        feed = Ahead(train, course.seed, course.batch, view)
        try:
            sitting = run.train(objective, feed, course, folder, design, about=about, on_step=on_step, stops=stops)
        finally:
            feed.close()
        return Made(_saved(sitting), sitting)


# Where each purpose goes on: go_on(about, course, folder, dataset, runtime=, on_step=, stops=) of a module here, and what else
# of `resume` it takes.
RESUMING = {
    "gan": ("making", ("judge",)),
    "vae": ("making_vae", ()),
    "diffusion": ("making_diffusion", ("judge",)),
    "lora": ("tuning", ("model", "publish")),
}


def resume(
    folder: Path,
    dataset: Dataset,
    more_steps: int,
    minutes: float,
    *,
    judge: Discriminator | None = None,
    model: Model | None = None,
    publish: Path | None = None,
    **host: Any,
) -> Any:
    """Go on with the run in `folder`, with the settings that it was begun with; what its purpose makes.

    judge: that it is examined with. model, publish: of a LoRA, what it is laid on, and a further place for its file.
    Raises AigcError when there is none, or one of a purpose that is not known here.
    """
    about = run.about(folder)
    purpose = about["design"]["purpose"]
    if purpose not in RESUMING:
        raise AigcError(
            f"Expected a run of {', '.join(RESUMING)}, got one of '{purpose}' in {folder.name}: run the node that began it "
            "again with the same name, it goes on by itself."
        )
    course = Course(**{**about["course"], "steps": int(about["steps"]) + more_steps, "minutes": minutes})
    name, takes = RESUMING[purpose]
    more = {"judge": judge, "model": model, "publish": publish}
    module = import_module(f".{name}", __package__)
    return module.go_on(about, course, folder, dataset, **{key: more[key] for key in takes}, **host)


def go_on(about: dict[str, Any], course: Course, folder: Path, dataset: Dataset, **host: Any) -> Made:
    """The GAN in `folder` further."""
    known = about["about"]
    settings = Settings(**{**known["settings"], "augment": tuple(known["settings"]["augment"])})
    return train_gan(dataset, Design(**about["design"]), settings, course, folder, mirror=known["mirror"], **host)


def _saved(sitting: run.Sitting) -> Gan:
    from ..gan import files

    networks: dict[str, Any] = dict(sitting.objective.networks)
    best = sitting.folder / run.BEST
    if best.exists():
        tensors, _ = checkpoint.read(best)
        networks = {
            name: {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            for name in networks
        }
    return files.save(sitting.folder / FILE, sitting.design, networks)


def told(made: Any) -> str:
    """What a training came to, a line each."""
    sitting, course = made.sitting, made.sitting.course
    done = sitting.step >= course.steps
    ended = "done" if done else f"{'stopped' if sitting.stopped else 'time is up'}; run it again to go on"
    lines = [f"{sitting.folder.name}: {sitting.step} of {course.steps} steps in {sitting.seconds:.0f} s ({ended})"]
    module = import_module(f".{RESUMING[sitting.design.purpose][0]}", __package__)
    lines.extend(module.figures(made))
    if sitting.best[0] >= 0:
        lines.append(f"the weights are those of step {sitting.best[0]}, which examined best ({sitting.best[1]:.4g})")
    return "\n".join(lines)


def figures(made: Made) -> Iterator[str]:
    """What the examinations of a GAN say, a line each."""
    rows = [row for row in made.sitting.log.rows if "examined" in row]
    if rows:
        (first, begun), (last, now) = ((row["step"], row["examined"]) for row in (rows[0], rows[-1]))
        yield f"held-out KID {begun['KID']:.4g} at step {first}, {now['KID']:.4g} at step {last}; lower is better"
        yield from _gap(made.sitting, now)


def _gap(sitting: run.Sitting, examined: dict[str, float]) -> Iterator[str]:
    """Whether D says of held-out pictures what it says of its own."""
    says = [row for row in sitting.log.rows if "D(real)" in row]
    if says and "D(held-out)" in examined:
        real, fake = says[-1]["D(real)"], says[-1]["D(fake)"]
        if real - examined["D(held-out)"] > 0.5 * abs(real - fake):
            yield "D knows its training pictures from held-out ones: use augmentation, or more pictures."
