"""Styles: what a GAN draws from, as wires. Draw, map, mix, walk, edit."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_GAN, AIGC_STYLE

GAN = "The GAN that the styles are for."
LAYERS = "Which layers, from 0, such as 0-3, 4-, or 0, 5-7:0.5 with a strength. The first shape, the last colour. Empty: all."


class SampleStyles(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_SampleStyles",
            display_name="Sample Styles",
            category="AIGC/gan",
            description="Draws the noise that a GAN makes pictures from: a style for each picture.",
            search_aliases=["latent", "noise", "z", "seed", "stylegan"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(
                    io.Int.Input, "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                    tooltip="Style i is drawn from seed + i, in any batch the same.",
                ),
                inp(io.Int.Input, "count", default=4, min=1, max=4096, tooltip="How many styles."),
                inp(
                    io.Int.Input, "label", default=-1, min=-1, max=100000,
                    tooltip="The class of all, for a GAN with classes; -1 draws each from its seed.",
                ),
                inp(
                    io.Float.Input, "truncation", default=1.0, min=0.0, max=2.0, step=0.05,
                    tooltip="Below 1 pulls towards the average: more likely, less varied. Needs a mapping network; 1 is off.",
                ),
            ],
            outputs=[AIGC_STYLE.Output("out_style", display_name="style", tooltip="The styles.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, gan: Any, seed: int, count: int, label: int, truncation: float) -> io.NodeOutput:
        from ..pipelines.gan import styles

        style = styles.sample(gan, seed=seed, count=count, label=label)
        if truncation != 1:
            style = styles.mapped(gan, style, truncation=truncation, runtime=_host.runtime())
        return io.NodeOutput(style)


class MapStyles(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_MapStyles",
            display_name="Map Styles",
            category="AIGC/gan",
            description="Takes styles through the mapping network to w, where straight lines and layers make sense, and truncates.",
            search_aliases=["truncation", "psi", "w", "mapping", "stylegan"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(AIGC_STYLE.Input, "style", tooltip="Styles; those that are mapped already are truncated as they are."),
                inp(
                    io.Float.Input, "truncation", default=0.7, min=-2.0, max=2.0, step=0.05,
                    tooltip="1 is off. 0 is the average for every seed. Below 1: more likely, less varied; below 0: the opposite.",
                ),
                inp(
                    io.Int.Input, "cutoff", default=0, min=0, max=100,
                    tooltip="Only the first so many layers are truncated: shape, not colour. 0: all.",
                ),
            ],
            outputs=[AIGC_STYLE.Output("out_style", display_name="style", tooltip="The styles, mapped.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, gan: Any, style: Any, truncation: float, cutoff: int) -> io.NodeOutput:
        from ..pipelines.gan import styles

        return io.NodeOutput(styles.mapped(gan, style, truncation=truncation, cutoff=cutoff, runtime=_host.runtime()))


class MixStyles(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_MixStyles",
            display_name="Mix Styles",
            category="AIGC/gan",
            description="Gives styles a the layers of styles b: the shape of one and the colours of another.",
            search_aliases=["style mixing", "blend", "crossover", "stylegan"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(AIGC_STYLE.Input, "a", tooltip="What the other layers are of: as many as b, or one."),
                inp(AIGC_STYLE.Input, "b", tooltip="What the named layers are of: as many as a, or one."),
                inp(io.String.Input, "layers", default="4-", tooltip=LAYERS),
                inp(
                    io.Float.Input, "strength", default=1.0, min=-2.0, max=3.0, step=0.05,
                    tooltip="How far to b: 0 is a, 1 is b. Beyond 1 goes on past b.",
                ),
            ],
            outputs=[AIGC_STYLE.Output("out_style", display_name="style", tooltip="The mixed styles.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, gan: Any, a: Any, b: Any, layers: str, strength: float) -> io.NodeOutput:
        from ..pipelines.gan import styles

        return io.NodeOutput(styles.mix(gan, a, b, layers=layers, strength=strength, runtime=_host.runtime()))


class WalkStyles(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_WalkStyles",
            display_name="Walk Styles",
            category="AIGC/gan",
            description="Walks from style to style, a style for each frame of a video; as a loop it has no seam.",
            search_aliases=["interpolation", "latent walk", "slerp", "morph", "video", "loop"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(AIGC_STYLE.Input, "style", tooltip="The key styles, two or more, in their order."),
                inp(
                    io.Int.Input, "frames", default=48, min=2, max=100000, tooltip="How many frames the whole walk has."
                ),
                inp(
                    io.Boolean.Input,
                    "loop",
                    default=True,
                    tooltip="Go back to the first style at the end, so that the video can repeat without a jump.",
                ),
                inp(
                    io.Boolean.Input,
                    "even",
                    default=True,
                    tooltip="One speed in what is seen: 16 pictures of each leg are made first to measure it. Off: one speed in "
                    "the style.",
                ),
                inp(AIGC_STYLE.Input, "then", optional=True, tooltip="More key styles, after the first ones."),
            ],
            outputs=[AIGC_STYLE.Output("out_style", display_name="style", tooltip="A style a frame.")],
        )

    @classmethod
    def execute(cls, gan: Any, style: Any, frames: int, loop: bool, even: bool, then: Any = None) -> io.NodeOutput:
        from ..pipelines.gan import generate, styles

        keys = style if then is None else styles.joined(style, then)
        distance = generate.seen(gan, runtime=_host.runtime()) if even else None
        return io.NodeOutput(styles.walk(gan, keys, frames=frames, loop=loop, distance=distance))


class EditStyles(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_EditStyles",
            display_name="Edit Styles",
            category="AIGC/gan",
            description="Moves styles along a direction that changes one thing, such as pose or colour; found without any labels.",
            search_aliases=["sefa", "ganspace", "pca", "direction", "slider", "stylegan"],
            inputs=[
                inp(AIGC_GAN.Input, "gan", tooltip=GAN),
                inp(AIGC_STYLE.Input, "style", tooltip="The styles to move."),
                inp(
                    io.Combo.Input,
                    "method",
                    options=list(menus.DIRECTIONS),
                    default=menus.DIRECTIONS[0],
                    tooltip="sefa: what changes the layers most, read off their weights. pca: where w varies most; needs a mapping "
                    "network.",
                ),
                inp(
                    io.Int.Input, "index", default=0, min=0, max=10000, tooltip="Which direction, the strongest first."
                ),
                inp(
                    io.Float.Input, "strength", default=2.0, min=-100.0, max=100.0, step=0.1,
                    tooltip="How far, in standard deviations; 0 is off, a negative number goes the other way.",
                ),
                inp(io.String.Input, "layers", default="", tooltip=LAYERS),
            ],
            outputs=[
                AIGC_STYLE.Output("out_style", display_name="style", tooltip="The moved styles."),
                io.String.Output("out_info", display_name="info", tooltip="How much each direction explains."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, gan: Any, style: Any, method: str, index: int, strength: float, layers: str) -> io.NodeOutput:
        from ..pipelines.gan import directions

        out, found = directions.edit(
            gan, style, method=method, index=index, strength=strength, layers=layers, runtime=_host.runtime()
        )
        return io.NodeOutput(out, directions.told(found, index))
