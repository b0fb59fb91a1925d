"""Pictures and spoken lines to a video: each picture stays as long as its line is heard."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema, video


class TalkingSlides(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_TalkingSlides",
            display_name="Talking Slides",
            category="AIGC/video",
            description="Makes a video of pictures and sounds: picture 1 stays while sound 1 is heard, then comes picture 2. "
            "A line of Speak each, or any other sounds.",
            search_aliases=["slideshow", "presentation", "narration", "voice over", "audio book", "hold", "explainer"],
            is_input_list=True,
            inputs=[
                inp(
                    io.Image.Input, "image",
                    tooltip="A picture for each sound, in their order; or a single one for all of them.",
                ),
                inp(
                    io.Audio.Input, "audio",
                    tooltip="The sounds: Speak with one_per_line gives one a line. Those of a batch follow one another.",
                ),
                inp(
                    io.Float.Input, "pause", default=0.4, min=0.0, max=3600.0, step=0.1,
                    tooltip="Seconds of silence after each sound; up to a frame more, since slides have whole frames.",
                ),
                inp(
                    io.Float.Input, "fps", default=8.0, min=1.0, max=120.0, step=1.0,
                    tooltip="Frames a second. 8 is enough for pictures that stand still.",
                ),
            ],
            outputs=[
                io.Video.Output("out_video", display_name="video", tooltip="Pictures and sound, for Save Video."),
                io.Image.Output("out_image", display_name="image", tooltip="Its frames: each picture as often as it is shown."),
                io.Audio.Output("out_audio", display_name="audio", tooltip="Its sound, exactly as long as the frames."),
                io.String.Output("out_report", display_name="report", tooltip="When each picture comes and goes."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, image: list[Any], audio: list[Any], pause: list[float], fps: list[float]) -> io.NodeOutput:
        from ..pipelines import media

        sounds = [media.heard(one, f"sound {n}") for n, one in enumerate(audio, 1)]
        how = {"fps": fps[0], "pause": pause[0], "scratch": _host.runtime().scratch}
        clip, report = media.slideshow(media.one_batch(image), sounds, **how)
        return io.NodeOutput(video(clip), clip.frames, clip.audio, report)
