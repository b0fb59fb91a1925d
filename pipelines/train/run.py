"""The run: steps, checkpoints, examinations, the log; stopped and resumed without a difference."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Design, Run
from . import checkpoint, metrics
from .objective import Course, Feed, Objective, Terms

LAST, BEST, ABOUT = "last.safetensors", "best.safetensors", "run.json"
LOG_EVERY = 10
OnStep = Callable[[int, int, "Sitting"], None]


@dataclass
class Sitting:
    """A run while it goes, and what came of it. stopped: by the user, before its end."""

    folder: Path
    design: Design
    objective: Objective
    course: Course
    step: int = 0
    best: tuple[int, float] = (-1, math.inf)
    log: metrics.Log = field(init=False)
    stopped: bool = False
    seconds: float = 0.0

    @property
    def run(self) -> Run:
        return Run(self.folder, self.design, self.step, self.best[0])


def mixed(seed: int, step: int) -> int:
    """A seed for one step of a run (SplitMix64, Steele et al. 2014): neighbours share nothing."""
    x = (seed * 0x9E3779B97F4A7C15 + step + 0x632BE59BD9B4E019) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> shift)) * factor % 2**64
    return (x ^ (x >> 31)) % 2**63


def rate_at(step: int, course: Course) -> float:
    """The factor of the learning rate at a step, 0..1."""
    rising = min(1.0, (step + 1) / max(1, course.warm_up))
    falling = max(1, round(course.anneal * course.steps))
    passed = max(0.0, step - (course.steps - falling)) / falling if course.anneal else 0.0
    return rising * (0.5 + 0.5 * math.cos(math.pi * min(1.0, passed)))


def train(
    objective: Objective,
    feed: Feed,
    course: Course,
    folder: Path,
    design: Design,
    *,
    about: dict[str, Any] | None = None,
    on_step: OnStep | None = None,
    stops: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> Sitting:
    """Train until the course ends; a folder that holds a checkpoint of the same run is resumed.

    on_step(step, total, sitting) is called before the first step and after each. What it, or an examination, raises of `stops`
    ends the sitting:
    a checkpoint is written and the sitting is returned. Anything else that it raises goes on, after the checkpoint. about:
    settings of the objective, which a resumed run must share.

    Raises AigcError when a term is not finite (the last good checkpoint stays), when the folder holds another run, and
    when a checkpoint cannot be written.
    """
    sitting = Sitting(folder, design, objective, course)
    with torch.inference_mode(False), torch.enable_grad():
        settings = {"design": _plain(design), "course": course.fixed(), "about": about or {}}
        _open(sitting, json.loads(json.dumps(settings)))
        try:
            _go(sitting, feed, on_step)
        except stops:
            sitting.stopped = True
        except AigcError:
            sitting.log.write()
            raise
        except BaseException:
            _save(sitting)
            raise
        _end(sitting)
    return sitting


def _plain(design: Design) -> dict[str, Any]:
    return json.loads(json.dumps({"purpose": design.purpose, "kind": design.kind, "options": dict(design.options)}))


def _go(sitting: Sitting, feed: Feed, on_step: OnStep | None) -> None:
    course, before = sitting.course, sitting.seconds
    if course.examine_every and sitting.step % course.examine_every == 0:  # where it starts from, or was stopped in
        examine(sitting)
    if on_step is not None:
        on_step(sitting.step, course.steps, sitting)
    begun = saved = time.monotonic()  # the first look at the data is not counted
    while sitting.step < course.steps and time.monotonic() - begun < 60 * course.minutes:
        terms = _step(sitting, feed)
        sitting.seconds = before + time.monotonic() - begun
        if sitting.step % LOG_EVERY == 0 or sitting.step == course.steps:
            sitting.log.add({"step": sitting.step, "seconds": round(sitting.seconds, 2), **terms})
        if course.examine_every and sitting.step % course.examine_every == 0:
            examine(sitting)
        if time.monotonic() - saved > 60 * course.save_minutes:
            _save(sitting)
            saved = time.monotonic()
        if on_step is not None:
            on_step(sitting.step, course.steps, sitting)


def _step(sitting: Sitting, feed: Feed) -> Terms:
    objective, step = sitting.objective, sitting.step
    factor = rate_at(step, sitting.course)
    for name, optimizer in objective.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = objective.rates[name] * factor
    seed = mixed(sitting.course.seed, step)
    # Networks that draw for themselves (dropout) draw from torch's own generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        terms = objective.step(feed(step), torch.Generator("cpu").manual_seed(seed))
    wrong = [name for name, value in terms.items() if not math.isfinite(value)]
    if wrong:
        at = _saved_at(sitting.folder)
        kept = f"the checkpoint of step {at} is kept" if at is not None else "no checkpoint was written yet"
        raise AigcError(
            f"Expected finite numbers, got {wrong[0]} = {terms[wrong[0]]} at step {step + 1}; {kept} in {sitting.folder}: lower "
            "the learning rate or raise the penalty, and start from there."
        )
    sitting.step += 1
    return terms


def examine(sitting: Sitting) -> None:
    """Add an examination to the log, save a picture of samples, and keep the weights if they are the best so far."""
    if sitting.log.rows and sitting.log.rows[-1]["step"] == sitting.step and "examined" in sitting.log.rows[-1]:
        return
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed(sitting.course.seed, -1))
        found = sitting.objective.examine()
    sitting.log.add({"step": sitting.step, "seconds": round(sitting.seconds, 2), "examined": found})
    if found["score"] < sitting.best[1]:
        sitting.best = (sitting.step, found["score"])
        tensors: dict[str, torch.Tensor] = {}
        for name, net in sitting.objective.networks.items():
            tensors |= checkpoint.of_network(name, net)
        checkpoint.write(sitting.folder / BEST, tensors, _facts(sitting))
    sitting.log.write()


def _facts(sitting: Sitting) -> dict[str, Any]:
    return {
        "step": sitting.step,
        "seconds": sitting.seconds,
        "best": list(sitting.best) if sitting.best[0] >= 0 else None,
        "design": _plain(sitting.design),
        "memory": sitting.objective.memory,
    }


def _save(sitting: Sitting) -> None:
    tensors: dict[str, torch.Tensor] = {}
    facts = _facts(sitting)
    for name, net in sitting.objective.networks.items():
        tensors |= checkpoint.of_network(name, net)
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise AigcError(
                f"Expected finite weights, got NaN or infinity in {name} at step {sitting.step}; the checkpoint before is kept "
                f"in {sitting.folder}: lower the learning rate, and start from there."
            )
    facts["optimizers"] = {}
    for name, optimizer in sitting.objective.optimizers.items():
        own, facts["optimizers"][name] = checkpoint.of_optimizer(name, optimizer)
        tensors |= own
    sitting.log.write()
    checkpoint.write(sitting.folder / LAST, tensors, facts)


def _end(sitting: Sitting) -> None:
    if (
        sitting.step and not sitting.stopped
    ):  # a stop is to be quick, and a resumed run is to have no more rows than another
        examine(sitting)
    if _saved_at(sitting.folder) != sitting.step:
        _save(sitting)
    sitting.log.write()


def _saved_at(folder: Path) -> int | None:
    from safetensors import safe_open

    if not (folder / LAST).exists():
        return None
    with safe_open(str(folder / LAST), "pt") as file:
        return json.loads(file.metadata()[checkpoint.HEADER])["step"]


def _open(sitting: Sitting, settings: dict[str, Any]) -> None:
    """Make the folder, or go on with the run that is in it."""
    folder, path = sitting.folder, sitting.folder / ABOUT
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(".*.part"):  # of a write that was killed
        part.unlink(missing_ok=True)
    if (folder / LAST).exists():
        known = about(folder)
        known.pop("steps")
        before, now = (part["course"].get("steps", 0) for part in (known, settings))
        if now > before > 0:  # of a run whose rate falls towards the end: a longer one falls later
            known["course"]["steps"] = now
        differs = sorted(_differences(known, settings))
        if differs:
            raise AigcError(
                f"Expected the settings of the run in {folder}, got others ({'; '.join(differs)}): set them as they were, as "
                "Resume Training does, or choose another name for a new run."
            )
        _load(sitting)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps({**settings, "steps": sitting.course.steps}, indent=1), "utf-8")
    part.replace(path)
    sitting.log = metrics.Log(folder, sitting.step)


def about(folder: Path) -> dict[str, Any]:
    """What the run in a folder was begun with: design, course, about, and how many steps it is to have. Raises AigcError."""
    try:
        found = json.loads((folder / ABOUT).read_text("utf-8"))
        return {**found, "steps": int(found["steps"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AigcError(
            f"Expected a training in {folder}, got none that can be read ({error!r}): choose the name of one."
        ) from error


def _differences(known: Any, wanted: Any, place: str = "") -> list[str]:
    """Where the two differ. What an older version did not know of is no difference: it had one way only."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        names = sorted(known)
        return [
            line
            for name in names
            for line in _differences(known.get(name), wanted.get(name), f"{place} {name}".strip())
        ]
    return [] if known == wanted else [f"{place} {known} there, {wanted} here"]


def _load(sitting: Sitting) -> None:
    tensors, facts = checkpoint.read(sitting.folder / LAST)
    for name, net in sitting.objective.networks.items():
        checkpoint.into_network(name, net, tensors)
    for name, optimizer in sitting.objective.optimizers.items():
        checkpoint.into_optimizer(name, optimizer, tensors, facts["optimizers"][name])
    sitting.objective.memory.update(facts["memory"])
    sitting.step, sitting.seconds = facts["step"], facts["seconds"]
    sitting.best = tuple(facts["best"]) if facts["best"] else (-1, math.inf)
