"""From a model, pictures and captions to a LoRA, or to a model with all its weights trained."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import stages
from ..data import batches
from ..errors import AigcError
from ..payloads import Dataset, Design, Lora, Model
from ..runtime import Runtime
from ..stages import pipe as opened
from . import adapters, checkpoint, lora_files, prepared, run
from .lora import Settings, TuningObjective
from .objective import Course

HELD_OUT, LEAST_TO_HOLD, MOST_HELD = 0.15, 8, 8
FILE, FOLDER = "lora.safetensors", "model"


@dataclass(frozen=True)
class Tuned:
    """model: with the LoRA laid on, or the model whose weights were trained; the weights are those that examined best.

    file: the LoRA, or the model's folder. layout: in which the LoRA is written. held: pictures that were held out.
    """

    model: Model
    sitting: run.Sitting
    file: Path
    layout: str
    held: int


def train_lora(
    dataset: Dataset,
    model: Model,
    settings: Settings,
    course: Course,
    folder: Path,
    *,
    resolution: int = 0,
    publish: Path | None = None,
    runtime: Runtime,
    on_step: run.OnStep | None = None,
    stops: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> Tuned:
    """Train in a run's folder, or go on with the run there. publish: a further place for the LoRA's file.

    resolution: the side that pictures are trained at; 0: their bucket, or their own size. A stop keeps everything and still
    returns it. Raises AigcError as `run.train` does, and for models whose denoiser cannot be called as its pipeline does.
    """
    if settings.full and (model.single_file or model.parts):
        raise AigcError(
            f"Expected a model in a diffusers folder to train all weights of, got {model.path.name} with parts in single files: "
            "turn full off, or load the model from a folder."
        )
    dataset = prepared.sized(dataset, resolution)
    prepared.checked(model, dataset)
    train, held = _split(dataset, course.seed)
    about = {"settings": settings.known(), "resolution": resolution, "pictures": len(train.items)}
    design = Design("lora", model.pipeline_class, {"model": model.source or model.path.name, "full": settings.full})
    # Samples are made between steps: nothing of this model may leave for them.
    model_here = replace(model, offload="keep", dtype="float32" if settings.full else model.dtype)
    with torch.inference_mode(False), _alone():
        examined = (held.items or train.items)[:MOST_HELD]
        with torch.no_grad():
            captions = [item.caption for item in (*train.items, *examined)]
            extra = [""] if settings.caption_dropout else []
            conditionings = prepared.encoded(model_here, [*captions, *extra], runtime)
            sampler = _sampler(model_here, [item.caption for item in examined], settings, examined[0], course, runtime)
            opened.release_all()
            latents = prepared.Latents(model_here, runtime)
            latents.fill((*examined, *train.items))
            opened.release_all()
        with opened.stage(model_here, "denoiser", runtime) as pipe:
            pairs = [(item.caption, prepared.size_of(item)) for item in (*train.items, *examined)]
            pairs += [(caption, size) for caption in extra for _, size in pairs]
            material = prepared.material(model_here, pipe, conditionings, pairs, latents, runtime)
            del conditionings
            objective = TuningObjective(
                material,
                _weights(material.module, settings, course.seed),
                settings,
                held_out=examined,
                sampler=sampler,
                runtime=runtime,
            )
            feed = material.feed(train, course.seed, course.batch)
            sitting = run.train(objective, feed, course, folder, design, about=about, on_step=on_step, stops=stops)
            objective.pictures(1)  # made while there is a model to make them
            objective.sampler = None
            return _saved(sitting, model, pipe, material, settings, publish, len(held.items))


@contextmanager
def _alone() -> Iterator[None]:
    """Nothing else is loaded, and what was changed is forgotten afterwards."""
    opened.release_all()
    try:
        yield
    finally:
        opened.release_all()


def _split(dataset: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """What is trained on and what is held out; of few or equal pictures none is."""
    if len(dataset.items) >= LEAST_TO_HOLD:
        with suppress(AigcError):
            return batches.held_out(dataset, HELD_OUT, seed)
    return batches.held_out(dataset, 0, seed)


def _weights(module: Any, settings: Settings, seed: int) -> adapters.Weights:
    if settings.checkpointing:
        if not getattr(module, "_supports_gradient_checkpointing", False):
            raise AigcError(f"{type(module).__name__} knows no gradient checkpointing: turn it off.")
        module.enable_gradient_checkpointing()
    if settings.full:
        return adapters.whole(module)
    return adapters.lay(module, rank=settings.rank, alpha=settings.alpha, targets=settings.targets, seed=seed)


def _sampler(
    model: Model, captions: list[str], settings: Settings, shown: Any, course: Course, runtime: Runtime
) -> Any:
    """Makes pictures of the first captions, from fixed noise, with whatever weights are open."""
    texts = list(dict.fromkeys(captions))[: settings.samples] or [""]
    width, height = prepared.size_of(shown)
    asked = (
        stages.encode_prompt(model, texts, guided=settings.sample_cfg > 1, runtime=runtime)
        if settings.samples
        else None
    )

    def sampler(count: int) -> torch.Tensor:
        assert asked is not None
        empty = stages.empty_latents(model, width=width, height=height, frames=1)
        call = {"seed": course.seed, "steps": settings.sample_steps, "cfg": settings.sample_cfg}
        with torch.no_grad():
            made = stages.sample(model, asked, empty, **call, runtime=runtime)
            return stages.decode_image(model, made, runtime=runtime)[:count]

    return sampler


def _saved(
    sitting: run.Sitting, model: Model, pipe: Any, material: Any, settings: Settings, publish: Path | None, held: int
) -> Tuned:
    objective: Any = sitting.objective
    network = "average" if objective.average is not None else "weights"
    best = sitting.folder / run.BEST
    weights = objective.networks[network]
    if best.exists():
        tensors, _ = checkpoint.read(best)
        checkpoint.into_network(network, weights, tensors)
    if settings.full:
        with adapters.standing_in(objective.weights, objective.average):
            place = _folder(sitting.folder / FOLDER, model, material.way.part, material.module)
        return Tuned(replace(model, path=place, config=place), sitting, place, "diffusers folder", held)
    state = adapters.lora_state(weights.named(), settings.alpha / settings.rank)
    facts = {"run": sitting.folder.name, "step": sitting.step, "best": sitting.best[0], "rank": settings.rank}
    file = sitting.folder / FILE
    layout = lora_files.save(file, state, pipe, material.way.part, facts)
    if publish is not None:
        publish.parent.mkdir(parents=True, exist_ok=True)
        part = publish.with_name(f".{publish.name}.part")
        shutil.copyfile(file, part)
        part.replace(publish)
    return Tuned(model.with_lora(Lora(publish or file)), sitting, publish or file, layout, held)


def _folder(place: Path, model: Model, part: str, module: Any) -> Path:
    """A diffusers folder of its own denoiser and the model's other parts, linked where the system can."""
    draft = place.with_name(f".{place.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for there in model.path.iterdir():
        if there.name == part:
            continue
        if there.is_dir():
            try:
                (draft / there.name).symlink_to(there.resolve(), target_is_directory=True)
            except OSError:  # a system, or a user, that may not link
                shutil.copytree(there, draft / there.name)
        else:
            shutil.copyfile(there, draft / there.name)
    module.save_pretrained(draft / part)
    shutil.rmtree(place, ignore_errors=True)
    draft.replace(place)
    return place


def go_on(
    about: dict[str, Any], course: Course, folder: Path, dataset: Dataset, *, model: Model | None = None, **host: Any
) -> Tuned:
    """The LoRA in `folder` further, on the model that it was begun on. Raises AigcError without one."""
    known, source = about["about"], about["design"]["options"]["model"]
    if model is None:
        raise AigcError(f"Expected the model that {folder.name} was begun on, got none: connect {source}.")
    return train_lora(
        dataset, model, Settings(**known["settings"]), course, folder, resolution=int(known["resolution"]), **host
    )


def figures(tuned: Tuned) -> Iterator[str]:
    """What the examinations say, and where the weights are, a line each."""
    rows = [row for row in tuned.sitting.log.rows if "examined" in row]
    on = f"{tuned.held} held-out pictures" if tuned.held else "the pictures it is trained on (too few to hold any out)"
    if rows:
        first, last = rows[0], rows[-1]
        yield (
            f"denoising loss on {on}: {first['examined']['loss']:.4g} at step {first['step']}, "
            f"{last['examined']['loss']:.4g} at step {last['step']}; lower is better"
        )
    yield f"{tuned.file.name}: {tuned.layout}"
