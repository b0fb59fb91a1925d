"""Music: a piece from a prompt, by a small model of our own that ships with the pack."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema


class ComposeMusic(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.music import performance, tune

        return schema(
            node_id="AIGC_ComposeMusic",
            display_name="Compose Music",
            category="AIGC/audio",
            description="Composes a tune from a prompt and plays it, with chords: a small model of our own writes it bar by bar, "
            "so that metre and key hold. Goes on from an opening, or from a melody that it hears.",
            search_aliases=["music", "melody", "tune", "jingle", "abc", "midi", "continuation", "audiolm", "musicgen"],
            inputs=[
                inp(
                    io.String.Input, "prompt", default="a happy waltz on the piano", multiline=True,
                    tooltip="Kind (waltz, reel, jig, march, jingle, lullaby ...), mood, key, tempo and instrument, in English or "
                    "Chinese. What it leaves open the seed draws.",
                ),
                inp(
                    io.Float.Input, "seconds", default=30.0, min=2.0, max=600.0, step=1.0,
                    tooltip="About how long: whole phrases of four bars. The last notes ring for a second or two more.",
                ),
                inp(io.Int.Input, "bars", default=0, min=0, max=512, tooltip="Exactly so many bars; 0 goes by the seconds."),
                inp(io.Combo.Input, "key", options=tune.keys(), default="auto", tooltip="auto: as the prompt says."),
                inp(
                    io.Combo.Input, "metre", options=["auto", *tune.METRES], default="auto",
                    tooltip="auto: as the prompt says.",
                ),
                inp(
                    io.Int.Input, "tempo", default=0, min=0, max=300,
                    tooltip="Beats a minute; in 6/8 and 9/8 of three eighths each. 0: as the prompt says.",
                ),
                inp(
                    io.Combo.Input, "instrument", options=["auto", *performance.INSTRUMENTS], default="auto",
                    tooltip="auto: as the prompt says, else piano.",
                ),
                inp(io.Boolean.Input, "chords", default=True, tooltip="Bass and chords under the melody."),
                inp(
                    io.Float.Input, "temperature", default=0.9, min=0.0, max=2.0, step=0.05,
                    tooltip="How freely it writes: 0 always the likeliest note, above 1 wild.",
                ),
                inp(
                    io.Combo.Input, "sound", options=list(performance.SOUNDS), default=performance.SOUNDS[0],
                    tooltip="soundfont: real instruments, downloaded once from npm (48 MB), played by symusic. auto: that where it "
                    "can be had, else plucked strings by formula.",
                ),
                inp(
                    io.Int.Input, "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                    tooltip="The same seed composes the same piece.",
                ),
                inp(
                    io.String.Input, "opening", default="", multiline=True, optional=True,
                    tooltip="The bars it begins with, in ABC, eighths by default: G2 GA BAGB | c2 ... Lines such as K:D and M:6/8 "
                    "set key and metre.",
                ),
                inp(
                    io.Audio.Input, "melody", optional=True,
                    tooltip="A melody of one voice to go on from, hummed or played; set the tempo if you know it.",
                ),
                inp(
                    io.String.Input, "model", default="", optional=True,
                    tooltip="Empty: the small model that comes with the pack. Else a folder or hub id of a MusicGen, e.g. "
                    "facebook/musicgen-small (its weights: CC-BY-NC), which uses prompt, seconds, temperature, seed and melody "
                    "only.",
                ),
            ],
            outputs=[
                io.Audio.Output("out_audio", display_name="audio", tooltip="Stereo, 44.1 kHz; by another model as it makes it."),
                io.String.Output(
                    "out_abc", display_name="abc",
                    tooltip="The melody in ABC notation, to edit and give back as opening.",
                ),
                io.String.Output("out_report", display_name="report", tooltip="Key, metre, tempo, length, and what played it."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, melody: Any = None, **given: Any) -> io.NodeOutput:
        from ..pipelines.music import composing

        made = composing.composed(given, melody, _host.music_model(), **_host.composing())
        return io.NodeOutput(
            made.sound,
            made.abc,
            made.report,
            ui={"text": (f"{made.report}\n\n{made.abc}".strip(),)},
        )
