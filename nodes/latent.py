"""Where sampling starts: empty latents in the model's shape, or a picture or a sound encoded."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_MODEL


class EmptyLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_EmptyLatents",
            display_name="Empty Latents",
            category="AIGC/latent",
            description="Empty latents in the shape the model wants: a picture, a video or a sound. 0 "
            "means the model's own.",
            search_aliases=["size", "resolution", "batch"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model that decides the latents' shape."),
                inp(
                    io.Int.Input,
                    "width",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="Width in pixels. 0: the model's own. For video the nearest that fits is taken.",
                ),
                inp(
                    io.Int.Input,
                    "height",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="Height in pixels. 0: the model's own. For video the nearest that fits is taken.",
                ),
                inp(
                    io.Int.Input,
                    "frames",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="For video: how many frames, the nearest number that the model makes. 0: its own number. "
                    "Pictures and sounds ignore it.",
                ),
                inp(
                    io.Float.Input,
                    "seconds",
                    default=0.0,
                    min=0.0,
                    max=3600.0,
                    step=0.1,
                    tooltip="For sound: its length in seconds. 0: the model's own length. Pictures and "
                    "video ignore it.",
                ),
                inp(
                    io.Int.Input,
                    "batch_size",
                    default=1,
                    min=1,
                    max=4096,
                    tooltip="How many to make at once. Number i uses seed + i, so each can be made again alone.",
                ),
            ],
            outputs=[
                io.Latent.Output("out_latents", display_name="latents", tooltip="Empty latents, for Sample."),
                io.String.Output(
                    "out_info",
                    display_name="info",
                    tooltip="Size, frames and seconds; and what was rounded to what a model of video makes.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model: Any, width: int, height: int, frames: int, seconds: float, batch_size: int
    ) -> io.NodeOutput:
        from ..pipelines import stages

        asked = {"width": width, "height": height, "frames": frames}
        made = stages.empty_latents(model, **asked, seconds=seconds, batch_size=batch_size, runtime=_host.runtime())
        return io.NodeOutput(made, stages.told(model, made, **asked))


class EncodeImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_EncodeImage",
            display_name="Encode Image",
            category="AIGC/latent",
            description="Turns pictures into latents with the model's own autoencoder, to start sampling from them.",
            search_aliases=["vae encode", "img2img", "image to image"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose autoencoder is used."),
                inp(io.Image.Input, "image", tooltip="The pictures to encode."),
            ],
            outputs=[
                io.Latent.Output("out_latents", display_name="latents", tooltip="The pictures as latents, for Sample.")
            ],
        )

    @classmethod
    def execute(cls, model: Any, image: Any) -> io.NodeOutput:
        from ..pipelines import stages

        return io.NodeOutput(stages.encode_image(model, image, runtime=_host.runtime()))


class EncodeAudio(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_EncodeAudio",
            display_name="Encode Audio",
            category="AIGC/latent",
            description="Turns a sound into latents with a sound model's own autoencoder, to vary it (denoise below 1) or to make "
            "a part of it anew.",
            search_aliases=["vae encode audio", "audio to audio", "inpaint audio", "repaint"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The sound model whose autoencoder is used."),
                inp(
                    io.Audio.Input, "audio",
                    tooltip="The sound to encode; its rate and channels are brought to the model's.",
                ),
                inp(
                    io.Float.Input, "start_seconds", default=0.0, min=0.0, max=36000.0, step=0.1,
                    tooltip="Where the part begins that Sample makes anew; the rest is kept. With both at 0 there is no such part.",
                ),
                inp(
                    io.Float.Input, "end_seconds", default=0.0, min=0.0, max=36000.0, step=0.1,
                    tooltip="Where it ends. 0: where the sound ends.",
                ),
            ],
            outputs=[
                io.Latent.Output("out_latents", display_name="latents", tooltip="The sound as latents, for Sample.")
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, model: Any, audio: Any, start_seconds: float, end_seconds: float) -> io.NodeOutput:
        from ..pipelines import stages

        part = {"start": start_seconds, "end": end_seconds}
        return io.NodeOutput(stages.encode_audio(model, audio, **part, runtime=_host.runtime()))
