"""Songs: style, lyrics and music to conditioning, for models that sing."""

from __future__ import annotations

from typing import Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_MODEL

AUTO = "auto"


class EncodeSong(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines.music import tune
        from ..pipelines.stages import song

        keys = [key for key in tune.keys() if key.endswith(("major", "minor"))]
        return schema(
            node_id="AIGC_EncodeSong",
            display_name="Encode Song",
            category="AIGC/condition",
            description="Turns a style and lyrics into conditioning, for models that sing (ACE-Step, MiniMax Music 3): a new song, "
            "or a cover or a repainted part of a sound.",
            search_aliases=["lyrics", "ace step", "minimax music", "cover", "repaint", "text to music"],
            inputs=[
                inp(AIGC_MODEL.Input, "model", tooltip="The model whose encoders read the song."),
                inp(
                    io.String.Input, "prompt", multiline=True, dynamic_prompts=True,
                    default="warm acoustic folk, soft female voice, fingerpicked guitar",
                    tooltip="The style: genre, mood, voice, instruments.",
                ),
                inp(
                    io.String.Input, "lyrics", multiline=True, default="[verse]\nA light on the water\n[chorus]\nCarry me home",
                    tooltip="What is sung, with [verse], [chorus], [bridge] on lines of their own; [instrumental] for no voice.",
                ),
                inp(io.Combo.Input, "language", options=list(song.LANGUAGES), default="en", tooltip="Of the lyrics."),
                inp(
                    io.Int.Input, "bpm", default=0, min=0, max=300,
                    tooltip="Tempo in beats a minute. 0 leaves it to the model.",
                ),
                inp(
                    io.Combo.Input, "key", options=[AUTO, *keys], default=AUTO, tooltip="auto leaves it to the model.",
                ),
                inp(
                    io.Combo.Input, "metre", options=[AUTO, *song.METRES], default=AUTO, tooltip="auto leaves it to the model.",
                ),
                inp(
                    io.Boolean.Input, "guided", default=True,
                    tooltip="Let the sampler use cfg. Turn it off for distilled models such as ACE-Step turbo.",
                ),
                inp(
                    io.Combo.Input, "task", options=list(song.TASKS), default=song.TASKS[0],
                    tooltip="text2music: of words alone. cover: another version of the audio. repaint: a part of it anew. extract, "
                    "lego and complete (base models): a track out of it, a track more, and what is missing.",
                ),
                inp(
                    io.Float.Input, "start_seconds", default=0.0, min=0.0, max=36000.0, step=0.1,
                    tooltip="For repaint and lego: where the new part begins.",
                ),
                inp(
                    io.Float.Input, "end_seconds", default=0.0, min=0.0, max=36000.0, step=0.1,
                    tooltip="For repaint and lego: where it ends. 0: where the audio ends.",
                ),
                inp(
                    io.Float.Input, "cover_strength", default=1.0, min=0.0, max=1.0, step=0.01,
                    tooltip="For cover: how closely it follows the audio.",
                ),
                inp(
                    io.String.Input, "track", default="",
                    tooltip="For extract, lego and complete: vocals, drums, bass, guitar, keyboard, strings ... complete takes "
                    "several, by commas.",
                ),
                inp(
                    io.Latent.Input, "latents", optional=True,
                    tooltip="The Empty Latents that will be sampled: the model is told how long the song is.",
                ),
                inp(
                    io.Audio.Input, "audio", optional=True,
                    tooltip="The sound that it is made of, for every task but text2music. The song is as long as this.",
                ),
                inp(io.Audio.Input, "reference", optional=True, tooltip="A sound whose timbre the song takes over."),
            ],
            outputs=[
                AIGC_CONDITIONING.Output(
                    "out_conditioning", display_name="conditioning", tooltip="The encoded song, for Sample."
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Any,
        prompt: str,
        lyrics: str,
        language: str,
        bpm: int,
        key: str,
        metre: str,
        guided: bool,
        task: str,
        start_seconds: float,
        end_seconds: float,
        cover_strength: float,
        track: str,
        latents: Any = None,
        audio: Any = None,
        reference: Any = None,
    ) -> io.NodeOutput:
        from ..pipelines import stages

        song = stages.Song(lyrics, language, bpm, "" if key == AUTO else key, "" if metre == AUTO else metre)
        source = stages.Source(audio, task, start_seconds, end_seconds, cover_strength, track)
        given = {"source": source, "reference": reference, "latents": latents, "guided": guided}
        return io.NodeOutput(stages.encode_song(model, prompt, song, **given, runtime=_host.runtime()))
