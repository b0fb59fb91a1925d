"""Architectures on the canvas: what is to be trained, before there are any weights."""

from __future__ import annotations

from typing import Any

from ._api import Node, inp, io, schema
from ._sockets import AIGC_DATASET, AIGC_DESIGN


class DesignGan(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_DesignGan",
            display_name="Design GAN",
            category="AIGC/train",
            description="Chooses a generator and its discriminator, and how large they are. Train GAN then trains them.",
            search_aliases=["architecture", "dcgan", "stylegan", "r3gan", "generator", "discriminator"],
            inputs=[
                inp(
                    io.Combo.Input, "kind", options=list(menus.GANS), default=menus.GANS[0],
                    tooltip="stylegan2: styles that can be mixed and edited. r3gan: simple and stable. dcgan: the fastest.",
                ),
                inp(
                    io.Combo.Input, "resolution", options=[str(side) for side in menus.SIDES], default="64",
                    tooltip="Pixels a side of what it draws. Up to 64 can be trained on a CPU.",
                ),
                inp(
                    io.Int.Input, "width", default=0, min=0, max=1024,
                    tooltip="Channels at the full resolution, doubled with each halving; 0 chooses by the resolution.",
                ),
                inp(
                    io.Int.Input, "classes", default=0, min=0, max=100000,
                    tooltip="Classes to draw on demand; 0 for none. A connected dataset's labels count instead.",
                ),
                inp(
                    AIGC_DATASET.Input, "dataset", optional=True,
                    tooltip="Takes the number of classes from its labels.",
                ),
            ],
            outputs=[
                AIGC_DESIGN.Output("out_design", display_name="design", tooltip="For Train GAN."),
                io.String.Output("out_report", display_name="report", tooltip="Layers and weights of both networks."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, kind: str, resolution: str, width: int, classes: int, dataset: Any = None) -> io.NodeOutput:
        from ..pipelines.train import designs

        count = classes if dataset is None else len(dataset.labels)
        design = designs.gan(kind, int(resolution), width, count)
        return io.NodeOutput(design, designs.told(design))
