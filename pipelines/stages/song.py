"""Songs: what families that sing take beside their prompt, in each one's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import AigcError
from ..media import Sound, heard
from ..payloads import Conditioning, Model, Trace
from ..runtime import Runtime
from . import arguments
from .encode import encode_prompt
from .pipe import decoder_name, skeleton
from .sounds import fitted, part
from .table import SECONDS

# What is made of what: of nothing but words, of another sound, or of a part of one.
TASKS = ("text2music", "cover", "repaint", "extract", "lego", "complete")
PARTLY = ("repaint", "lego")  # make the seconds from start to end, and keep the rest
OF_A_TRACK = ("extract", "lego", "complete")
# ISO 639 codes of the languages that ACE-Step 1.5 sings (acestep/constants.py of its makers).
LANGUAGES = (
    "en", "zh", "yue", "ja", "ko", "es", "fr", "de", "it", "pt", "ru", "ar", "hi", "id", "vi", "th", "tr", "pl", "nl", "sv", "da",
    "no", "fi", "cs", "sk", "hu", "ro", "bg", "hr", "sr", "uk", "el", "he", "fa", "ur", "bn", "ta", "te", "pa", "ne", "ms", "tl",
    "sw", "ca", "lt", "is", "az", "la", "ht", "sa",
)  # fmt: skip
METRES = {"2/4": "2", "3/4": "3", "4/4": "4", "6/8": "6"}  # and how they are written to a model


@dataclass(frozen=True)
class Song:
    """What is asked for, and what is given up to the model ("" or 0).

    lyrics: with [verse], [chorus] ... on lines of their own. language: of the lyrics, of LANGUAGES. bpm: beats a minute.
    key: such as "F# minor". metre: of METRES.
    """

    lyrics: str = ""
    language: str = "en"
    bpm: int = 0
    key: str = ""
    metre: str = ""


@dataclass(frozen=True)
class Source:
    """A sound that the song is made of.

    audio: the host's AUDIO, one sound. start, end: seconds, for PARTLY; end 0 is its end. cover_strength: 0..1, how much of a
    cover follows it. track: which one, for OF_A_TRACK ("drums"; "drums, bass" for complete).
    """

    audio: Any = None
    task: str = TASKS[0]
    start: float = 0.0
    end: float = 0.0
    cover_strength: float = 1.0
    track: str = ""


def encode_song(
    model: Model,
    prompt: str,
    song: Song,
    *,
    source: Source | None = None,
    reference: Any = None,
    latents: Mapping[str, Any] | None = None,
    guided: bool = True,
    runtime: Runtime | None = None,
) -> Conditioning:
    """The conditioning of a song, for `sample`; only what encodes it holds weights.

    prompt: its style. reference: an AUDIO whose timbre it takes over. latents: the empty LATENT that will be sampled, whose
    length the model is told; a source has its own. What a family has no word for goes into its prompt (tempo, key, metre).
    Raises AigcError for a model that does not sing, a task that it does not have, and a source that does not fit the task.
    """
    runtime, source = runtime or Runtime(), source or Source()
    pipe = skeleton(model, runtime)
    names = arguments.accepted(pipe)
    if "lyrics" not in names:
        raise AigcError(
            f"Expected a model that sings (ACE-Step, MiniMax Music 3), got {model.pipeline_class}: use Encode Prompt for it."
        )
    _check(song)
    length = _length(latents, names)
    made_of = _made_of(pipe, model, source, names)
    if reference is not None:
        _has(pipe, names, "reference_audio", "a reference")
        made_of["reference_audio"] = _heard(pipe, model, reference, "reference").waveform[0]
    said, rest = _said(song, names)
    prompt = ", ".join([prompt, *rest] if prompt.strip() else rest)
    return encode_prompt(model, [prompt], guided=guided, extra={**length, **said, **made_of}, runtime=runtime)


def _check(song: Song) -> None:
    if song.language not in LANGUAGES:
        raise AigcError(f"Expected a language of {', '.join(LANGUAGES)}, got {song.language[:60]!r}: choose one.")
    if song.metre and song.metre not in METRES:
        raise AigcError(f"Expected a metre of {', '.join(METRES)}, got {song.metre[:60]!r}: choose one, or auto.")
    if song.bpm < 0:
        raise AigcError(f"Expected a tempo of 0 or more beats a minute, got {song.bpm}: 0 leaves it to the model.")


def _said(song: Song, names: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The song in the words of the pipeline's call, and in plain words what the call has none for."""
    asked = (
        ("bpm", song.bpm, song.bpm, f"{song.bpm} bpm"),
        ("keyscale", song.key, song.key, song.key),
        ("timesignature", song.metre, METRES.get(song.metre, ""), f"{song.metre} time"),
    )
    said = {name: value for name, given, value, _ in asked if given and name in names}
    rest = [words for name, given, _, words in asked if given and name not in names]
    language = {"vocal_language": song.language} if "vocal_language" in names else {}
    return {"lyrics": song.lyrics, **language, **said}, rest


def _length(latents: Mapping[str, Any] | None, names: Mapping[str, Any]) -> dict[str, float]:
    """How long the song will be, where its encoding knows it and a LATENT says it."""
    trace = (latents or {}).get("aigc")
    told = trace.arguments if isinstance(trace, Trace) else {}
    return {name: float(told[name]) for name in SECONDS if name in names and told.get(name)}


def _made_of(pipe: Any, model: Model, source: Source, names: Mapping[str, Any]) -> dict[str, Any]:
    """The source in the words of the pipeline's call. Raises AigcError where it does not fit its task."""
    if source.task not in TASKS:
        raise AigcError(f"Expected a task of {', '.join(TASKS)}, got {source.task[:60]!r}: choose one.")
    if source.task == TASKS[0]:
        if source.audio is not None:
            raise AigcError(
                "Expected no audio for text2music, which makes a song of words alone: choose cover or repaint, or take it off."
            )
        return {}
    _has(pipe, names, "task_type", f"the task {source.task}")
    if source.audio is None:
        raise AigcError(f"Expected a sound to {source.task}, got none: connect one to audio, or choose text2music.")
    if source.task == "cover" and getattr(pipe, "audio_tokenizer", None) is None:
        raise AigcError(
            f"Expected {type(pipe).__name__} with an audio_tokenizer for a cover, got a model without one: download a "
            "version that has it, or choose repaint."
        )
    sound = _heard(pipe, model, source.audio, "audio")
    call: dict[str, Any] = {"task_type": source.task, "src_audio": sound.waveform[0]}
    call |= {name: sound.seconds for name in SECONDS if name in names}
    if source.task == "cover":
        call["audio_cover_strength"] = _strength(source.cover_strength)
    if source.task in PARTLY:
        start, end = part(source.start, source.end, sound.seconds)
        call |= {"repainting_start": start, "repainting_end": end}
    if source.task in OF_A_TRACK and (tracks := [word.strip() for word in source.track.split(",") if word.strip()]):
        call |= {"complete_track_classes": tracks} if source.task == "complete" else {"track_name": tracks[0]}
    return call


def _strength(value: float) -> float:
    if not 0 <= value <= 1:
        raise AigcError(f"Expected a cover_strength from 0 to 1, got {value}: 1 follows the sound throughout.")
    return value


def _has(pipe: Any, names: Mapping[str, Any], name: str, what: str) -> None:
    if name not in names:
        raise AigcError(f"Expected a model that takes {what}, got {type(pipe).__name__}: use ACE-Step, or take it off.")


def _heard(pipe: Any, model: Model, audio: Any, name: str) -> Sound:
    """One sound as the model's autoencoder takes it: its rate and number of channels."""
    sound = heard(audio, name)
    if sound.waveform.shape[0] != 1:
        raise AigcError(f"Expected one sound as {name}, got {sound.waveform.shape[0]}: choose one of them.")
    return fitted(sound, pipe, getattr(pipe, decoder_name(model)))
