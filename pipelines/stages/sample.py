"""The sample stage: replay the encodings, denoise, and stop where the autoencoder would decode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from ..errors import AigcError
from ..guiders import Guider
from ..payloads import Conditioning, Guide, Model, Trace
from ..runtime import Runtime
from ..schedulers import DEFAULT, Watch
from . import arguments, selftest
from .beside import sound_beside
from .checked import check_numbers, fixed_size
from .control import active, control_arguments, controlled
from .convention import from_host, to_host
from .ending import latents_of, remembered
from .guided import guided_by
from .latents import Geometry, batch_rows, call_size, check, geometry
from .one_by_one import one_by_one
from .pause import Pause, Paused, asked_each_step
from .picture_start import start_arguments, steps_of, wants_start
from .pipe import decoder_name, stage
from .preview import Preview
from .reference import reference_arguments, referenced
from .replay import ENCODE, calling, drawing, replaying
from .scheduled import scheduled
from .start import Start
from .steered import steered
from .table import CFG_CONCATENATED, FRAMES, SECONDS, tail_replay
from .tail import TailMap, after_prepare, probe
from .walked import check_recorded, in_pieces, noise_between

OnStep = Callable[[int, int, Callable[[], Any]], None]


@in_pieces
@one_by_one
def sample(
    model: Model,
    conditioning: Conditioning,
    latents: Mapping[str, Any],
    *,
    seed: int = 0,
    steps: int = 20,
    cfg: float = 5.0,
    scheduler: str = DEFAULT,
    denoise: float = 1.0,
    guider: Guider | None = None,
    guide: Guide | None = None,
    on_step: OnStep | None = None,
    runtime: Runtime | None = None,
    rows: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Denoise; only the denoiser holds weights.

    latents: a LATENT; its size is the picture's size, and at denoise < 1 its content is where sampling starts. With a
        "noise_mask" (0..1) the content is kept where the mask is 0.
    seed: row i draws from its own CPU generator seeded `seed + i`. steps: denoising steps that are run; a distilled
        pipeline that takes no number (LTX2 DFR) runs its own.
    cfg: guidance strength in the pipeline's own scale. denoise: 0 (nothing) to 1 (from pure noise).
    guider: another way to guide than the pipeline's own, at strength `cfg`; without guidance (cfg 1) it has no say.
    guide: a noise-aware judge of this model's latents that steers every step; weight 0 is off.
    on_step(done, total, preview): called after each step; preview() makes a small PIL image of the estimate.
    rows: which prompt each row of the batch has; None: each its own, or blocks of one prompt.
    Returns a LATENT. Raises AigcError when an input does not fit the model.
    """
    given = {"seed": seed, "steps": steps, "cfg": cfg, "scheduler": scheduler, "denoise": denoise}
    steered_by = {"guider": guider, "guide": guide}
    watched = {"on_step": on_step, "runtime": runtime or Runtime(), "rows": rows}
    return sampled(model, conditioning, latents, **given, **steered_by, **watched)


def sampled(
    model: Model,
    conditioning: Conditioning,
    latents: Mapping[str, Any],
    *,
    seed: int,
    steps: int,
    cfg: float,
    scheduler: str,
    denoise: float,
    guider: Guider | None = None,
    guide: Guide | None = None,
    on_step: OnStep | None,
    runtime: Runtime,
    rows: Sequence[int] | None = None,
    pause: Pause | None = None,
) -> dict[str, Any]:
    """`sample`, for these rows of the prompts, and with a stop on the way. Raises Paused where it stops."""
    check_numbers(model, conditioning, steps, cfg, denoise)
    with ExitStack() as stack:
        pipe = stack.enter_context(stage(model, "denoiser", runtime))
        shape = geometry(pipe, getattr(pipe, decoder_name(model)))
        check(shape, latents["samples"])
        if denoise == 0:
            return dict(latents)
        rows = batch_rows(len(conditioning.prompts), latents["samples"], shape) if rows is None else list(rows)
        controls = active(conditioning.controls)
        whole = stack.enter_context(controlled(pipe, model, controls, runtime))
        stack.enter_context(referenced(whole, conditioning.references))
        guided = cfg > arguments.without_guidance(whole)
        run = _Run(model, whole, pipe, conditioning, runtime, shape, rows, guided=guided)
        call = {
            **arguments.of_conditioning(whole, conditioning, rows),
            **arguments.size(whole, fixed_size(conditioning, call_size(pipe, shape, latents))),
            **arguments.guidance(whole, _strength(whole, conditioning, cfg)),
        }
        start, watch, total = run.begin(call, latents, steps, denoise)
        watch.on_step = run.reporter(on_step, start.map if start else None, call)
        if guide is not None and guide.weight:
            tail = start.map if start else run.tail_map(call)
            watch.change_x0 = stack.enter_context(steered(guide, tail, shape.family, whole, runtime))
        if guider is not None and guided and conditioning.guided:
            stack.enter_context(guided_by(whole, model, guider, cfg, rows=len(rows), done=lambda: watch.done))
        pictures = {
            **control_arguments(whole, controls, call, len(rows)),
            **reference_arguments(conditioning.references),
        }
        whole_call, generators = {**call, **pictures}, _generators(seed, latents, len(rows))
        run.between = stack.enter_context(noise_between(whole, latents.get("aigc_walk"), seed, generators))
        if pause is not None:
            stack.enter_context(pause.prepared(whole, asked_each_step(whole, model), runtime.device))
            run.pause = pause
        try:
            z, rest = run(whole_call, total, scheduler, watch, generators, start)
        except Paused:
            assert pause is not None
            pause.finish(rows, latents, shape.family, pipe, start.map if start else lambda: run.tail_map(call))
            raise
    selftest.begin(model)
    return _latent(latents, shape, z, rest, pipe, call, conditioning, run.sound)


def _strength(pipe: Any, conditioning: Conditioning, cfg: float) -> float:
    """The guidance to run with: a conditioning without negatives is run without guidance."""
    return (
        cfg if conditioning.guided or "true_cfg_scale" in arguments.accepted(pipe) else arguments.without_guidance(pipe)
    )


def _generators(seed: int, latents: Mapping[str, Any], rows: int) -> list[torch.Generator]:
    """One CPU generator a row. A LATENT taken out of a batch remembers its place there (`batch_index`)."""
    places = list(latents.get("batch_index") or range(rows))
    places = places if len(places) == rows else range(rows)
    return [torch.Generator("cpu").manual_seed((seed + place) % 2**64) for place in places]


def plain_tail(
    model: Model, pipe: Any, conditioning: Conditioning, latents: Mapping[str, Any], runtime: Runtime
) -> tuple[Geometry, TailMap]:
    """What the pipeline's denoiser takes, and the way there from a LATENT of this size; pipe: its stage, open."""
    shape = geometry(pipe, getattr(pipe, decoder_name(model)))
    run = _Run(model, pipe, pipe, conditioning, runtime, shape, [0], guided=False)
    size = arguments.size(pipe, call_size(pipe, shape, latents))
    return shape, run.tail_map({**arguments.of_conditioning(pipe, conditioning, [0]), **size})


def ready(
    model: Model, pipe: Any, conditioning: Conditioning, latents: Mapping[str, Any], runtime: Runtime, rows: list[int]
) -> tuple[_Run, dict[str, Any]]:
    """A run without guidance that is not begun, and its call but for steps and seed; pipe: its stage, open."""
    shape = geometry(pipe, getattr(pipe, decoder_name(model)))
    run = _Run(model, pipe, pipe, conditioning, runtime, shape, rows, guided=False)
    return run, {
        **arguments.of_conditioning(pipe, conditioning, rows),
        **arguments.size(pipe, call_size(pipe, shape, latents)),
        **arguments.guidance(pipe, arguments.without_guidance(pipe)),
    }


class _Run:
    """One call of a pipeline in this stage, and the shorter ones that probe it.

    pipe: what runs. plain: the same without control nets; its tail is the same.
    """

    def __init__(
        self,
        model: Model,
        pipe: Any,
        plain: Any,
        conditioning: Conditioning,
        runtime: Runtime,
        shape: Geometry,
        rows: list[int],
        guided: bool,
    ) -> None:
        self.model, self.pipe, self.plain, self.shape, self.guided = model, pipe, plain, shape, guided
        self.decoder = getattr(pipe, decoder_name(model))
        self.conditioning, self.runtime, self.rows = conditioning, runtime, rows
        self.pause: Pause | None = None
        self.between: Callable[[], None] = lambda: None  # asked after each step
        self.sound: torch.Tensor | None = None  # that was made along with a video
        self.generators: list[torch.Generator] = []  # for what draws from none: seeded as the run's, apart from them

    def _replay(self, pipe: Any, rows: list[int]) -> Any:
        return replaying(
            pipe,
            self.decoder,
            self.conditioning.calls,
            prompts=len(self.conditioning.prompts),
            rows=rows,
            device=self.runtime.device,
            halves=type(pipe).__name__ in CFG_CONCATENATED,
            guided=self.guided,
            encode=self._encode,
            generators=self.generators,
        )

    def replayed(self, pipe: Any) -> Any:
        """While open, the encoders answer from the record."""
        return self._replay(pipe, self.rows)

    def _encode(self, label: str, *args: Any, **kwargs: Any) -> Any:
        """What Encode Prompt did not encode for this size, as it knows no frame count or duration: encoded for real."""
        check_recorded(self.conditioning, label)
        with stage(self.model, "vae" if label == ENCODE else "text", self.runtime, alongside="denoiser") as pipe:
            encoder = getattr(pipe, decoder_name(self.model)).encode if label == ENCODE else getattr(pipe, label)
            return encoder(*args, **kwargs)

    def tail_map(self, call: Mapping[str, Any]) -> TailMap:
        """The pipeline's tail for one row of this call."""
        named = arguments.accepted(self.plain)
        one = {k: v for k, v in call.items() if k in named}
        one.update(arguments.of_conditioning(self.plain, self.conditioning, self.rows[:1]))
        one.update({k: v for k, v in call.items() if k in ("height", "width", *FRAMES)})
        with self._replay(self.plain, self.rows[:1]):
            return probe(self.plain, self.decoder, one)

    def begin(
        self, call: dict[str, Any], latents: Mapping[str, Any], steps: int, denoise: float
    ) -> tuple[Start | None, Watch, int]:
        """How to start from the LATENT, what to watch, and the length of the schedule.

        A pipeline that begins from a picture by itself gets the LATENT as one, in `call`.
        """
        start, mask, total, partial = None, latents.get("noise_mask"), int(steps / denoise), denoise < 1
        if wants_start(self.pipe, self.conditioning.arguments):
            given = latents["samples"], denoise, len(self.rows)
            call.update(start_arguments(self.pipe, self.conditioning.arguments, *given, mask=mask))
            partial, total = False, steps_of(steps, denoise) if "strength" in call else steps
        elif partial or mask is not None:
            decoded = from_host(self.shape.family, latents["samples"].float(), self.plain)
            start = Start(self.tail_map(call), decoded, len(self.rows), partial=partial, mask=mask)
        return start, Watch(keep=steps if partial else None, unit_noise=partial), total

    def reporter(self, on_step: OnStep | None, tail: TailMap | None, call: Mapping[str, Any]) -> Any:
        """What the scheduler calls after each step: interrupt first, then the caller's report."""
        preview = Preview(self.model, self.shape, call, tail)

        def report(done: int, total: int, x0: Callable[[], torch.Tensor]) -> None:
            self.runtime.check_interrupt()
            self.between()
            if on_step is not None:
                on_step(done, total, lambda: preview(x0()))

        return report

    def __call__(
        self,
        call: Mapping[str, Any],
        steps: int,
        scheduler: str,
        watch: Watch,
        generators: list[torch.Generator],
        start: Start | None,
    ) -> tuple[torch.Tensor, Any]:
        pipe = self.pipe
        self.generators = [torch.Generator("cpu").manual_seed(one.initial_seed()) for one in generators]
        with ExitStack() as stack:
            stack.enter_context(self._replay(pipe, self.rows))
            stack.enter_context(drawing(self.generators[0].initial_seed(), self.runtime.device))
            if start is not None:
                stack.enter_context(after_prepare(pipe, start.prepared))
                watch.on_schedule, watch.on_result = start.scheduled, start.keep
            stack.enter_context(scheduled(pipe, scheduler, watch))
            if self.pause is not None:
                self.pause.lay(pipe, generators)
            stack.enter_context(
                calling(pipe.writers() if hasattr(pipe, "writers") else [], self.runtime.check_interrupt)
            )
            stack.callback(pipe.maybe_free_model_hooks)
            drawn = generators if len(generators) > 1 else generators[0]
            whole = {**call, **arguments.steps(pipe, steps), "generator": drawn}
            heard = stack.enter_context(sound_beside(pipe))
            captured = latents_of(pipe, self.decoder, whole, rows=len(self.rows))
            self.sound = heard[-1] if heard else None
        if captured is None:
            raise AigcError(
                f"Expected {type(pipe).__name__} to end in an autoencoder, got none: it has no latents to pass on."
            )
        z, args, kwargs = captured
        if not torch.isfinite(z).all():
            raise AigcError(
                f"Expected finite latents after {watch.done} steps, got NaN or infinity: lower cfg, choose another scheduler, "
                "or load the model with dtype float32; a broken LoRA does this too."
            )
        return z, (args, kwargs)


def _latent(
    given: Mapping[str, Any],
    shape: Geometry,
    z: torch.Tensor,
    rest: Any,
    pipe: Any,
    call: Mapping[str, Any],
    conditioning: Conditioning,
    sound: torch.Tensor | None,
) -> dict[str, Any]:
    raw = z.detach().cpu()
    samples = to_host(shape.family, raw.float(), pipe)
    named = ("height", "width", "frame_rate", "fps", *FRAMES, *SECONDS)
    trace = Trace(
        shape.family,
        samples,
        raw=raw,
        decode_arguments=(rest[0], remembered(rest[1])),
        arguments={k: v for k, v in call.items() if k in named},
        conditioning=conditioning if tail_replay(shape.family) else None,
        sound=sound,
    )
    kept = {k: v for k, v in given.items() if k not in ("samples", "aigc")}
    return {**kept, "samples": samples, "aigc": trace}
