"""Speech by any text-to-waveform model of transformers: VITS and MMS, Bark, CSM, Dia, PocketTTS and whatever else it lists.

transformers' own TextToAudioPipeline does the calls; what differs by model here is how a voice to imitate is handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import AigcError
from ..media import at_rate, heard
from ..runtime import Runtime
from ..sources import Roots, Watch
from ..waveforms import MUSIC, Opened, interruptible, kinds, opened
from . import pieces
from .spoken import spoken

MOST = 220  # characters of a piece: Bark makes about 13 seconds at once, the others slow down with length
TALKING = ("pocket_tts", "vibevoice", "higgs_audio_v2")  # their processors take a conversation
CLONING = ("csm", "dia", "pocket_tts")  # that imitate a voice, each in its own form
NEED_TEXT = ("csm", "dia")  # and want to know what it says


class Reference(NamedTuple):
    """A voice to imitate. audio: the host's AUDIO. text: what is said in it."""

    audio: Any
    text: str = ""


def speak(
    text: str,
    source: str,
    *,
    reference: Reference | None = None,
    speed: float = 1.0,
    seed: int = 0,
    language: str = "auto",
    roots: Roots,
    runtime: Runtime,
    watch: Watch | None = None,
    on_piece: Callable[[int, int], None] = lambda done, total: None,
    stops: tuple[type[BaseException], ...] = (),
) -> dict[str, Any]:
    """A text by the model of a folder or hub id as {"waveform": [1, 1, T], "sample_rate": its own}.

    language: "en" and "zh" write numbers and signs out in words first; "auto" hands the text over as it is, in any language.
    on_piece, stops: as in `speaking.speak`; an interrupt acts within a piece too. The same seed gives the same sound.
    Raises AigcError for a model of another kind, a speed or a reference that it cannot follow.
    """
    import torch

    if not isinstance(text, str) or not text.strip():
        raise AigcError("Expected a text to speak, got none. Write or connect one.")
    with torch.random.fork_rng():  # weights are drawn before they are read
        fits = [kind for kind in kinds() if kind not in MUSIC]
        model = opened(source, fits.__contains__, f"a text-to-speech model ({', '.join(fits)})", roots, runtime, watch)
    _check(model, source, speed, reference)
    words = text if language == "auto" else "".join(run.text for run in spoken(text, language))
    said = pieces.split(words, lambda part: part, len, MOST)
    waves: list[Any] = []
    try:
        with runtime.placed([model.pipe.model]), interruptible(model.pipe.model, runtime), torch.random.fork_rng():
            for number, piece in enumerate(said):
                on_piece(number, len(said))
                torch.manual_seed(seed + number)
                wave = _spoken(model, piece.sounds, speed, reference)
                waves.append(pieces.trimmed(wave, model.rate))
            on_piece(len(said), len(said))
    except stops:
        if not waves:
            raise
    sound = pieces.joined(waves, [piece.pause for piece in said], model.rate)
    if not len(sound):
        raise AigcError(f"Expected speech from {source}, but the model was silent. Try another seed or text.")
    return {"waveform": torch.from_numpy(sound)[None, None], "sample_rate": model.rate}


def _check(model: Opened, source: str, speed: float, reference: Reference | None) -> None:
    if speed != 1 and model.kind != "vits":
        raise AigcError(
            f"Expected speed 1 for {source}: a {model.kind} model has no control of it, got {speed:g}. Set it to 1."
        )
    if reference is None:
        return
    if model.kind not in CLONING:
        raise AigcError(
            f"Expected no reference for {source}: a {model.kind} model does not imitate voices; {', '.join(CLONING)} do. "
            f"Take the reference off."
        )
    if model.kind in NEED_TEXT and not reference.text.strip():
        raise AigcError(
            f"Expected what is said in the reference, since {model.kind} reads along. Fill in reference_text."
        )


def _spoken(model: Opened, text: str, speed: float, reference: Reference | None) -> Any:
    """[T], float32, of one piece."""
    import numpy as np

    pipe = model.pipe
    if model.kind == "vits":
        pipe.model.speaking_rate = speed
    if reference is not None and model.kind == "dia":
        return _dia(model, text, reference)
    given = _conversation(model, text, reference)
    sound = np.asarray(pipe(given)["audio"], np.float32)
    return sound.reshape(-1, sound.shape[-1]).mean(0) if sound.ndim > 1 else sound.reshape(-1)


def _conversation(model: Opened, text: str, reference: Reference | None) -> Any:
    """The text as the model's processor takes it, behind the voice to imitate."""
    said = {"type": "text", "text": text}
    voice = {"type": "audio", "audio": _mono(model, reference)} if reference else None
    if model.kind == "csm" and voice and reference:
        shown = {"role": "0", "content": [{"type": "text", "text": reference.text}, voice]}
        return [shown, {"role": "0", "content": [said]}]
    if model.kind in TALKING:
        return [{"role": "user", "content": [voice, said] if voice else [said]}]
    return text


def _dia(model: Opened, text: str, reference: Reference) -> Any:
    """Dia goes on speaking where the reference ends; only what is new is returned."""
    import torch

    words, net = model.pipe.processor, model.pipe.model
    given = words(
        text=[f"[S1] {reference.text} {text}"], audio=[_mono(model, reference)], padding=True, return_tensors="pt",
        sampling_rate=model.rate,
    ).to(net.device)  # fmt: skip
    begin = words.get_audio_prompt_len(given["decoder_attention_mask"])
    with torch.inference_mode():
        made = net.generate(**given, max_new_tokens=3072)
    return words.batch_decode(made, audio_prompt_len=begin)[0].float().cpu().numpy().reshape(-1)


def _mono(model: Opened, reference: Reference | None) -> Any:
    sound = at_rate(heard(reference.audio if reference else None, "reference"), model.rate)
    return sound.waveform[0].mean(0).numpy()
