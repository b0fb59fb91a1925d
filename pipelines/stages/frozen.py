"""Sampling that was stopped between two steps, as a value: its rows can be chosen, repeated and put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Trace
from ..walks import Walk
from .replay import map_tensors
from .tail import TailMap


@dataclass(frozen=True)
class Frozen:
    """A batch after `done` of `total` scheduler steps; every tensor is on the CPU.

    rows: the prompt of each. latents: the LATENT that was given, one row each; its batch_index says which noise a row has.
    out: what the last step returned. memory: what the scheduler remembers. drawn: each row's generator, its state.
    common: the state of torch's own generators; moved: whether anything was drawn from them.
    fresh: whether the rows' generators were used by the steps: without it, equal rows stay equal.
    noise: what the pipeline began with [B, ...]. answers: shapes of what the denoisers answered, by name.
    estimate: the estimate of the clean sample, as a LATENT's samples [B, ...]; None where it was not asked for.
    noisy, sigma: the sample itself as x0 + sigma noise, laid out as `estimate` but in the denoiser's space; None where its
    noise is not known.
    """

    rows: tuple[int, ...]
    latents: Mapping[str, Any]
    done: int
    total: int
    out: Any
    memory: Mapping[str, Any]
    drawn: tuple[torch.Tensor, ...]
    common: tuple[torch.Tensor, ...]
    moved: bool
    fresh: bool
    noise: torch.Tensor | None
    answers: Mapping[str, Any] = field(default_factory=dict)
    tail: TailMap | None = None
    estimate: torch.Tensor | None = None
    noisy: torch.Tensor | None = None
    sigma: float = 0.0
    family: str = ""

    @property
    def places(self) -> list[int]:
        """Each row's place in the batch that was asked for: its noise is that of seed + place."""
        return list(self.latents["batch_index"])

    @property
    def width(self) -> int:
        """How many rows of the sampler's tensors there are."""
        return int(first(self.out).shape[0])

    def take(self, places: Sequence[int]) -> Frozen:
        """These rows, in this order; a row may come several times, and then goes on as one and the same.

        Raises AigcError for a run that drew noise for the whole batch at once: its rows do not stand alone.
        """
        if list(places) == list(range(len(self.rows))):
            return self
        if self.moved:
            raise AigcError(
                f"Expected noise drawn row by row, got {self.family}, which drew some for the whole batch at once with this "
                "scheduler, so that no row can go on alone: choose another scheduler, or keep all candidates to the end."
            )
        index = torch.tensor(list(places), dtype=torch.long)

        def pick(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(0, (len(self.rows), -1))[index].flatten(0, 1)

        chosen = self._by_row(pick)
        return replace(
            chosen,
            rows=tuple(self.rows[i] for i in places),
            latents=latent_rows(self.latents, places),
            drawn=tuple(self.drawn[i] for i in places),
            answers={name: regrown(value, len(self.rows), len(places)) for name, value in self.answers.items()},
        )

    def _by_row(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Frozen:
        width = self.width

        def walk(x: torch.Tensor) -> torch.Tensor:
            return change(x) if has_rows(x, width) else x

        return replace(
            self,
            out=map_tensors(self.out, walk),
            memory={name: map_tensors(value, walk) for name, value in self.memory.items()},
            noise=None if self.noise is None else change(self.noise),
            estimate=None if self.estimate is None else change(self.estimate),
            noisy=None if self.noisy is None else change(self.noisy),
        )


def first(out: Any) -> torch.Tensor:
    """The sample in what a step returned."""
    return out[0] if isinstance(out, tuple) else out.prev_sample


def has_rows(x: torch.Tensor, width: int) -> bool:
    """Whether a scheduler's tensor goes by row; its tables of noise levels have one dimension."""
    return x.ndim > 1 and x.shape[0] == width


def latent_rows(latents: Mapping[str, Any], places: Sequence[int]) -> dict[str, Any]:
    """These rows of a LATENT that has one row each."""
    index = torch.tensor(list(places), dtype=torch.long)
    out = {**latents, "samples": latents["samples"][index]}
    out["batch_index"] = [latents["batch_index"][i] for i in places]
    if isinstance(mask := latents.get("noise_mask"), torch.Tensor):
        out["noise_mask"] = mask[index]
    if isinstance(walk := latents.get("aigc_walk"), Walk):
        out["aigc_walk"] = walk.taken(places)
    return out


def latents_together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """LATENTs of one model as one batch, decoded as exactly as each alone."""
    head = dict(parts[0])
    if len(parts) == 1:
        return head
    samples = torch.cat([part["samples"] for part in parts])
    head |= {"samples": samples, "batch_index": [place for part in parts for place in part["batch_index"]]}
    if isinstance(head.get("noise_mask"), torch.Tensor):
        head["noise_mask"] = torch.cat([part["noise_mask"] for part in parts])
    walks = [walk for part in parts if isinstance(walk := part.get("aigc_walk"), Walk)]
    if len(walks) == len(parts):
        head["aigc_walk"] = walks[0].joined(walks[1:])
    traces = [part.get("aigc") for part in parts]
    if all(isinstance(trace, Trace) and isinstance(trace.raw, torch.Tensor) for trace in traces):
        sounds = [trace.sound for trace in traces if trace.sound is not None]  # type: ignore
        sound = torch.cat(sounds) if len(sounds) == len(traces) else None
        head["aigc"] = replace(traces[0], samples=samples, raw=torch.cat([t.raw for t in traces]), sound=sound)  # type: ignore
    return head


def regrown(answer: Any, before: int, now: int) -> Any:
    """The shape of a denoiser's answer for another number of rows; None where it is not known from this one."""
    if isinstance(answer, torch.Tensor) and answer.ndim and answer.shape[0] % before == 0:
        return answer.new_empty(answer.shape[0] // before * now, *answer.shape[1:])
    if isinstance(answer, tuple) and len(answer) == 1:
        one = regrown(answer[0], before, now)
        return None if one is None else (one,)
    kind: Any = type(answer)
    if kind.__module__.startswith("diffusers.") and list(answer) == ["sample"]:
        one = regrown(getattr(answer, "sample"), before, now)  # noqa: B009, of an output class, which the checker cannot know
        return None if one is None else kind(sample=one)
    return None


def join(parts: Sequence[Frozen]) -> Frozen:
    """Batches that were stopped at the same step, as one. Raises AigcError when they stand at different steps."""
    head = parts[0]
    if len(parts) == 1:
        return head
    if any(part.done != head.done for part in parts):
        raise AigcError(f"Expected batches stopped at step {head.done}, got {[part.done for part in parts]}.")
    if any(part.moved for part in parts):
        head.take(())
        raise AigcError(f"Expected noise drawn row by row, got {head.family}: sample all candidates at once.")
    widths = [part.width for part in parts]
    rows = sum((part.rows for part in parts), ())
    latents = {
        **head.latents,
        "samples": torch.cat([part.latents["samples"] for part in parts]),
        "batch_index": [place for part in parts for place in part.places],
    }
    if isinstance(head.latents.get("noise_mask"), torch.Tensor):
        latents["noise_mask"] = torch.cat([part.latents["noise_mask"] for part in parts])
    return replace(
        head,
        rows=rows,
        latents=latents,
        out=_joined([part.out for part in parts], widths),
        memory={name: _joined([part.memory[name] for part in parts], widths) for name in head.memory},
        drawn=sum((part.drawn for part in parts), ()),
        noise=None if head.noise is None else torch.cat([part.noise for part in parts]),  # type: ignore[misc]
        estimate=None if head.estimate is None else torch.cat([part.estimate for part in parts]),  # type: ignore[misc]
        noisy=None if head.noisy is None else torch.cat([part.noisy for part in parts]),  # type: ignore[misc]
        answers={name: regrown(value, len(head.rows), len(rows)) for name, value in head.answers.items()},
    )


def _joined(values: Sequence[Any], widths: Sequence[int]) -> Any:
    """The same structure of several batches, tensors that go by row laid one after another."""
    tensors: list[list[torch.Tensor]] = []
    for value in values:
        found: list[torch.Tensor] = []
        map_tensors(value, lambda x, into=found: into.append(x) or x)
        tensors.append(found)
    together = iter(
        torch.cat(same) if all(has_rows(x, width) for x, width in zip(same, widths)) else same[0]
        for same in zip(*tensors)
    )
    return map_tensors(values[0], lambda _: next(together))
