"""A judge that steers the host's own samplers, through its MODEL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DISCRIMINATOR

if TYPE_CHECKING:
    import torch

    from ..pipelines.score.steering import Steering


class GuideModel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_GuideModel",
            display_name="Guide Model",
            category="AIGC/sample",
            description="Makes a ComfyUI MODEL follow a judge: KSampler and every other sampler move towards what it takes for "
            "real, at each step.",
            search_aliases=["discriminator guidance", "classifier guidance", "judge", "steer", "ksampler"],
            inputs=[
                inp(io.Model.Input, "model", tooltip="ComfyUI's MODEL, from its own loaders."),
                inp(
                    AIGC_DISCRIMINATOR.Input,
                    "discriminator",
                    tooltip="A noise-aware judge of this model's latents: train one with this MODEL connected to Train "
                    "Discriminator.",
                ),
                inp(
                    io.Float.Input,
                    "weight",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strongly to follow the judge: 0 is off, 1 as the theory has it; more is stronger, and in the "
                    "end worse.",
                ),
                inp(
                    io.Float.Input,
                    "start",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The part of the schedule from which it acts: 0 from the first step on.",
                ),
                inp(
                    io.Float.Input,
                    "stop",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The part of the schedule up to which it acts: 1 to the end.",
                ),
            ],
            outputs=[io.Model.Output("out_model", display_name="model", tooltip="The MODEL, for any sampler.")],
        )

    @classmethod
    def execute(cls, model: Any, discriminator: Any, weight: float, start: float, stop: float) -> io.NodeOutput:
        from ..pipelines.score import judges, steering

        steering.check_guides(discriminator)
        if weight == 0:
            return io.NodeOutput(model)
        runtime = _host.runtime()
        with judges.judging(discriminator, runtime) as judge:
            steer = _steering(model.model, judge, discriminator, weight, _host.latent_of(model, runtime.device))
        process = model.get_model_object("model_sampling")
        span = process.percent_to_sigma(start), process.percent_to_sigma(stop)
        return io.NodeOutput(_host.with_post_cfg(model, _hook(steer, span), judge.parts()))


def _steering(model: Any, judge: Any, discriminator: Any, weight: float, like: torch.Tensor) -> Steering:
    """What moves this model's estimates; the judge is asked once, so that one that does not fit is refused here."""
    from ..pipelines.score import steering

    def latent_of(x: torch.Tensor) -> torch.Tensor:
        return model.process_latent_out(x.clone())

    steer = steering.Steering.of(discriminator, judge, weight, latent_of, like)
    steering.slope(judge, steer.unfold(like), 0.0)
    return steer


def _hook(steer: Steering, span: tuple[float, float]) -> Callable[[dict[str, Any]], torch.Tensor]:
    """The host's post-CFG function: the estimate of the clean sample, moved."""

    def moved(args: dict[str, Any]) -> torch.Tensor:
        sigma = args["sigma"].flatten()[:1]
        if not span[1] <= float(sigma) <= span[0]:
            return args["denoised"]
        process = args["model"].model_sampling
        zero, one = sigma.new_zeros(1), sigma.new_ones(1)
        alpha, noise = (float(process.noise_scaling(sigma, *pair)) for pair in ((zero, one), (one.clone(), zero)))
        return args["denoised"] + steer(args["input"], alpha, noise)

    return moved
