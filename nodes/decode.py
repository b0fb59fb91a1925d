"""Latents to what people look at and listen to. Only the autoencoder is loaded."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema, video
from ._sockets import AIGC_MODEL


class DecodeImage(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_DecodeImage",
            display_name="Decode Image",
            category="AIGC/decode",
            description="Turns latents into pictures with the model's own autoencoder.",
            search_aliases=["vae decode"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose autoencoder is used."),
                inp(
                    io.Latent.Input,
                    "latents",
                    tooltip="Latents from Sample, or from any node that speaks this model's latents.",
                ),
            ],
            outputs=[io.Image.Output("out_image", display_name="image", tooltip="The decoded pictures.")],
        )

    @classmethod
    def execute(cls, model: Any, latents: dict[str, Any]) -> io.NodeOutput:
        from ..pipelines import stages

        return io.NodeOutput(stages.decode_image(model, latents, runtime=_host.runtime()))


class DecodeVideo(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_DecodeVideo",
            display_name="Decode Video",
            category="AIGC/decode",
            description="Turns latents of a video model into frames, and into a video ready to be saved.",
            search_aliases=["vae decode", "frames"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose autoencoder is used."),
                inp(io.Latent.Input, "latents", tooltip="Latents from Sample, made with the same video model."),
                inp(
                    io.Float.Input,
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.1,
                    tooltip="Frames a second of the video. 0: the rate the model was trained for.",
                ),
            ],
            outputs=[
                io.Image.Output("out_frames", display_name="frames", tooltip="The frames as pictures."),
                io.Video.Output("out_video", display_name="video", tooltip="The frames as a video, for Save Video."),
                io.Float.Output("out_fps", display_name="fps", tooltip="Frames a second of that video."),
                io.Audio.Output(
                    "out_audio", display_name="audio",
                    tooltip="The sound that the model made with it (LTX-2), also in the video. Without one nothing behind it runs.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, model: Any, latents: dict[str, Any], fps: float) -> io.NodeOutput:
        from ..pipelines import media, stages

        frames, own_fps = stages.decode_video(model, latents, runtime=_host.runtime())
        rate = fps or own_fps
        sound = stages.decode_sound(model, latents, runtime=_host.runtime())
        clip = media.clip(frames, rate, sound and media.in_a_row(sound, len(frames), rate))
        return io.NodeOutput(clip.frames, video(clip), float(rate), clip.audio or _host.stop_quietly())


class DecodeAudio(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_DecodeAudio",
            display_name="Decode Audio",
            category="AIGC/decode",
            description="Turns latents of a sound model into sound.",
            search_aliases=["vae decode", "sound", "music"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose decoder is used."),
                inp(io.Latent.Input, "latents", tooltip="Latents from Sample, made with the same sound model."),
            ],
            outputs=[io.Audio.Output("out_audio", display_name="audio", tooltip="The decoded sound.")],
        )

    @classmethod
    def execute(cls, model: Any, latents: dict[str, Any]) -> io.NodeOutput:
        from ..pipelines import media, stages

        made = stages.decode_audio(model, latents, runtime=_host.runtime())
        return io.NodeOutput(media.audio(made["waveform"], made["sample_rate"]))
