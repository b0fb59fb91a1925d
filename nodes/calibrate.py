"""Judges made from judges: calibrated to a probability, several as one."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DISCRIMINATOR

WEIGHT = "How much this judge counts: 1 as evidence of its own, less where it repeats the others, 0 not at all."
WEIGHTS = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.05}
ANOTHER = "Another, of the same input."


class CalibrateDiscriminator(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_CalibrateDiscriminator",
            display_name="Calibrate Discriminator",
            category="AIGC/score",
            description="Teaches any judge what its scores mean: from real and generated ones to the probability of real, and "
            "to percentiles among the real ones. Says how good it is on a half that it was not shown.",
            search_aliases=["platt", "probability", "percentile", "auc"],
            is_output_node=True,
            inputs=[
                inp(AIGC_DISCRIMINATOR.Input, "discriminator", tooltip="Any judge: by a formula, trained or combined."),
                inp(
                    io.Image.Input,
                    "real_image",
                    optional=True,
                    tooltip="Real pictures, or the kind you want: 8 at least, 100 are good.",
                ),
                inp(
                    io.Image.Input,
                    "generated_image",
                    optional=True,
                    tooltip="Generated pictures, or the kind you do not want: 8 at least.",
                ),
                inp(io.Latent.Input, "real_latents", optional=True, tooltip="Real ones, for a judge of latents."),
                inp(
                    io.Latent.Input,
                    "generated_latents",
                    optional=True,
                    tooltip="Generated ones, for a judge of latents.",
                ),
                inp(io.Audio.Input, "real_audio", optional=True, tooltip="Real ones, for a judge of sound."),
                inp(io.Audio.Input, "generated_audio", optional=True, tooltip="Generated ones, for a judge of sound."),
                inp(
                    io.String.Input,
                    "real_prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What the real ones show, for judges that compare with it: one line for all, or one each.",
                ),
                inp(
                    io.String.Input,
                    "generated_prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What the generated ones were made from: one line for all, or one each.",
                ),
                inp(
                    io.Image.Input, "reference", optional=True, tooltip="For judges that compare: one picture for all."
                ),
            ],
            outputs=[
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator", display_name="discriminator", tooltip="The same judge, calibrated."
                ),
                io.String.Output("out_report", display_name="report", tooltip="How good it is, and what was fitted."),
                io.Float.Output(
                    "out_auc",
                    display_name="AUC",
                    tooltip="How often a real one of the held-out half scores above a generated one: 0.5 is chance.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        discriminator: Any,
        real_image: Any = None,
        generated_image: Any = None,
        real_latents: Any = None,
        generated_latents: Any = None,
        real_audio: Any = None,
        generated_audio: Any = None,
        real_prompt: str = "",
        generated_prompt: str = "",
        reference: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines.score import calibrating

        real = calibrating.Examples(real_image, real_latents, real_audio, real_prompt)
        generated = calibrating.Examples(generated_image, generated_latents, generated_audio, generated_prompt)
        made = calibrating.calibrated(discriminator, real, generated, reference=reference, runtime=_host.runtime())
        report = calibrating.report(made)
        return io.NodeOutput(_host.keep_while_wired(made.judge), report, made.auc, ui={"text": (report,)})


class CombineDiscriminators(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_CombineDiscriminators",
            display_name="Combine Discriminators",
            category="AIGC/score",
            description="Up to four calibrated judges as one, by Bayes: their log odds add up, weighted, to those of the prior.",
            search_aliases=["ensemble", "bayes", "product of experts", "average"],
            inputs=[
                inp(AIGC_DISCRIMINATOR.Input, "discriminator_1", tooltip="A calibrated judge."),
                inp(AIGC_DISCRIMINATOR.Input, "discriminator_2", optional=True, tooltip=ANOTHER),
                inp(AIGC_DISCRIMINATOR.Input, "discriminator_3", optional=True, tooltip=ANOTHER),
                inp(AIGC_DISCRIMINATOR.Input, "discriminator_4", optional=True, tooltip=ANOTHER),
                inp(io.Float.Input, "weight_1", tooltip=WEIGHT, **WEIGHTS),
                inp(io.Float.Input, "weight_2", tooltip=WEIGHT, **WEIGHTS),
                inp(io.Float.Input, "weight_3", tooltip=WEIGHT, **WEIGHTS),
                inp(io.Float.Input, "weight_4", tooltip=WEIGHT, **WEIGHTS),
                inp(
                    io.Float.Input,
                    "prior",
                    default=0.5,
                    min=0.001,
                    max=0.999,
                    step=0.01,
                    tooltip="How probable a real one is before anything is seen: 0.5 takes no side.",
                ),
            ],
            outputs=[
                AIGC_DISCRIMINATOR.Output(
                    "out_discriminator", display_name="discriminator", tooltip="One judge, wherever a judge goes."
                ),
                io.String.Output("out_info", display_name="info", tooltip="What it judges, and of what it is made."),
            ],
        )

    @classmethod
    def execute(
        cls,
        discriminator_1: Any,
        weight_1: float,
        weight_2: float,
        weight_3: float,
        weight_4: float,
        prior: float,
        discriminator_2: Any = None,
        discriminator_3: Any = None,
        discriminator_4: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines.score import combined, judges

        given = (discriminator_1, discriminator_2, discriminator_3, discriminator_4)
        weights = (weight_1, weight_2, weight_3, weight_4)
        parts = [(judge, weight) for judge, weight in zip(given, weights) if judge is not None]
        judge = _host.keep_while_wired(combined.combine(parts, combined.log_odds(prior)))
        return io.NodeOutput(judge, judges.describe(judge))
