"""Guiders: other ways to weigh the prompt than a model's own."""

from __future__ import annotations

from ._api import Node, inp, io, schema
from ._sockets import AIGC_GUIDER


class Guider(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import guiders

        return schema(
            node_id="AIGC_Guider",
            display_name="Guider",
            category="AIGC/sample",
            description="Another way to follow the prompt, for the guider input of Sample. How strongly is still "
            "Sample's cfg.",
            search_aliases=["cfg", "apg", "slg", "pag", "seg", "tcfg", "guidance", "zero star"],
            inputs=[
                inp(
                    io.Combo.Input,
                    "guider",
                    options=guiders.names(),
                    default="adaptive projected",
                    tooltip="How the two predictions, with the prompt and without, are combined. Perturbed attention, "
                    "skip layer and smoothed energy ask the model a third time.",
                ),
                inp(
                    io.Float.Input,
                    "rescale",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much of the natural contrast to restore; helps where a high cfg burns colours.",
                ),
                inp(
                    io.Float.Input,
                    "start",
                    default=0.0,
                    min=0.0,
                    max=0.99,
                    step=0.01,
                    tooltip="The part of the steps after which it acts: 0 from the first step on.",
                ),
                inp(
                    io.Float.Input,
                    "stop",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The part of the steps after which it no longer acts: 1 for all steps. With skip layer, 0.2 "
                    "is usual.",
                ),
                inp(
                    io.Float.Input,
                    "perturbation",
                    default=2.8,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="The strength of the third term, for guiders that perturb layers; the others leave it.",
                ),
                inp(
                    io.String.Input,
                    "layers",
                    default="",
                    tooltip="The transformer blocks to perturb, by number from 0, such as 7, 8, 9. Empty: the middle one.",
                ),
            ],
            outputs=[
                AIGC_GUIDER.Output("out_guider", display_name="guider", tooltip="For the guider input of Sample.")
            ],
        )

    @classmethod
    def execute(
        cls, guider: str, rescale: float, start: float, stop: float, perturbation: float, layers: str
    ) -> io.NodeOutput:
        from ..pipelines import guiders

        chosen = guiders.layers_of(layers)
        return io.NodeOutput(guiders.Guider(guider, rescale, start, stop, perturbation, chosen))
