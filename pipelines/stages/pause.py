"""Stopping a pipeline's call between two steps, and going on from there in another call.

The second call is a whole one: it prepares as the first did, from the same seeds, and passes through the steps that are
done without asking the denoiser. At the last of them the scheduler gets back its memory, the generators theirs, and the
pipeline the sample as that step left it; so whatever else a pipeline does by the number of a step stays as it is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import Model
from ..schedulers import noise_level
from .convention import folded, to_host
from .frozen import Frozen, first
from .pipe import roles
from .replay import map_tensors, shadowed
from .tail import TailMap, after_prepare

_NOT_MEMORY = {"_watch", "_pause", "_internal_dict"}
_PLAIN = (type(None), bool, int, float, str, complex, torch.dtype, torch.device)


class Paused(BaseException):
    """Ends a pipeline's call between two steps; no pipeline catches it."""


class Pause:
    """Where one call stops, and what it goes on from.

    until: the share of the steps after which it stops, 0..1; 1 runs to the end. frozen: what to go on from.
    estimates: whether the estimate of the clean sample is wanted at the stop.
    own_noise: steps draw from the rows' generators even where the pipeline hands them none.
    change_noise: changes what the pipeline begins with [B, ...], in place.
    """

    def __init__(
        self,
        until: float,
        frozen: Frozen | None = None,
        *,
        estimates: bool = False,
        own_noise: bool = False,
        change_noise: Callable[[torch.Tensor], None] | None = None,
    ) -> None:
        self.until, self.frozen, self.estimates = until, frozen, estimates
        self.own_noise, self.change_noise = own_noise, change_noise
        self.family = ""
        self.generators: Sequence[torch.Generator] = ()
        self.noise: torch.Tensor | None = None
        self.answers: dict[str, Any] = dict(frozen.answers) if frozen else {}
        self.x0: Callable[[], torch.Tensor] | None = None
        self.left: list[torch.Tensor] | None = None  # the generators as the last step left them
        self.fresh = frozen.fresh if frozen else False
        self.start: tuple[torch.Tensor, ...] = ()
        self.ready: dict[str, Any] = {}  # what stands in for the denoisers' answers in this call
        self.watch: Any = None
        self.device = torch.device("cpu")
        self.level = (0.0, 0.0)  # alpha and sigma at the stop
        self.stopped: dict[str, Any] = {}
        self.result: Frozen | None = None

    @property
    def passing(self) -> bool:
        """Whether the call passes through steps that are done."""
        return self.frozen is not None and (self.watch is None or self.watch.done < self.frozen.done)

    def __deepcopy__(self, memo: Any) -> Pause:
        raise AigcError(
            f"Expected a model that one scheduler samples, got {self.family}, which works with a second one beside it: it "
            "cannot be stopped part-way. Sample it whole."
        )

    @contextmanager
    def prepared(self, pipe: Any, modules: dict[str, nn.Module], device: torch.device) -> Iterator[None]:
        """The pipeline answers for its denoisers while it passes through what is done; its first noise is seen."""
        self.family, self.device = type(pipe).__name__, device
        with ExitStack() as stack:
            for name, module in modules.items():
                stack.enter_context(shadowed(module, "forward", self._answering(name, module.forward)))
            if self.change_noise is not None:
                stack.enter_context(after_prepare(pipe, self._begun))
            yield

    def _begun(self, latents: torch.Tensor) -> None:
        assert self.change_noise is not None
        self.change_noise(latents)
        self.noise = latents.detach().cpu().clone()

    def lay(self, pipe: Any, generators: Sequence[torch.Generator]) -> None:
        """Lay the stop over the watched scheduler. Call it where torch's own generators are seeded already.

        Raises AigcError for a pipeline that has none.
        """
        if not hasattr(pipe, "scheduler"):
            raise AigcError(
                f"Expected a model that a scheduler samples, got {self.family}, which keeps its schedule to itself: it cannot "
                "be stopped part-way. Sample it whole."
            )
        scheduler = pipe.scheduler
        self.generators, self.start = generators, self._common()
        scheduler._pause = self
        scheduler.step = MethodType(_pausing(scheduler.step.__func__), scheduler)
        self.watch = watch = scheduler._watch
        report = watch.on_step

        def on_step(done: int, total: int, x0: Callable[[], torch.Tensor]) -> None:
            self.x0 = x0
            if report is not None:
                report(done, total, x0)

        watch.on_step = on_step

    def skip(self, scheduler: Any) -> Any:
        """One step that is done already: gives the sample after the last of them."""
        frozen, device = self.frozen, self.device
        assert frozen is not None
        self.watch.done += 1
        if self.watch.done == frozen.done:
            for name, value in frozen.memory.items():
                setattr(scheduler, name, map_tensors(value, lambda x: x.to(device, copy=True) if x.ndim else x.clone()))
            for generator, state in zip(self.generators, frozen.drawn):
                generator.set_state(state)
            self._restore(frozen.common)
            self.left = list(frozen.drawn)
        return map_tensors(frozen.out, lambda x: x.to(device, copy=True))

    def before(self, kwargs: dict[str, Any], accepts: bool) -> None:
        """A step begins. Raises AigcError for a pipeline that draws between its steps: it could not be gone on with."""
        now = [generator.get_state() for generator in self.generators]
        if self.left is not None and any(not torch.equal(a, b) for a, b in zip(self.left, now)):
            raise AigcError(
                f"Expected a model that draws noise in its scheduler's steps only, got {self.family}, which draws between "
                "them: it cannot be stopped part-way. Sample it whole."
            )
        self.left = now
        if self.own_noise and accepts and kwargs.get("generator") is None:
            kwargs["generator"] = list(self.generators) if len(self.generators) > 1 else self.generators[0]

    def after(self, scheduler: Any, out: Any) -> None:
        """A step is done; raises Paused when it is the last one of this call."""
        now = [generator.get_state() for generator in self.generators]
        self.fresh = self.fresh or any(not torch.equal(a, b) for a, b in zip(self.left or (), now))
        self.left = now
        watch, total = self.watch, len(scheduler.timesteps)
        if watch.before or watch.done != max(1, round(self.until * total)) or watch.done >= total:
            return
        if self.estimates:
            self.level = _level(scheduler, watch.done)
        common = self._common()
        moved = (self.frozen is not None and self.frozen.moved) or any(
            not torch.equal(a, b) for a, b in zip(self.frozen.common if self.frozen else self.start, common)
        )
        self.stopped = {
            "done": watch.done,
            "total": total,
            "out": map_tensors(out, lambda x: x.detach().cpu().clone()),
            "memory": memory(scheduler),
            "drawn": tuple(now),
            "common": common,
            "moved": moved,
            "fresh": self.fresh,
            "noise": self.noise if self.frozen is None else self.frozen.noise,
            "answers": self.answers,
            "family": self.family,
        }
        raise Paused

    def finish(
        self,
        rows: Sequence[int],
        latents: Mapping[str, Any],
        family: str,
        pipe: Any,
        tail: TailMap | Callable[[], TailMap],
    ) -> None:
        """Once the call has ended at its stop: the state to go on from, with the estimate if that was asked for."""
        estimate = noisy = None
        known = self.frozen.tail if self.frozen else None
        if self.estimates:
            assert self.x0 is not None
            known = known or (tail if isinstance(tail, TailMap) else tail())
            estimate = to_host(family, known.forward(self.x0().cpu()).float(), pipe)
            alpha, sigma = self.level
            if alpha > 0:
                noisy = folded(family, known.lie(first(self.stopped["out"]).float() / alpha))
                self.stopped["sigma"] = sigma / alpha
        self.result = Frozen(tuple(rows), latents, **self.stopped, tail=known, estimate=estimate, noisy=noisy)

    def _common(self) -> tuple[torch.Tensor, ...]:
        cuda = (torch.cuda.get_rng_state(),) if self.device.type == "cuda" else ()
        return (torch.default_generator.get_state(), *cuda)

    def _restore(self, states: Sequence[torch.Tensor]) -> None:
        torch.default_generator.set_state(states[0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[1])

    def _answering(self, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The module's forward, which while steps are passed through gives empty tensors of the right shape."""

        @functools.wraps(forward)
        def answer(*args: Any, **kwargs: Any) -> Any:
            if not self.passing:
                real = forward(*args, **kwargs)
                self.answers.setdefault(name, map_tensors(real, lambda x: torch.empty_like(x, device="meta")))
                return real
            known = self.ready.get(name, self.answers.get(name))
            if known is None:  # lists may hold a row each or a level each: asked once, answered from then on
                known = forward(*args, **kwargs)
            elif name not in self.ready:
                known = map_tensors(known, lambda x: torch.zeros_like(x, device=self.device))
            self.ready[name] = known
            return known

        return answer


def _pausing(step: Callable[..., Any]) -> Callable[..., Any]:
    accepts = "generator" in inspect.signature(step).parameters

    @functools.wraps(step)
    def pausing(self: Any, *args: Any, **kwargs: Any) -> Any:
        pause: Pause = self._pause
        if pause.passing:
            return pause.skip(self)
        pause.before(kwargs, accepts)
        out = step(self, *args, **kwargs)
        pause.after(self, out)
        return out

    return pausing


def _level(scheduler: Any, done: int) -> tuple[float, float]:
    """alpha and sigma of what a stop holds. Raises AigcError where the estimate of the clean sample is not known exactly."""
    try:
        return noise_level(scheduler, scheduler.timesteps[done], getattr(scheduler, "step_index", None))
    except AigcError as error:
        raise AigcError(
            f"Expected a scheduler whose estimate part-way is known, got {type(scheduler).__name__}: choose another scheduler, "
            "or judge finished work only."
        ) from error


def memory(scheduler: Any) -> dict[str, Any]:
    """Everything that a scheduler holds, copied to the CPU. Raises AigcError for what cannot be taken out."""
    found = {}
    for name, value in vars(scheduler).items():
        table = isinstance(value, torch.Tensor) and value.ndim == 1  # noise levels, which the schedule sets
        if name in _NOT_MEMORY or table or isinstance(value, FunctionType | MethodType):
            continue
        _check(scheduler, value)
        found[name] = map_tensors(value, lambda x: x.detach().cpu().clone())
    return found


def _check(scheduler: Any, value: Any) -> None:
    import numpy as np

    if isinstance(value, list | tuple | dict):
        for one in value.values() if isinstance(value, dict) else value:
            _check(scheduler, one)
    elif not isinstance(value, (*_PLAIN, torch.Tensor, np.ndarray, np.generic)):
        raise AigcError(
            f"Expected a scheduler that remembers numbers only, got {type(scheduler).__name__}, whose noise is a "
            f"{type(value).__name__} of the whole run: it cannot be stopped part-way. Choose another scheduler."
        )


def asked_each_step(pipe: Any, model: Model) -> dict[str, nn.Module]:
    """The modules that a pipeline asks at every step, by name: denoisers and control nets."""
    parts = {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}
    known = {name for name, role in roles(model).items() if role == "denoiser"} | {"controlnet"}
    return {name: part for name, part in parts.items() if name in known}
