"""What a pipeline asks of its denoiser: the call of its first step, recorded, and how to ask the same of another sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import Conditioning, Model
from ..runtime import Runtime
from ..schedulers import DEFAULT, Watch
from . import arguments
from .pipe import parts_of
from .replay import StageDone, drawing, map_tensors, shadowed
from .sample import ready
from .scheduled import scheduled
from .tail import TailMap

Tensor = torch.Tensor
Arguments = Mapping[str, Any]
PROBED, SCHEDULE = 4, 1000  # steps of the schedule that tells the forms, and of the one that levels are read off
TIMES = ("timestep", "timesteps", "t", "sigma")

# A step's sample as the denoiser takes it, and what the denoiser answers as a step takes it.
SAMPLES: dict[str, Callable[[Tensor], Any]] = {
    "plain": lambda x: x,
    "a frame": lambda x: x.unsqueeze(2),
    "rows": lambda x: list(x.unbind(0)),
    "rows of a frame": lambda x: list(x.unsqueeze(2).unbind(0)),
}
ANSWERS: dict[str, Callable[[Any], Tensor]] = {
    "plain": lambda y: y,
    "negated": lambda y: -y,
    "first half": lambda y: y.chunk(2, 1)[0],  # a learned variance follows
    "of a frame": lambda y: y.squeeze(2),
    "rows": lambda y: torch.stack(list(y)),
    "rows of a frame, negated": lambda y: -torch.stack([row.float() for row in y]).squeeze(2),
}
# A step's time as the denoiser takes it; T: how many times the model was trained at.
FORMS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "t": lambda t, T: t,
    "t / T": lambda t, T: t / T,
    "1 - t / T": lambda t, T: (T - t) / T,
}


@dataclass(frozen=True)
class Way:
    """How a pipeline's call of its denoiser is made of a step's sample and time, and a step's answer of its answer.

    part: the denoiser's name. sample, time: the arguments' names. The forms are rows of SAMPLES, FORMS and ANSWERS; a time
    of no row is (factor, shift). batched: places in the arguments that have an entry a picture.
    """

    part: str
    sample: str
    time: str
    sample_form: str
    time_form: str | tuple[float, float]
    answer_form: str
    batched: frozenset[tuple[Any, ...]]
    trained_times: float = 1000.0

    def times(self, t: Tensor, like: Tensor) -> Tensor:
        """t [B], the scheduler's, as the recorded argument has it."""
        t = _timed(self.time_form, t.float(), self.trained_times)
        t = t if like.is_floating_point() else t.round()
        return t.reshape(-1, *[1] * (like.ndim - 1)).expand(-1, *like.shape[1:]).to(like)

    def __call__(self, module: nn.Module, calls: Sequence[Arguments], x: Tensor, t: Tensor) -> Tensor:
        """What a step takes, [B, ...], of x [B, ...] and t [B] with the rest of these calls, one a row; slopes pass.

        Calls that cannot be one batch (texts of several lengths) are asked one after the other.
        """
        try:
            given = dict(joined(calls, self.batched))
        except Unequal:
            rows = [self(module, [call], x[i : i + 1], t[i : i + 1]) for i, call in enumerate(calls)]
            return torch.cat(rows)
        given = {name: map_tensors(value, lambda v: v.to(x.device)) for name, value in given.items()}
        given[self.time] = self.times(t.to(x.device), given[self.time])
        given[self.sample] = SAMPLES[self.sample_form](x.to(first_tensor(given[self.sample])))
        return ANSWERS[self.answer_form](answered(module(**given)))


class Unequal(Exception):
    """Calls that cannot be one batch."""


def first_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else first_tensor(next(iter(value)))


def answered(answer: Any) -> Any:
    """The prediction in what a denoiser's forward returned."""
    return answer.sample if hasattr(answer, "sample") else answer[0] if isinstance(answer, tuple) else answer


def _timed(form: str | tuple[float, float], t: Tensor, trained: float) -> Tensor:
    return FORMS[form](t, trained) if isinstance(form, str) else t * form[0] + form[1]


def joined(values: Sequence[Any], batched: frozenset[tuple[Any, ...]], place: tuple[Any, ...] = ()) -> Any:
    """Calls of a row each as one of all rows. Raises Unequal."""
    first = values[0]
    if any(type(value) is not type(first) for value in values):
        raise Unequal
    if isinstance(first, Tensor):
        if place in batched:
            if any(value.shape[1:] != first.shape[1:] for value in values):
                raise Unequal
            return torch.cat(list(values)) if len(values) > 1 else first
        if any(value is not first and not _same(value, first) for value in values):
            raise Unequal
        return first
    if place in batched:
        return [one for value in values for one in value]
    if isinstance(first, Mapping):
        return {key: joined([value[key] for value in values], batched, (*place, key)) for key in first}
    if isinstance(first, list | tuple):
        if any(len(value) != len(first) for value in values):
            raise Unequal
        return type(first)(joined([v[i] for v in values], batched, (*place, i)) for i in range(len(first)))
    if any(value != first for value in values):
        raise Unequal
    return first


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a is b or bool(a == b))


def _near(a: Any, b: Any) -> bool:
    """Equal up to the rounding of their dtype."""
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(map(_near, a, b))
    if not isinstance(a, Tensor) or a.shape != b.shape:
        return False
    rounding = 4 * max(torch.finfo(v.dtype).eps if v.is_floating_point() else 0.0 for v in (a, b))
    return torch.allclose(a.float(), b.float(), rtol=rounding, atol=rounding)


@dataclass
class Step:
    """One step: the module and what it was given and answered, then what the scheduler was given."""

    module: nn.Module
    arguments: Arguments
    answer: Any = None
    output: Any = None
    time: Any = None
    sample: Any = None


@dataclass
class Seen:
    """A recorded run: its steps, and the scheduler with its schedule set."""

    steps: list[Step] = field(default_factory=list)
    scheduler: Any = None


@contextmanager
def _recording(pipe: Any, model: Model, seen: Seen, wanted: int) -> Iterator[None]:
    """Record `wanted` calls of the denoisers and the scheduler's answers to all but the last, then end the call."""

    def recorder(module: nn.Module) -> Callable[..., Any]:
        plain, signature = module.forward, inspect.signature(module.forward)

        def forward(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs).arguments
            rest = {n: bound.pop(n) for n, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD and n in bound}
            given = {**bound, **{k: v for extra in rest.values() for k, v in extra.items()}}
            seen.scheduler = getattr(pipe, "scheduler", None)
            seen.steps.append(Step(module, map_tensors(given, lambda t: t.detach().clone())))
            if len(seen.steps) == wanted:
                raise StageDone
            answer = plain(*args, **kwargs)
            seen.steps[-1].answer = map_tensors(answered(answer), lambda t: t.detach().clone())
            return answer

        return forward

    with ExitStack() as stack:
        for module in parts_of(pipe, model, "denoiser"):
            stack.enter_context(shadowed(module, "forward", recorder(module)))
        if wanted > 1:
            own = pipe.scheduler.step

            def step(output: Any, time: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
                last = seen.steps[-1]
                scale = getattr(pipe.scheduler, "scale_model_input", None)
                last.output, last.time = output.detach().clone(), time
                last.sample = (sample if scale is None else scale(sample, time)).detach().clone()
                return own(output, time, sample, *args, **kwargs)

            step.__signature__ = inspect.signature(own)  # type: ignore[attr-defined]
            stack.enter_context(shadowed(pipe.scheduler, "step", step))
        yield


def record(
    model: Model,
    pipe: Any,
    conditioning: Conditioning,
    latents: Mapping[str, Any],
    *,
    runtime: Runtime,
    rows: int = 1,
    steps: int = SCHEDULE,
    wanted: int = 1,
) -> Seen:
    """Run a pipeline without guidance up to its denoiser's call number `wanted`. pipe: its stage, open.

    conditioning: of one prompt. latents: a LATENT of the picture's size; its values do not count.
    """
    run, call = ready(model, pipe, conditioning, latents, runtime, [0] * rows)
    seen = Seen()
    generators = [torch.Generator("cpu").manual_seed(i) for i in range(rows)]
    with ExitStack() as stack:
        stack.enter_context(run.replayed(pipe))
        stack.enter_context(drawing(0, runtime.device))
        stack.enter_context(scheduled(pipe, DEFAULT, Watch()))
        stack.enter_context(_recording(pipe, model, seen, wanted))
        stack.callback(pipe.maybe_free_model_hooks)
        drawn = generators if rows > 1 else generators[0]
        try:
            pipe(**{**call, **arguments.steps(pipe, steps), "generator": drawn, "output_type": "latent"})
        except StageDone:
            pass
    return seen


def tail(model: Model, pipe: Any, conditioning: Conditioning, latents: Mapping[str, Any], runtime: Runtime) -> TailMap:
    """The way from a LATENT of this size into the denoiser's space."""
    run, call = ready(model, pipe, conditioning, latents, runtime, [0])
    return run.tail_map(call)


def way_of(model: Model, pipe: Any, conditioning: Conditioning, latents: Mapping[str, Any], *, runtime: Runtime) -> Way:
    """Find out how this pipeline calls its denoiser, from a few real steps. Raises AigcError when it cannot be replayed."""
    name = model.pipeline_class
    seen = record(model, pipe, conditioning, latents, runtime=runtime, steps=PROBED, wanted=PROBED)
    steps = [step for step in seen.steps if step.output is not None]
    modules = {id(step.module) for step in seen.steps}
    if len(modules) > 1:
        raise refusal(name, "two denoisers, each for a part of the noise")
    if len(steps) < 3:
        raise refusal(
            name, "a denoiser that is called more than once a step, or a scheduler that is not diffusers' own"
        )
    parts = {part: getattr(pipe, part, None) for part in pipe.components}
    part = next(part for part, module in parts.items() if module is steps[0].module)
    trained = float(pipe.scheduler.config.get("num_train_timesteps", 1000))
    sample, sample_form = _sample_of(name, steps)
    time, time_form = _time_of(name, steps, sample, trained)
    answer_form = next(
        (form for form, made in ANSWERS.items() if all(_fits(made, s.answer, s.output) for s in steps)), None
    )
    if answer_form is None:
        raise refusal(name, "a prediction that the pipeline changes before its step")
    for key, value in steps[0].arguments.items():
        if key not in (sample, time) and not all(_same(value, step.arguments[key]) for step in steps[1:]):
            raise refusal(name, f"a denoiser whose {key} changes from step to step")
    two = record(model, pipe, conditioning, latents, runtime=runtime, rows=2, steps=PROBED).steps
    batched = frozenset(_grown(name, steps[0].arguments, two[0].arguments, (), (sample, time)))
    return Way(part, sample, time, sample_form, time_form, answer_form, batched, trained)


def refusal(name: str, why: str) -> AigcError:
    return AigcError(
        f"Expected a pipeline whose call of its denoiser can be replayed, got {name}: it has {why}. "
        "Train a model of another family."
    )


def _fits(made: Callable[[Any], Any], value: Any, wanted: Any) -> bool:
    try:
        return _near(made(value), wanted)
    except (RuntimeError, TypeError, IndexError, AttributeError):
        return False


def _sample_of(name: str, steps: Sequence[Step]) -> tuple[str, str]:
    for key in steps[0].arguments:
        for form, made in SAMPLES.items():
            if all(_fits(lambda x, m=made: m(x), s.sample, s.arguments[key]) for s in steps):
                return key, form
    raise refusal(name, "a denoiser that takes more than the noised latents, or takes them changed")


def _time_of(name: str, steps: Sequence[Step], sample: str, trained: float) -> tuple[str, str | tuple[float, float]]:
    t = torch.tensor([float(torch.as_tensor(step.time).flatten()[0]) for step in steps])
    for key in (key for key in TIMES if key in steps[0].arguments and key != sample):
        values = [torch.as_tensor(step.arguments[key]) for step in steps]
        if any(bool((value != value.flatten()[0]).any()) for value in values):
            continue
        given = torch.stack([value.flatten()[0] for value in values])
        for form, made in FORMS.items():
            if _near(made(t, trained).to(given.dtype), given):
                return key, form
        factor = float((given[-1] - given[0]) / (t[-1] - t[0]))
        shift = float(given[0]) - factor * float(t[0])
        if _near((t * factor + shift).to(given.dtype), given):
            return key, (factor, shift)
    raise refusal(name, "a denoiser whose time is no line of the scheduler's")


def _grown(
    name: str, one: Any, two: Any, place: tuple[Any, ...], apart: tuple[str, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """The places that have an entry a picture: those twice as long in a call of two."""
    if isinstance(one, Mapping):
        for key in one:
            if key not in apart:
                yield from _grown(name, one[key], two[key], (*place, key))
    elif isinstance(one, Tensor):
        if one.ndim and one.shape != two.shape:
            if two.shape != (2 * one.shape[0], *one.shape[1:]):
                raise refusal(name, f"a denoiser whose {place[0]} does not follow the number of pictures")
            yield place
    elif isinstance(one, list | tuple):
        if len(two) == 2 * len(one) and len(one):
            yield place
        else:
            for i, (a, b) in enumerate(zip(one, two)):
                yield from _grown(name, a, b, (*place, i))
