"""Motion for stills of the picture model that comes with the pack."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_MODEL


class AnimateLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_AnimateLatents",
            display_name="Animate Latents",
            category="AIGC/video",
            description="Sets the stills of the shipped picture model in motion: layers that learned from clips how things move "
            "give a latent a frame.",
            search_aliases=["motion module", "text to video", "image to video", "make-a-video", "animatediff", "clip"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model that the stills are from: the one that comes with the pack."),
                inp(io.Latent.Input, "latents", tooltip="The stills: from Sample, or a picture of 128 x 128 from Encode Image."),
                inp(
                    io.Combo.Input, "motion", options=list(menus.MOTIONS), default="bounce",
                    tooltip="How it moves. It fits what the still shows: swaying is about its foot, a pan goes as far as there is "
                    "room.",
                ),
                inp(
                    io.Int.Input, "frames", default=16, min=2, max=512,
                    tooltip="How many frames the whole motion has; 8 to 16 a second look right.",
                ),
                inp(
                    io.Float.Input, "strength", default=1.0, min=0.6, max=1.4, step=0.05,
                    tooltip="How far it goes: 1 as usual, 0.6 less, 1.4 more.",
                ),
                inp(
                    io.Boolean.Input, "loop", default=False,
                    tooltip="Leave out the last frame, so that sway, bounce and spin repeat without a halt.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "out_latents", display_name="latents", tooltip="The frames of each still one after another, for Decode Image."
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, model: Any, latents: dict[str, Any], **asked: Any) -> io.NodeOutput:
        from ..pipelines import stages

        return io.NodeOutput(
            stages.animate(model, latents, **asked, path=_host.motion_layers(), runtime=_host.runtime())
        )
