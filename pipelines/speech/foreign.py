"""Speech by any text-to-waveform model of transformers: VITS and MMS, Bark, CSM, Dia, PocketTTS and whatever else it lists.

transformers' own TextToAudioPipeline does the calls; what differs by model here is how a voice to imitate is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AigcError
from ..media import at_rate, heard
from ..runtime import Runtime
from ..sources import Roots, Watch, resolve
from . import pieces
from .spoken import spoken

MOST = 220  # characters of a piece: Bark makes about 13 seconds at once, the others slow down with length
ALONE = {"dia": "DiaForConditionalGeneration"}  # not in transformers' list of text-to-waveform models
TALKING = ("pocket_tts", "vibevoice", "higgs_audio_v2")  # their processors take a conversation
CLONING = ("csm", "dia", "pocket_tts")  # that imitate a voice, each in its own form
NEED_TEXT = ("csm", "dia")  # and want to know what it says


class Reference(NamedTuple):
    """A voice to imitate. audio: the host's AUDIO. text: what is said in it."""

    audio: Any
    text: str = ""


class Opened(NamedTuple):
    kind: str
    pipe: Any
    rate: int


_open: dict[str, Opened] = {}


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
        opened = _opened(source, roots, runtime, watch)
    _check(opened, source, speed, reference)
    words = text if language == "auto" else "".join(run.text for run in spoken(text, language))
    said = pieces.split(words, lambda part: part, len, MOST)
    waves: list[Any] = []
    try:
        with runtime.placed([opened.pipe.model]), _interruptible(opened.pipe.model, runtime), torch.random.fork_rng():
            for number, piece in enumerate(said):
                on_piece(number, len(said))
                torch.manual_seed(seed + number)
                wave = _spoken(opened, piece.sounds, speed, reference)
                waves.append(pieces.trimmed(wave, opened.rate))
            on_piece(len(said), len(said))
    except stops:
        if not waves:
            raise
    sound = pieces.joined(waves, [piece.pause for piece in said], opened.rate)
    if not len(sound):
        raise AigcError(f"Expected speech from {source}, but the model was silent. Try another seed or text.")
    return {"waveform": torch.from_numpy(sound)[None, None], "sample_rate": opened.rate}


def release(runtime: Runtime) -> None:
    """Forget the open model."""
    for opened in _open.values():
        runtime.release([opened.pipe.model])
    _open.clear()


def _opened(source: str, roots: Roots, runtime: Runtime, watch: Watch | None) -> Opened:
    """The model; the last one that was used stays open."""
    path = resolve(source, roots, download=True, watch=watch).path
    if str(path) not in _open:
        release(runtime)
        _open[str(path)] = _read(path, runtime)
    return _open[str(path)]


def _read(path: Path, runtime: Runtime) -> Opened:
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES as KNOWN
    from transformers.pipelines.text_to_audio import TextToAudioPipeline

    kind = _kind(path)
    if kind not in KNOWN and kind not in ALONE:
        raise AigcError(
            f"Expected a text-to-waveform model ({', '.join(sorted({*KNOWN, *ALONE}))}), got {kind or 'no config.json'} in {path}. "
            f"Choose one of these, or a newer transformers."
        )
    if not any(path.glob("*.safetensors")):
        raise AigcError(
            f"Expected safetensors weights in {path}, got none: a pickle is not read. Use another version of it."
        )
    loader = getattr(transformers, ALONE[kind]) if kind in ALONE else transformers.AutoModelForTextToWaveform
    # A VITS is small, and its spline flows lose the sound in half precision.
    dtype = runtime.dtype_for("denoiser", "float32" if kind == "vits" else "auto")
    model = loader.from_pretrained(path, dtype=dtype, use_safetensors=True, local_files_only=True).eval()
    words = transformers.AutoProcessor.from_pretrained(path, local_files_only=True)
    alone = isinstance(words, transformers.PreTrainedTokenizerBase)
    pipe = TextToAudioPipeline(
        model=model, tokenizer=words if alone else getattr(words, "tokenizer", None), processor=None if alone else words,
        device=runtime.device,
    )  # fmt: skip
    rate = pipe.sampling_rate or getattr(getattr(words, "feature_extractor", None), "sampling_rate", None)
    if not rate:
        raise AigcError(
            f"Expected the model in {path} to say its sample rate, which neither its config nor its processor does: "
            "add sampling_rate to its config.json."
        )
    return Opened(kind, pipe, int(rate))


def _kind(path: Path) -> str:
    import json

    try:
        return str(json.loads((path / "config.json").read_text("utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _check(opened: Opened, source: str, speed: float, reference: Reference | None) -> None:
    if speed != 1 and opened.kind != "vits":
        raise AigcError(
            f"Expected speed 1 for {source}: a {opened.kind} model has no control of it, got {speed:g}. Set it to 1."
        )
    if reference is None:
        return
    if opened.kind not in CLONING:
        raise AigcError(
            f"Expected no reference for {source}: a {opened.kind} model does not imitate voices; {', '.join(CLONING)} do. "
            f"Take the reference off."
        )
    if opened.kind in NEED_TEXT and not reference.text.strip():
        raise AigcError(
            f"Expected what is said in the reference, since {opened.kind} reads along. Fill in reference_text."
        )


def _spoken(opened: Opened, text: str, speed: float, reference: Reference | None) -> Any:
    """[T], float32, of one piece."""
    import numpy as np

    pipe = opened.pipe
    if opened.kind == "vits":
        pipe.model.speaking_rate = speed
    if reference is not None and opened.kind == "dia":
        return _dia(opened, text, reference)
    given = _conversation(opened, text, reference)
    sound = np.asarray(pipe(given)["audio"], np.float32)
    return sound.reshape(-1, sound.shape[-1]).mean(0) if sound.ndim > 1 else sound.reshape(-1)


def _conversation(opened: Opened, text: str, reference: Reference | None) -> Any:
    """The text as the model's processor takes it, behind the voice to imitate."""
    said = {"type": "text", "text": text}
    voice = {"type": "audio", "audio": _mono(opened, reference)} if reference else None
    if opened.kind == "csm" and voice and reference:
        shown = {"role": "0", "content": [{"type": "text", "text": reference.text}, voice]}
        return [shown, {"role": "0", "content": [said]}]
    if opened.kind in TALKING:
        return [{"role": "user", "content": [voice, said] if voice else [said]}]
    return text


def _dia(opened: Opened, text: str, reference: Reference) -> Any:
    """Dia goes on speaking where the reference ends; only what is new is returned."""
    import torch

    words, model = opened.pipe.processor, opened.pipe.model
    given = words(
        text=[f"[S1] {reference.text} {text}"], audio=[_mono(opened, reference)], padding=True, return_tensors="pt",
        sampling_rate=opened.rate,
    ).to(model.device)  # fmt: skip
    begin = words.get_audio_prompt_len(given["decoder_attention_mask"])
    with torch.inference_mode():
        made = model.generate(**given, max_new_tokens=3072)
    return words.batch_decode(made, audio_prompt_len=begin)[0].float().cpu().numpy().reshape(-1)


def _mono(opened: Opened, reference: Reference | None) -> Any:
    sound = at_rate(heard(reference.audio if reference else None, "reference"), opened.rate)
    return sound.waveform[0].mean(0).numpy()


@contextmanager
def _interruptible(model: Any, runtime: Runtime) -> Iterator[None]:
    """The host's interrupt is asked for at each step of each network inside of the model."""
    from transformers import PreTrainedModel

    inner = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    hooks = [part.register_forward_pre_hook(lambda *_: runtime.check_interrupt()) for part in inner]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
