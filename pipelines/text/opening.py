"""Open language models: which classes, and how long they stay in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..runtime import DTYPES, Runtime
from .widening import widen

KEPT = 2
SHARE = 0.25  # of free memory: a model that takes more is dropped after each run, as "auto" does for image models


@dataclass(frozen=True)
class Language:
    """model: of transformers. tokenizer: its words. processor: of a model that sees pictures, else None."""

    model: Any
    tokenizer: Any
    processor: Any = None


_open: OrderedDict[tuple[str, int, str], Language] = OrderedDict()
_busy: set[tuple[str, int, str]] = set()
_lock = threading.RLock()


@contextmanager
def speaking(folder: Path, runtime: Runtime) -> Iterator[Language]:
    """The language model of a folder, its weights on the device while open. Raises AigcError for another kind of folder."""
    on_cpu = runtime.device.type == "cpu"
    dtype = DTYPES["bfloat16"] if on_cpu else runtime.dtype_for("text")
    with _lock:
        key = (str(folder), _stamp(folder), str(dtype))
        if key not in _open:
            while len(_open) >= KEPT:
                _drop(next(iter(_open)), runtime)
            _open[key] = opened(folder, dtype)
        _open.move_to_end(key)
        language = _open[key]
        _busy.add(key)
        try:
            with runtime.placed([language.model]):
                yield language
        finally:
            _busy.discard(key)
            size = sum(p.numel() * p.element_size() for p in language.model.parameters())
            if size > SHARE * (size + runtime.free_bytes()):
                _drop(key, runtime)


def release_all(runtime: Runtime) -> None:
    """Forget every open model but one that is at work; called from a finaliser, so it never waits for that one."""
    if _lock.acquire(blocking=False):
        try:
            for key in [key for key in _open if key not in _busy]:
                _drop(key, runtime)
        finally:
            _lock.release()


def _drop(key: tuple[str, int, str], runtime: Runtime) -> None:
    runtime.release([_open.pop(key).model])


def _stamp(folder: Path) -> int:
    return (folder / "config.json").stat().st_mtime_ns if (folder / "config.json").is_file() else 0


def opened(folder: Path, dtype: Any) -> Language:
    """Safetensors only, and no code from the folder runs. Raises AigcError."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

    given = {"local_files_only": True}
    try:
        sees = _sees(AutoConfig.from_pretrained(folder, **given), folder)
        kind = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        with torch.inference_mode(False):  # a host runs nodes in it, and weights made there have no slope
            model = kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, **given)
        processor = AutoProcessor.from_pretrained(folder, **given) if sees else None
        tokenizer = processor.tokenizer if processor else AutoTokenizer.from_pretrained(folder, **given)
    except (OSError, ValueError, KeyError, ImportError, AttributeError, RuntimeError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise AigcError(
            f"Expected a language model of transformers, got {folder.name} ({type(error).__name__}: {said}): choose a folder with "
            "config.json, tokenizer and .safetensors, such as HuggingFaceTB/SmolLM2-360M-Instruct. Models that bring their "
            "own code are not run."
        ) from error
    widen(model)
    return Language(model.eval().requires_grad_(False), tokenizer, processor)


def _sees(config: Any, folder: Path) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    pictures = any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json"))
    return pictures and type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
