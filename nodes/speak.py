"""Text to speech: a small model that comes from a package index, or any text-to-waveform model of transformers."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema


class Speak(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import speech

        return schema(
            node_id="AIGC_Speak",
            display_name="Speak",
            category="AIGC/audio",
            description="Speaks a text in English, Chinese or both with Kokoro-82M, which is downloaded once from a package "
            "index (66 MB); or in any language with a text-to-speech model of your own.",
            search_aliases=["tts", "text to speech", "voice", "kokoro", "say", "narrate", "vits", "bark"],
            inputs=[
                inp(
                    io.String.Input,
                    "text",
                    default="Hello! This voice was made on your own computer.",
                    multiline=True,
                    tooltip="What is said. Numbers, dates, times, money and units are read out. An empty line makes a longer "
                    "pause. Any length: it is cut at punctuation and spoken piece by piece.",
                ),
                inp(
                    io.Combo.Input,
                    "voice",
                    options=speech.names(),
                    default=speech.AUTO,
                    tooltip="a: American, b: British, z: Chinese; f: woman, m: man. auto: one of the text's main language. All "
                    "of them speak both languages. For Kokoro only: another model brings its own.",
                ),
                inp(
                    io.Float.Input,
                    "speed",
                    default=1.0,
                    min=0.5,
                    max=2.0,
                    step=0.05,
                    round=0.01,
                    tooltip="1 is the voice's own, 2 twice as fast. Kokoro and VITS follow it.",
                ),
                inp(
                    io.Combo.Input,
                    "language",
                    options=list(speech.LANGUAGES),
                    default="auto",
                    tooltip="How numbers and signs are read. auto: as the words around them; with a model of your own they are "
                    "then left as they are.",
                ),
                inp(
                    io.Int.Input,
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="For models that draw at random, such as VITS and Bark. Kokoro says the same thing always the same.",
                ),
                inp(
                    io.String.Input,
                    "model",
                    default="",
                    optional=True,
                    tooltip="Empty: Kokoro-82M. Else a folder or hub id of a text-to-waveform model of transformers, e.g. "
                    "facebook/mms-tts-fra; it is downloaded when it is not here.",
                ),
                inp(
                    io.Audio.Input,
                    "reference",
                    optional=True,
                    tooltip="A voice to imitate, for models that can (CSM, Dia, PocketTTS). Ask its owner first.",
                ),
                inp(
                    io.String.Input,
                    "reference_text",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What is said in the reference; CSM and Dia need it.",
                ),
                inp(
                    io.Boolean.Input,
                    "one_per_line",
                    default=False,
                    optional=True,
                    tooltip="Each line as a sound of its own, for Talking Slides; a node that takes one sound runs once for each.",
                ),
            ],
            outputs=[
                io.Audio.Output(
                    "out_audio",
                    display_name="audio",
                    is_output_list=True,
                    tooltip="One sound, mono; with one_per_line a list of them. Stopped: what was spoken; of lines nothing.",
                )
            ],
        )

    @classmethod
    def execute(cls, text: str, one_per_line: bool = False, **how: Any) -> io.NodeOutput:
        from ..pipelines import media, speech

        said = speech.lines(text) if one_per_line else [text]
        made = speech.speak_each(said, **how, **_host.speaking())
        return io.NodeOutput([media.audio(one["waveform"], one["sample_rate"]) for one in made])
