"""Pictures that steer: control nets and T2I-Adapters, and IP-Adapters, on the conditioning."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_MODEL


class AddControl(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import sources

        return schema(
            node_id="AIGC_AddControl",
            display_name="Add Control",
            category="AIGC/condition",
            description="Makes the result follow a picture of edges, depth, a pose and the like, with a control net or a "
            "T2I-Adapter. Several in a row work together.",
            search_aliases=["controlnet", "control net", "t2i adapter", "canny", "depth", "openpose", "tile"],
            inputs=[
                inp(AIGC_CONDITIONING.Input, "conditioning", tooltip="The encoded prompt to add to."),
                inp(
                    io.Combo.Input,
                    "control_net",
                    options=sources.list_networks(_host.roots().controls) or ["none"],
                    tooltip="A file or diffusers folder from the host's models/controlnet, made for the model's family.",
                ),
                inp(
                    io.Image.Input,
                    "image",
                    tooltip="The picture to follow, as the control net wants it: edges for canny, depth for depth. One for "
                    "all, or one for each of a batch.",
                ),
                inp(
                    io.Float.Input,
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How strongly to follow it. 0 is off, 1 as trained.",
                ),
                inp(
                    io.Float.Input,
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="The part of the steps after which it begins to act: 0 from the first step on.",
                ),
                inp(
                    io.Float.Input,
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="The part of the steps after which it no longer acts: 1 to the last step.",
                ),
                inp(
                    io.Int.Input,
                    "mode",
                    default=-1,
                    min=-1,
                    max=100,
                    optional=True,
                    tooltip="For control nets of many kinds (union): the number of the picture's kind, by the control net's "
                    "own page. -1 for all others.",
                ),
                inp(
                    io.String.Input,
                    "path",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: a .safetensors file or diffusers folder on this machine. Wins over the "
                    "list when filled.",
                ),
            ],
            outputs=[
                AIGC_CONDITIONING.Output(
                    "out_conditioning",
                    display_name="conditioning",
                    tooltip="The conditioning with this control, for Sample.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        conditioning: Any,
        control_net: str,
        image: Any,
        strength: float,
        start_percent: float,
        end_percent: float,
        mode: int = -1,
        path: str = "",
    ) -> io.NodeOutput:
        from ..pipelines import loading, stages
        from ..pipelines.payloads import Control

        found = loading.find_network(path or control_net, _host.roots().controls, "control net")
        control = Control(found, image, strength, start_percent, end_percent, mode)
        return io.NodeOutput(stages.add_control(conditioning, control))


class AddReference(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import sources

        return schema(
            node_id="AIGC_AddReference",
            display_name="Add Reference",
            category="AIGC/condition",
            description="Takes over the content or style of a picture with an IP-Adapter. Only the image encoder is loaded "
            "here.",
            search_aliases=["ip adapter", "ipadapter", "style transfer", "image prompt"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model that the conditioning was made with."),
                inp(AIGC_CONDITIONING.Input, "conditioning", tooltip="The encoded prompt to add to."),
                inp(
                    io.Combo.Input,
                    "adapter",
                    options=sources.list_networks(_host.roots().references) or ["none"],
                    tooltip="An IP-Adapter from the host's models/ipadapter, made for the model's family.",
                ),
                inp(
                    io.Combo.Input,
                    "image_encoder",
                    options=sources.list_networks(_host.roots().image_encoders) or ["none"],
                    tooltip="The encoder that the adapter was trained with, from the host's models/clip_vision.",
                ),
                inp(io.Image.Input, "image", tooltip="One picture to take over from."),
                inp(
                    io.Float.Input,
                    "strength",
                    default=0.6,
                    min=0.0,
                    max=5.0,
                    step=0.01,
                    tooltip="How strongly to take it over. 0 is off, 1 as trained.",
                ),
                inp(
                    io.String.Input,
                    "path",
                    default="",
                    optional=True,
                    tooltip="Instead of the list: an adapter's .safetensors file on this machine. Wins over the list when "
                    "filled.",
                ),
            ],
            outputs=[
                AIGC_CONDITIONING.Output(
                    "out_conditioning",
                    display_name="conditioning",
                    tooltip="The conditioning with this reference, for Sample.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        conditioning: Any,
        adapter: str,
        image_encoder: str,
        image: Any,
        strength: float,
        path: str = "",
    ) -> io.NodeOutput:
        from ..pipelines import loading, stages

        roots, runtime = _host.roots(), _host.runtime()
        found = loading.find_network(path or adapter, roots.references, "IP-Adapter")
        encoder = loading.find_network(image_encoder, roots.image_encoders, "image encoder")
        added = stages.add_reference(model, conditioning, found, encoder, image, strength=strength, runtime=runtime)
        return io.NodeOutput(added)
