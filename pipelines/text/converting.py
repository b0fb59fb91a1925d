"""GGUF to a folder of safetensors, once: transformers takes many seconds for a GGUF each time, and half a second for the folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..loading.quantised import INSTALL
from ..sources import Watch, is_whole_network
from ..sources.locks import locked
from . import llama, packed

SPARE = 64 * 2**20  # bytes that stay free on the disk


def unpacked(
    gguf: Path | Callable[[], Path], folder: Path, *, watch: Watch, licence: str = "", source: str = ""
) -> Path:
    """`folder` with what the GGUF file holds, in bfloat16; it is made when it is not there or older than the file.

    gguf: the file, or what fetches it, asked only when the folder has to be made. Two processes that want the same: one
    works, the other waits. Raises AigcError for a file that transformers does not read, and when the disk is full.
    """
    if _is_there(gguf, folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{folder.name}.lock", watch.check_interrupt):
            if not _is_there(gguf, folder):
                file = gguf() if callable(gguf) else gguf
                watch.check_interrupt()
                _make(file, folder, licence, source or file.name)
    except OSError as error:
        raise AigcError(
            f"Expected room to unpack a language model into {folder}, got {error}: free some space, or put another folder for "
            "LLM first in extra_model_paths.yaml."
        ) from error
    return folder


def _is_there(gguf: Path | Callable[[], Path], folder: Path) -> bool:
    if not is_whole_network(folder):
        return False
    return callable(gguf) or (folder / "config.json").stat().st_mtime >= gguf.stat().st_mtime


def _make(gguf: Path, folder: Path, licence: str, source: str) -> None:
    """Written beside and renamed: a folder of this name is whole."""
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _convert(gguf, new)
        head = f"---\nlicense: {licence}\n---\n" if licence else ""
        (new / "README.md").write_text(f"{head}Unpacked from {source} into bfloat16 by AIGC Nodes.\n", "utf-8")
        new.chmod(0o755)  # mkdtemp's own is for this user alone
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    _need_space(gguf, folder)
    try:
        read = packed.read(gguf)
        if llama.fits(read):
            llama.save(read, folder)
        else:
            _by_transformers(gguf, folder)
    except OSError:
        raise
    except Exception as error:  # tokenizers raises nothing more special for words that do not fit together
        said = (str(error).splitlines() or [""])[0][:200]
        raise AigcError(
            f"Expected a GGUF of a language model that transformers reads, got {gguf.name} ({type(error).__name__}: {said}): take "
            "the model's .safetensors folder, or run the file in a server and give its address as endpoint."
        ) from error


def _need_space(gguf: Path, folder: Path) -> None:
    """A number takes half a byte to two in a GGUF and two in the folder: four times the file is enough."""
    need, free = 4 * gguf.stat().st_size + SPARE, shutil.disk_usage(folder).free
    if free < need:
        raise OSError(f"{free / 1e9:.1f} GB free of {need / 1e9:.1f} GB")


def _by_transformers(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        import gguf as _  # noqa: F401
    except ImportError:
        raise ImportError(f"it needs the package gguf: {INSTALL} in ComfyUI's Python") from None
    given: Any = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        with torch.inference_mode(False):
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **given)
            model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **given)
    except OSError as error:  # how transformers says that a file is no model; a full disk is another matter
        raise ValueError(str(error)) from error
    # What says that the weights are packed: they are not any more.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
