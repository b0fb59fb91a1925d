"""Choosing by a bar: what passes goes on, the rest apart."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_SCORES


class Gate(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_Gate",
            display_name="Gate",
            category="AIGC/score",
            description="Lets pass what scores at least a threshold: pictures, latents, masks and sounds stay in step, in their "
            "own order.",
            search_aliases=["threshold", "filter", "reject", "select"],
            inputs=[
                inp(AIGC_SCORES.Input, "scores", tooltip="From Score."),
                inp(
                    io.Combo.Input,
                    "by",
                    options=["score", "probability", "percentile"],
                    default="score",
                    tooltip="What is compared: the score itself, the probability of real (0 to 1) of a calibrated judge, or "
                    "the percentile among its real ones (0 to 100).",
                ),
                inp(
                    io.Float.Input,
                    "threshold",
                    default=0.0,
                    min=-1e6,
                    max=1e6,
                    step=0.01,
                    tooltip="What is as high or higher passes.",
                ),
                inp(
                    io.Combo.Input,
                    "on_empty",
                    options=["block", "best", "error"],
                    default="block",
                    tooltip="When nothing passes. block: what hangs on the passed outputs stops quietly. best: the best one "
                    "passes. error: the run ends.",
                ),
                inp(io.Image.Input, "image", optional=True, tooltip="The pictures that were scored, or belong to it."),
                inp(
                    io.Latent.Input, "latents", optional=True, tooltip="The latents that were scored, or belong to it."
                ),
                inp(io.Mask.Input, "mask", optional=True, tooltip="One mask an item."),
                inp(io.Audio.Input, "audio", optional=True, tooltip="The sounds that were scored, or belong to it."),
            ],
            outputs=[
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="The scores of what passes."),
                io.Image.Output("out_image", display_name="image", tooltip="The pictures that pass."),
                io.Latent.Output("out_latents", display_name="latents", tooltip="The latents that pass."),
                io.Mask.Output("out_mask", display_name="mask", tooltip="The masks that pass."),
                io.Audio.Output("out_audio", display_name="audio", tooltip="The sounds that pass."),
                AIGC_SCORES.Output(
                    "out_rest_scores", display_name="rest of scores", tooltip="The scores of the others."
                ),
                io.Image.Output("out_rest_image", display_name="rest of image", tooltip="The other pictures."),
                io.Latent.Output("out_rest_latents", display_name="rest of latents", tooltip="The other latents."),
                io.Mask.Output("out_rest_mask", display_name="rest of mask", tooltip="The other masks."),
                io.Audio.Output("out_rest_audio", display_name="rest of audio", tooltip="The other sounds."),
                io.Int.Output("out_count", display_name="count", tooltip="How many pass."),
                io.String.Output("out_indices", display_name="indices", tooltip="Their places, from 0."),
            ],
        )

    @classmethod
    def execute(
        cls,
        scores: Any,
        by: str,
        threshold: float,
        on_empty: str,
        image: Any = None,
        latents: Any = None,
        mask: Any = None,
        audio: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines.score import choosing

        passed, rest = choosing.gated(scores, threshold, by, on_empty)
        count, given = len(scores.values), (scores, image, latents, mask, audio)
        wires = []
        for places in (passed, rest):
            parts = [choosing.taken(x, places, count) for x in given]
            # What did not come in, or where none is left, stops quietly what hangs on it.
            wires += [_host.stop_quietly() if not places or choosing.nothing(x) else x for x in parts]
        return io.NodeOutput(*wires, len(passed), ", ".join(map(str, passed)))
