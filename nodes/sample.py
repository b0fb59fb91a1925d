"""The denoiser's run, one node: conditioning and latents in, finished latents out."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_DISCRIMINATOR, AIGC_GUIDER, AIGC_MODEL


class Sample(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import schedulers

        return schema(
            node_id="AIGC_Sample",
            display_name="Sample",
            category="AIGC/sample",
            description="Runs the model's denoiser from noise, or from given latents, to finished latents. "
            "Only the denoiser is loaded.",
            search_aliases=["sampler", "ksampler", "denoise", "generate"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model to sample with."),
                inp(
                    AIGC_CONDITIONING.Input,
                    "conditioning",
                    tooltip="The encoded prompt, made with the same model.",
                ),
                inp(
                    io.Latent.Input,
                    "latents",
                    tooltip="Empty latents for a picture from nothing, or encoded pictures together with "
                    "denoise below 1.",
                ),
                inp(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The number that fixes the noise: same seed, same result. Number i of a batch "
                    "uses seed + i.",
                ),
                inp(
                    io.Int.Input,
                    "steps",
                    default=20,
                    min=1,
                    max=10000,
                    tooltip="How many times the denoiser runs. More is slower and, up to a point, better.",
                ),
                inp(
                    io.Float.Input,
                    "cfg",
                    default=3.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How strongly to follow the prompt. 1 switches guidance off and halves the time.",
                ),
                inp(
                    io.Combo.Input,
                    "scheduler",
                    options=schedulers.names(),
                    default=schedulers.DEFAULT,
                    tooltip="The method that walks from noise to the result. The model's own one is always safe.",
                ),
                inp(
                    io.Float.Input,
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much to change the given latents: 1 starts from pure noise, 0 changes nothing.",
                ),
                inp(
                    AIGC_GUIDER.Input,
                    "guider",
                    optional=True,
                    tooltip="From Guider: another way to follow the prompt than the model's own.",
                ),
                inp(
                    AIGC_DISCRIMINATOR.Input,
                    "guide",
                    optional=True,
                    tooltip="A judge that knows noisy latents of this model: every step moves towards what it takes for real.",
                ),
                inp(
                    io.Float.Input,
                    "guide_weight",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.1,
                    optional=True,
                    tooltip="How strongly to follow the judge: 0 is off, 1 as the theory has it; more is stronger, and in the "
                    "end worse.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "out_latents", display_name="latents", tooltip="The finished latents, for a Decode node."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        conditioning: Any,
        latents: dict[str, Any],
        seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        denoise: float,
        guider: Any = None,
        guide: Any = None,
        guide_weight: float = 1.0,
    ) -> io.NodeOutput:
        from ..pipelines import stages
        from ..pipelines.payloads import Guide

        return io.NodeOutput(
            stages.sample(
                model,
                conditioning,
                latents,
                seed=seed,
                steps=steps,
                cfg=cfg,
                scheduler=scheduler,
                denoise=denoise,
                guider=guider,
                guide=Guide(guide, guide_weight) if guide else None,
                on_step=_host.reporter(),
                runtime=_host.runtime(),
            )
        )
