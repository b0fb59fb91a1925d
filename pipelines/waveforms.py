"""Text-to-waveform models of transformers, opened from a folder: speech (VITS, Bark, CSM ...) and music (MusicGen).

`opened` finds and reads one, `interruptible` lets a host's interrupt through while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .errors import AigcError
from .runtime import Runtime
from .sources import Roots, Watch, resolve

ALONE = {"dia": "DiaForConditionalGeneration"}  # not in transformers' list of text-to-waveform models
MUSIC = ("musicgen", "musicgen_melody")


class Opened(NamedTuple):
    """kind: config.json's model_type. pipe: transformers' TextToAudioPipeline. rate: of its sound, Hz. words: its processor."""

    kind: str
    pipe: Any
    rate: int
    words: Any = None


_open: dict[str, Opened] = {}


def opened(
    source: str, kinds: Callable[[str], bool], wanted: str, roots: Roots, runtime: Runtime, watch: Watch | None
) -> Opened:
    """The model of a folder or hub id; the last one that was used stays open.

    kinds: which model types fit; wanted: what these are called. Raises AigcError for another model.
    """
    path = resolve(source, roots, download=True, watch=watch).path
    kind = _kind(path)
    if not kinds(kind):
        raise AigcError(f"Expected {wanted}, got {kind or 'no config.json'} in {path}. Choose one of these.")
    if str(path) not in _open:
        release(runtime)
        _open[str(path)] = _read(path, kind, runtime)
    return _open[str(path)]


def release(runtime: Runtime) -> None:
    """Forget the open model."""
    for model in _open.values():
        runtime.release([model.pipe.model])
    _open.clear()


def kinds() -> list[str]:
    """The model types that transformers makes waveforms with."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES as KNOWN

    return sorted({*KNOWN, *ALONE})


def _read(path: Path, kind: str, runtime: Runtime) -> Opened:
    import transformers
    from transformers.pipelines.text_to_audio import TextToAudioPipeline

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
    return Opened(kind, pipe, int(rate), words)


def _kind(path: Path) -> str:
    import json

    try:
        return str(json.loads((path / "config.json").read_text("utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


@contextmanager
def interruptible(model: Any, runtime: Runtime) -> Iterator[None]:
    """The host's interrupt is asked for at each step of each network inside of the model."""
    from transformers import PreTrainedModel

    inner = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    hooks = [part.register_forward_pre_hook(lambda *_: runtime.check_interrupt()) for part in inner]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
