"""Words set in type on pictures: slogans, captions, titles."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema


class SetType(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import lettering

        return schema(
            node_id="AIGC_SetType",
            display_name="Set Type",
            category="AIGC/image",
            description="Sets a text on pictures, as large as it fits: real letters, where a model would draw something like them. "
            "English, Chinese and whatever else a font has.",
            search_aliases=["text overlay", "caption", "title", "poster", "slogan", "typography", "draw text"],
            inputs=[
                inp(io.Image.Input, "image", tooltip="The pictures; each gets the text."),
                inp(
                    io.String.Input, "text", default="", multiline=True,
                    tooltip="What is set. It is broken into lines to fill the width; your own line breaks stay. Empty: as it is.",
                ),
                inp(
                    io.Combo.Input, "place", options=list(lettering.PLACES), default=lettering.PLACES[0],
                    tooltip="below: on a strip that is added, so that nothing of the picture is covered.",
                ),
                inp(
                    io.Float.Input, "share", default=0.3, min=0.05, max=1.0, step=0.05,
                    tooltip="The most of the picture's height that the text takes.",
                ),
                inp(io.Int.Input, "size", default=0, min=0, max=2000, tooltip="Of the letters in pixels; 0: as large as they fit."),
                inp(
                    io.String.Input, "colour", default="auto",
                    tooltip="A name or #rrggbb; auto: black on light, white on dark.",
                ),
                inp(
                    io.Combo.Input, "back", options=list(lettering.BACKS), default=lettering.BACKS[0],
                    tooltip="outline: around each letter. band: a veil behind the text.",
                ),
                inp(
                    io.String.Input, "font", default="",
                    tooltip="A file's name in models/fonts, or a path. Empty: the first font with every character; for Latin "
                    "letters the same on every machine.",
                ),
                inp(
                    io.Boolean.Input, "one_per_line", default=False,
                    tooltip="Line n of the text goes on picture n, for storyboards.",
                ),
            ],
            outputs=[io.Image.Output("out_image", display_name="image", tooltip="The pictures with the text.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, image: Any, text: str, **style: Any) -> io.NodeOutput:
        from ..pipelines import lettering

        return io.NodeOutput(lettering.lettered(image, text, lettering.Style(**style), _host.font_folders()))
