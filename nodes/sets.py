"""Sets against sets: how far generated ones are from real ones, and whether a gain in score is a gain."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_DISCRIMINATOR, AIGC_SCORES


class CompareSets(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.score import features

        return schema(
            node_id="AIGC_CompareSets",
            display_name="Compare Sets",
            category="AIGC/score",
            description="How far a set of generated ones is from a set of real ones: FID, KID, precision, recall, density and "
            "coverage over a feature net. Each set is a batch or a folder.",
            search_aliases=["fid", "kid", "precision", "recall", "density", "coverage", "metrics"],
            is_output_node=True,
            inputs=[
                inp(
                    io.Combo.Input,
                    "features",
                    options=features.names(_host.roots()),
                    default=features.STATISTICS,
                    tooltip="What looks at the pictures. statistics: colour, edges and spectrum, nothing to download, coarse. "
                    "The others are folders of CLIP, SigLIP or DINOv2 in models/clip_vision.",
                ),
                inp(
                    io.Int.Input,
                    "nearest_k",
                    default=5,
                    min=1,
                    max=100,
                    tooltip="Neighbours that the balls of precision, recall, density and coverage reach to.",
                ),
                inp(
                    AIGC_DISCRIMINATOR.Input,
                    "discriminator",
                    optional=True,
                    tooltip="A trained judge whose own features are used instead, of pictures or of latents.",
                ),
                inp(io.Image.Input, "real_image", optional=True, tooltip="The real pictures: 10 at least."),
                inp(io.Image.Input, "generated_image", optional=True, tooltip="The generated pictures: 10 at least."),
                inp(
                    io.Latent.Input, "real_latents", optional=True, tooltip="Real ones, for a trained judge of latents."
                ),
                inp(
                    io.Latent.Input,
                    "generated_latents",
                    optional=True,
                    tooltip="Generated ones, for a trained judge of latents.",
                ),
                inp(
                    io.String.Input,
                    "real_folder",
                    default="",
                    optional=True,
                    tooltip="Instead of a batch: a folder of pictures, or folder/*.png; read one after another. A relative "
                    "one starts at ComfyUI's input folder.",
                ),
                inp(
                    io.String.Input,
                    "generated_folder",
                    default="",
                    optional=True,
                    tooltip="Instead of a batch: a folder of generated pictures.",
                ),
            ],
            outputs=[
                io.String.Output("out_table", display_name="table", tooltip="All figures, and what they mean."),
                io.Float.Output("out_fid", display_name="FID", tooltip="Lower is better."),
                io.Float.Output("out_kid", display_name="KID", tooltip="Lower is better; trust it before FID."),
                io.Float.Output(
                    "out_precision", display_name="precision", tooltip="How many generated ones look real."
                ),
                io.Float.Output("out_recall", display_name="recall", tooltip="How much of the real ones is reached."),
                io.Float.Output(
                    "out_density", display_name="density", tooltip="How deep among the real ones they lie."
                ),
                io.Float.Output(
                    "out_coverage", display_name="coverage", tooltip="How many real ones have a generated one near."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, real_folder: str = "", generated_folder: str = "", **_: Any) -> str:
        return _host.pictures_stamp(real_folder) + _host.pictures_stamp(generated_folder)

    @classmethod
    def execute(
        cls,
        features: str,
        nearest_k: int,
        discriminator: Any = None,
        real_image: Any = None,
        generated_image: Any = None,
        real_latents: Any = None,
        generated_latents: Any = None,
        real_folder: str = "",
        generated_folder: str = "",
    ) -> io.NodeOutput:
        from ..pipelines.score import features as nets
        from ..pipelines.score import sets

        with nets.opened(features, discriminator, roots=_host.roots(), runtime=_host.runtime()) as net:
            found = sets.compare(
                sets.chosen(net, real_folder, real_image, real_latents, "real"),
                sets.chosen(net, generated_folder, generated_image, generated_latents, "generated"),
                net,
                k=nearest_k,
                base=_host.input_folder(),
                runtime=_host.runtime(),
            )
        table = sets.table(found)
        return io.NodeOutput(table, found.fid, found.kid, *found.covered, ui={"text": (table,)})


class JudgePanel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_JudgePanel",
            display_name="Judge Panel",
            category="AIGC/score",
            description="Whether a gain is one: the judge that was optimised against is checked by one that was not. Hacked when "
            "the first rises and the second falls, or generated ones score above the real ones' median.",
            search_aliases=["reward hacking", "held-out", "verdict", "significance", "diversity"],
            is_output_node=True,
            inputs=[
                inp(
                    AIGC_SCORES.Input,
                    "optimised_before",
                    tooltip="Of the judge that guided or chose: its scores without that.",
                ),
                inp(AIGC_SCORES.Input, "optimised_after", tooltip="The same judge's scores of the result."),
                inp(AIGC_SCORES.Input, "held_out_before", tooltip="Another judge's scores of the same ones as before."),
                inp(AIGC_SCORES.Input, "held_out_after", tooltip="That other judge's scores of the result."),
                inp(
                    io.Float.Input,
                    "significance",
                    default=0.05,
                    min=0.001,
                    max=0.5,
                    step=0.001,
                    tooltip="How often chance alone may look like a rise or a fall. The tests' draws are fixed: equal scores "
                    "give the equal verdict.",
                ),
                inp(io.Image.Input, "image_before", optional=True, tooltip="To measure the diversity before."),
                inp(io.Image.Input, "image_after", optional=True, tooltip="To measure the diversity after."),
                inp(io.Latent.Input, "latents_before", optional=True, tooltip="The same by latents."),
                inp(io.Latent.Input, "latents_after", optional=True, tooltip="The same by latents."),
            ],
            outputs=[
                io.String.Output("out_verdict", display_name="verdict", tooltip="What both judges say, with numbers."),
                io.Boolean.Output("out_hacked", display_name="hacked", tooltip="Whether the gain is none."),
                io.Float.Output("out_optimised", display_name="optimised gain", tooltip="Mean after minus before."),
                io.Float.Output("out_held_out", display_name="held-out gain", tooltip="Mean after minus before."),
            ],
        )

    @classmethod
    def execute(
        cls,
        optimised_before: Any,
        optimised_after: Any,
        held_out_before: Any,
        held_out_after: Any,
        significance: float,
        image_before: Any = None,
        image_after: Any = None,
        latents_before: Any = None,
        latents_after: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines.score import panel, sets

        verdict = panel.judge(
            (optimised_before, optimised_after), (held_out_before, held_out_after), level=significance
        )
        pairs = ((image_before, image_after), (latents_before, latents_after))
        seen = next((pair for pair in pairs if pair[0] is not None and pair[1] is not None), ())
        table = panel.table(verdict, [sets.diversity(x) for x in seen])
        gains = verdict.optimised.gain, verdict.held_out.gain
        return io.NodeOutput(table, verdict.hacked, *gains, ui={"text": (table,)})
