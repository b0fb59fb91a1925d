"""Tools for sound that the host has not: a test tone, a picture of it, a mix, a loudness."""

from __future__ import annotations

from typing import Any

from ._api import Node, inp, io, schema

GAIN = "How much louder or quieter in dB; 0 leaves it. 6 is about twice the amplitude."
OFFSET = "Seconds of the mix before it begins."
FADE = "Seconds in which it comes, and goes at its end. 0 is off."


class MakeTone(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_MakeTone",
            display_name="Make Tone",
            category="AIGC/audio",
            description="Makes a sound by formula, to try a chain of sound with: no model and no file is needed.",
            search_aliases=["sine", "sweep", "noise", "test signal", "beep"],
            inputs=[
                inp(
                    io.Combo.Input, "kind", options=list(menus.TONES), default=menus.TONES[0],
                    tooltip="sine; sweep: four octaves up; pluck: a major chord, note by note; noise: pink, without a frequency.",
                ),
                inp(io.Float.Input, "seconds", default=3.0, min=0.01, max=3600.0, step=0.1, tooltip="How long it is."),
                inp(
                    io.Float.Input, "frequency", default=440.0, min=1.0, max=24000.0, step=1.0,
                    tooltip="In Hz; where a sweep begins, and the lowest note of a chord.",
                ),
                inp(
                    io.Float.Input, "level", default=-12.0, min=-100.0, max=0.0, step=0.5,
                    tooltip="Of the highest sample, in dBFS; 0 is the loudest there is.",
                ),
            ],
            outputs=[io.Audio.Output("out_audio", display_name="audio", tooltip="The sound, mono at 48000 Hz.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, kind: str, seconds: float, frequency: float, level: float) -> io.NodeOutput:
        from ..pipelines import media
        from ..pipelines.media import tones

        return io.NodeOutput(media.emitted(tones.tone(kind, seconds=seconds, frequency=frequency, level=level)))


class ShowSpectrogram(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="AIGC_ShowSpectrogram",
            display_name="Show Spectrogram",
            category="AIGC/audio",
            description="Draws a sound: what is in it at every moment, from low to high, with marks in Hz and seconds.",
            search_aliases=["mel", "frequency", "waveform", "audio picture", "visualise"],
            inputs=[
                inp(io.Audio.Input, "audio", tooltip="The sound; each of a batch gets a picture."),
                inp(io.Int.Input, "width", default=1024, min=320, max=8192, tooltip="Width of the picture in pixels."),
                inp(io.Int.Input, "height", default=512, min=200, max=4096, tooltip="Height of the picture in pixels."),
            ],
            outputs=[io.Image.Output("out_image", display_name="image", tooltip="A picture a sound.")],
        )

    @classmethod
    def execute(cls, audio: Any, width: int, height: int) -> io.NodeOutput:
        from ..pipelines import media
        from ..pipelines.media import spectrogram

        return io.NodeOutput(spectrogram.spectrograms(media.heard(audio), width=width, height=height))


class MixAudio(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_MixAudio",
            display_name="Mix Audio",
            category="AIGC/audio",
            description="Lays two to four sounds over each other, each with its gain, start and fades; nothing clips.",
            search_aliases=["merge", "overlay", "ducking", "fade", "voice over", "soundtrack"],
            inputs=[
                inp(io.Audio.Input, "audio_1", tooltip="The first sound: a voice, if others are to be turned down under it."),
                inp(io.Float.Input, "gain_1", default=0.0, min=-60.0, max=40.0, step=0.5, tooltip=GAIN),
                inp(io.Float.Input, "offset_1", default=0.0, min=0.0, max=21600.0, step=0.1, tooltip=OFFSET),
                inp(io.Float.Input, "fade_1", default=0.0, min=0.0, max=600.0, step=0.1, tooltip=FADE),
                inp(io.Audio.Input, "audio_2", tooltip="The second sound: music, for example."),
                inp(io.Float.Input, "gain_2", default=0.0, min=-60.0, max=40.0, step=0.5, tooltip=GAIN),
                inp(io.Float.Input, "offset_2", default=0.0, min=0.0, max=21600.0, step=0.1, tooltip=OFFSET),
                inp(io.Float.Input, "fade_2", default=0.0, min=0.0, max=600.0, step=0.1, tooltip=FADE),
                inp(
                    io.Float.Input, "duck", default=0.0, min=0.0, max=60.0, step=0.5,
                    tooltip="How many dB the others go down while the first one is heard. 0 is off; 12 suits music under a voice.",
                ),
                inp(
                    io.Combo.Input, "end", options=list(menus.ENDS), default=menus.ENDS[0],
                    tooltip="longest: the mix ends with the last sound. first: it ends with the first sound, the others are cut.",
                ),
                inp(io.Audio.Input, "audio_3", optional=True, tooltip="A third sound."),
                inp(io.Float.Input, "gain_3", default=0.0, min=-60.0, max=40.0, step=0.5, optional=True, tooltip=GAIN),
                inp(io.Float.Input, "offset_3", default=0.0, min=0.0, max=21600.0, step=0.1, optional=True, tooltip=OFFSET),
                inp(io.Float.Input, "fade_3", default=0.0, min=0.0, max=600.0, step=0.1, optional=True, tooltip=FADE),
                inp(io.Audio.Input, "audio_4", optional=True, tooltip="A fourth sound."),
                inp(io.Float.Input, "gain_4", default=0.0, min=-60.0, max=40.0, step=0.5, optional=True, tooltip=GAIN),
                inp(io.Float.Input, "offset_4", default=0.0, min=0.0, max=21600.0, step=0.1, optional=True, tooltip=OFFSET),
                inp(io.Float.Input, "fade_4", default=0.0, min=0.0, max=600.0, step=0.1, optional=True, tooltip=FADE),
            ],
            outputs=[
                io.Audio.Output("out_audio", display_name="audio", tooltip="The mix, at the highest of the sample rates."),
                io.String.Output("out_info", display_name="info", tooltip="What was done, also whether the mix was turned down."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, duck: float, end: str, **inputs: Any) -> io.NodeOutput:
        from ..pipelines import media
        from ..pipelines.media import mixing

        tracks = [
            mixing.Track(
                media.heard(inputs[f"audio_{n}"], f"audio_{n}"),
                *(inputs.get(f"{name}_{n}", 0.0) for name in ("gain", "offset", "fade")),
            )
            for n in range(1, 5)
            if n <= 2 or inputs.get(f"audio_{n}") is not None
        ]
        sound, info = mixing.mixed(tracks, duck=duck, end=end)
        return io.NodeOutput(media.emitted(sound), info)


class NormaliseLoudness(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_NormaliseLoudness",
            display_name="Normalise Loudness",
            category="AIGC/audio",
            description="Brings a sound to a loudness as people hear it (ITU-R BS.1770), with its peaks under a ceiling.",
            search_aliases=["lufs", "lkfs", "ebu r128", "volume", "level", "limiter", "true peak", "normalize"],
            inputs=[
                inp(io.Audio.Input, "audio", tooltip="The sound; each of a batch is brought there by itself."),
                inp(
                    io.Float.Input, "loudness", default=-14.0, min=-60.0, max=-5.0, step=0.5,
                    tooltip="In LUFS: -14 for music and video on the web, -16 for podcasts, -23 for broadcasting in Europe.",
                ),
                inp(
                    io.Float.Input, "ceiling", default=-1.0, min=-20.0, max=0.0, step=0.1,
                    tooltip="The highest that the wave may get, between samples too, in dBTP. -1 leaves room for MP3 and AAC.",
                ),
                inp(
                    io.Combo.Input, "peaks", options=list(menus.PEAKS), default=menus.PEAKS[0],
                    tooltip="limit: turn down what goes beyond the ceiling, so that the loudness is reached. keep: leave the "
                    "wave's form, and stay quieter where peaks would go beyond.",
                ),
            ],
            outputs=[
                io.Audio.Output("out_audio", display_name="audio", tooltip="The sound at that loudness."),
                io.String.Output("out_info", display_name="info", tooltip="Loudness and peak before and after, a line a sound."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, audio: Any, loudness: float, ceiling: float, peaks: str) -> io.NodeOutput:
        from ..pipelines import media
        from ..pipelines.media.loudness import normalised

        sound, lines = normalised(media.heard(audio), loudness, ceiling, limit=peaks == "limit")
        return io.NodeOutput(media.emitted(sound), "\n".join(lines))
