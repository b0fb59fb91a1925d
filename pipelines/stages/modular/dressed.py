"""A modular pipeline with the surface of a classic one, so that the same stages run both."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ... import guiders
from ...errors import AigcError
from ...schedulers import Watch
from ..ended import Ended
from ..replay import map_tensors, shadowed
from ..table import FRAMES, SEEDED_BLOCKS

# Families whose guidance is pos + g (pos - neg) in their classic pipeline: off at 0, and told so to the guider.
ORIGINAL_FORMULATION = {"ZImageModularPipeline"}
_CHATTER = ("diffusers.modular_pipelines.modular_pipeline", "diffusers.guiders.guider_utils")

# How large the result will be: known to the sampler, but for families that make another size of what they are given.
SIZES = ("height", "width", *FRAMES)

Blocks = list[tuple[str, Any]]


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what diffusers logs for each block that an interrupt passes through, and for each new guider."""
    mute = lambda record: False  # noqa: E731
    loggers = [logging.getLogger(name) for name in _CHATTER]
    for logger in loggers:
        logger.addFilter(mute)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(mute)


def blocks_by_stage(blocks: Any, inputs: Mapping[str, Any]) -> dict[str, Blocks]:
    """The leaf blocks that run for these inputs, grouped by the top-level block they belong to, in order."""
    given = {name: value for name, value in inputs.items() if value is not None}
    found: dict[str, Blocks] = {}
    for name, block in blocks.get_execution_blocks(**given).sub_blocks.items():
        found.setdefault(name.split(".")[0], []).append((name, block))
    return found


def before_denoise(flow: Mapping[str, Blocks]) -> list[str]:
    """The names of the top-level blocks that encode."""
    names = list(flow)
    return names[: names.index("denoise")]


class Dressed:
    """What the stages ask of a pipeline, answered by blocks. Mixed into a class of ModularPipeline by `dress`."""

    stage_device: torch.device
    chosen_guider: guiders.Guider | None = None
    ended: Ended | None = None  # what decodes, where an autoencoder alone does not
    watch: Watch | None = None  # of a run whose schedule is the pipeline's own

    @property
    def _execution_device(self) -> torch.device:
        return self.stage_device

    def maybe_free_model_hooks(self) -> None:
        """Nothing to free: stages place the weights."""

    def encode_prompt(self, prompt: Any = None) -> dict[str, Any]:
        """Replaced by the record of the encode stage while sampling."""
        raise RuntimeError(f"{type(self).__name__} is sampled from a record of its encoders, and there is none.")

    def prepare_latents(self, state: Any) -> torch.Tensor:
        """The noise that the denoise block has just drawn [B, ...]; partial denoising changes it in place."""
        return state.get("latents")

    def writers(self) -> list[torch.nn.Module]:
        """The parts that write from the run's seed before anything is denoised, word after word: each can be stopped."""
        flow = blocks_by_stage(self.blocks, {})  # type: ignore[attr-defined]
        names = {
            spec.name for top in SEEDED_BLOCKS for _, block in flow.get(top, ()) for spec in block.expected_components
        }
        return [part for name in sorted(names) if isinstance(part := getattr(self, name, None), torch.nn.Module)]

    def guide(self, cfg: float | None) -> None:
        """Fresh guiders of this strength. Specs may come switched off, so switching on is explicit."""
        if cfg is None:
            return
        original = type(self).__name__ in ORIGINAL_FORMULATION
        for name, spec in self._component_specs.items():  # type: ignore[attr-defined]
            if not name.startswith("guider") or getattr(self, name, None) is None:
                continue
            guider = vars(self).setdefault("_own_guiders", {}).setdefault(name, getattr(self, name))
            if self.chosen_guider is not None and cfg != (0.0 if original else 1.0):
                denoiser = next(getattr(self, part) for part in ("transformer", "unet") if hasattr(self, part))
                setattr(self, name, guiders.make(self.chosen_guider, cfg, denoiser, original=original))
                continue
            known = inspect.signature(spec.type_hint.__init__).parameters
            values = {"guidance_scale": cfg, "enabled": cfg != (0.0 if original else 1.0)}
            if original:
                values["use_original_formulation"] = True
            setattr(self, name, guider.new(**{k: v for k, v in values.items() if k in known}))

    def begin(self, flow: Mapping[str, Blocks], inputs: Mapping[str, Any]) -> Any:
        """A fresh state that holds `inputs`, and each block's own defaults for the rest."""
        from diffusers.modular_pipelines.modular_pipeline import PipelineState

        state = PipelineState()
        for _, block in (pair for blocks in flow.values() for pair in blocks):
            for wanted in block.inputs:
                if wanted.name is not None and state.get(wanted.name) is None:
                    state.set(wanted.name, inputs.get(wanted.name, wanted.default), wanted.kwargs_type)
        return state

    def lay(self, state: Any, flow: Mapping[str, Blocks], values: Mapping[str, Any]) -> None:
        """Put recorded outputs of the encoders into the state, under the kinds that their blocks give them."""
        for top in before_denoise(flow):
            for _, block in flow[top]:
                for out in block.intermediate_outputs:
                    if out.name in values:
                        value = map_tensors(values[out.name], lambda t: t.to(self.stage_device))
                        state.set(out.name, value, out.kwargs_type)
        for name in SIZES:
            if name in values:
                state.set(name, values[name])

    def run(self, state: Any, blocks: Blocks) -> None:
        """Run blocks on the state; a loop over an empty schedule is left out, as some loops fail on one.

        Raises AigcError with the block's own words for inputs that it refuses.
        """
        from diffusers import LoopSequentialPipelineBlocks

        for name, block in blocks:
            timesteps = state.get("timesteps")
            if isinstance(block, LoopSequentialPipelineBlocks) and timesteps is not None and len(timesteps) == 0:
                continue
            if hasattr(block, "set_progress_bar_config"):
                block.set_progress_bar_config(disable=True)
            try:
                with watching(block, self.watch):
                    block(self, state)
            except AigcError:
                raise
            except ValueError as error:
                raise AigcError(
                    f"Expected inputs that {type(self).__name__} takes, but its block {name!r} says: {error}"
                ) from error
            if name.endswith("prepare_latents") and isinstance(state.get("latents"), torch.Tensor):
                self.prepare_latents(state)

    def whole(self, inputs: Mapping[str, Any]) -> Any:
        """Denoise and decode from recorded encodings; returns the final state."""
        flow = blocks_by_stage(self.blocks, inputs)  # type: ignore[attr-defined]
        with quiet(), torch.no_grad():
            self.guide(inputs.get("guidance_scale"))
            state = self.begin(flow, inputs)
            self.lay(state, flow, self.encode_prompt(prompt=inputs.get("prompt")))
            before = before_denoise(flow)
            for top in (*(t for t in before if t in SEEDED_BLOCKS), *list(flow)[len(before) :]):
                if top == "decode" and self.ended is not None:
                    self.ended.hand_on(state)
                self.run(state, flow[top])
        return state


@contextmanager
def watching(block: Any, watch: Watch | None) -> Iterator[None]:
    """Tell `watch` of each turn of a loop of blocks, where no scheduler does."""
    from diffusers import LoopSequentialPipelineBlocks

    if watch is None or not isinstance(block, LoopSequentialPipelineBlocks):
        yield
        return
    step, bar, total = block.loop_step, block.progress_bar, 0

    def progress_bar(*args: Any, **kwargs: Any) -> Any:
        nonlocal total
        total = kwargs.get("total") or 0
        return bar(*args, **kwargs)

    def loop_step(*args: Any, **kwargs: Any) -> Any:
        components, state = step(*args, **kwargs)
        watch.done += 1
        if watch.on_step is not None:
            watch.on_step(watch.done, max(watch.done, total), lambda: state.latents)
        return components, state

    with shadowed(block, "progress_bar", progress_bar), shadowed(block, "loop_step", loop_step):
        yield


def dress(cls: type, blocks: Any) -> type:
    """A subclass of a ModularPipeline class that can be called like a classic pipeline, with the blocks' own inputs."""

    def call(self: Any, **inputs: Any) -> Any:
        return self.whole(inputs)

    known = {p.name: p.default for p in blocks.inputs if p.name is not None}
    leaves = [block for pairs in blocks_by_stage(blocks, {}).values() for _, block in pairs]
    lengths = {
        p.name: p.default for block in leaves for p in block.inputs if p.name in FRAMES and p.default is not None
    }
    known.update({name: default for name, default in lengths.items() if known.get(name, 0) is None})
    for extra in ("prompt", "num_inference_steps", "generator"):
        known.setdefault(extra, None)
    if any(spec.name.startswith("guider") for spec in blocks.expected_components):
        known.setdefault("guidance_scale", None)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    parameters += [inspect.Parameter(name, keyword, default=value) for name, value in known.items()]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    body: dict[str, Any] = {"__call__": call, "__module__": cls.__module__}
    if cls.__name__ in ORIGINAL_FORMULATION:
        body["do_classifier_free_guidance"] = property(lambda self: self._guidance_scale > 0)
    if any(hasattr(block, "_pack_latents") for block in leaves):
        body["_pack_latents"] = True
    return type(cls.__name__, (Dressed, cls), body)
