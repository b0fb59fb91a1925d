"""Captions written by a model of transformers that looks at a picture: BLIP and its kind, or one that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..payloads import Dataset, Item
from ..runtime import Runtime
from ..sources import Roots, find_network, list_networks, resolve
from . import captions, reading
from .captions import Captioner, Form

QUESTION = "Describe this picture in one sentence."


def folder_of(name: str, roots: Roots) -> Path:
    """The folder of a captioner: one below models/judges, an absolute path, or a hub id that is on this machine already.

    Raises AigcError saying how to get it.
    """
    if not name.strip():
        raise AigcError(
            "Expected the folder or hub id of a captioner, got an empty name: fill it in, such as "
            "Salesforce/blip-image-captioning-base."
        )
    own = name.strip() in list_networks(roots.judges)
    folder = find_network(name.strip(), roots.judges, "captioner") if own else resolve(name, roots).path
    if not (folder / "config.json").is_file():
        raise AigcError(f"Expected a folder with the config.json of a captioner, got {folder}: choose another.")
    return folder


def opened(folder: Path, dtype: Any) -> tuple[Any, Any]:
    """(model, processor); safetensors only, and no code from the folder runs. Raises AigcError for another kind of model."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        with torch.inference_mode(False):
            model = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, local_files_only=True
            )
        return model.eval().requires_grad_(False), AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        said = (str(error).splitlines() or [""])[0][:160]
        raise AigcError(
            f"Expected a model of transformers that takes pictures and writes text, got {folder.name} ({said}): take one such as "
            "Salesforce/blip-image-captioning-base."
        ) from error


@contextmanager
def captioning(folder: Path, runtime: Runtime, *, most: int = 40, question: str = "") -> Iterator[Captioner]:
    """A captioner while open; its weights leave the device afterwards.

    most: new tokens. question: for models that are asked. The likeliest words, no draws: a picture always gets the same.
    """
    model, processor = opened(folder, runtime.dtype_for("text"))

    def caption(item: Item) -> str:
        runtime.check_interrupt()
        return _caption(model, processor, reading.pixels(item), question or QUESTION, most)

    try:
        with runtime.placed([model]):
            yield caption
    finally:
        runtime.release([model])


def _caption(model: Any, processor: Any, rgb: Any, question: str, most: int) -> str:
    import torch
    from PIL import Image

    asked = getattr(processor, "chat_template", None)
    words: dict[str, Any] = {}
    if asked:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        turns = [{"role": "user", "content": content}]
        words["text"] = [processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)]
    given = processor(images=[Image.fromarray(rgb)], return_tensors="pt", **words).to(model.device, model.dtype)
    with torch.no_grad():
        tokens = model.generate(**given, max_new_tokens=most, do_sample=False)[0]
    if asked:
        tokens = tokens[given["input_ids"].shape[1] :]
    text = processor.tokenizer.decode(tokens, skip_special_tokens=True)
    return " ".join(text.split())


def captioned(
    dataset: Dataset,
    source: str,
    form: Form,
    name: str,
    *,
    roots: Roots,
    runtime: Runtime,
    most: int = 40,
    **given: Any,
) -> Dataset:
    """`captions.captioned` with the captioner that `name` means, which is opened only for the source "model"."""
    if source != "model":
        return captions.captioned(dataset, source, form, **given)
    with captioning(folder_of(name, roots), runtime, most=most) as captioner:
        return captions.captioned(dataset, source, form, captioner=captioner, **given)
