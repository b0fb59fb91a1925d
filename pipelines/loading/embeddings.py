"""Textual inversions in a prompt, "embedding:name" as the host writes it: laid on for one encoding, gone afterwards.

Gal et al. 2022 (arXiv 2208.01618): a word whose vectors were trained while the model stayed as it was. diffusers' own
loader puts them in; the tokenizer it changes is a copy, and the encoder gets its table of words back.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import AigcError
from ..payloads import Model
from ..sources import Roots, find_embedding
from .folder import component_classes
from .weights import read_header

WORD = re.compile(r"embedding:([^\s,()\[\]]+)")
# Keys of a file with vectors for both encoders, as SDXL's trainers and the host name them.
KEYS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
PAIRS = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))


def find_embeddings(model: Model, texts: Sequence[str], *, roots: Roots) -> dict[str, Path]:
    """The files of all words "embedding:name" in `texts`, by name; empty without such a word.

    Raises AigcError for a name without a file, a file that is no embedding, and for a model whose text encoders are
    not all CLIP: only those (SD 1.5, SD 2, SDXL) have words that can be added.
    """
    names = dict.fromkeys(name for text in texts for name in WORD.findall(text))
    if not names:
        return {}
    import diffusers

    cls = getattr(diffusers, model.pipeline_class, None)
    classic = hasattr(cls, "load_textual_inversion") and hasattr(cls, "encode_prompt")  # blocks have only the first
    parts = component_classes(model) if classic else {}
    encoders = [kind for part, (_, kind) in parts.items() if part.startswith("text_encoder")]
    if not encoders or not all("CLIP" in kind for kind in encoders):
        raise AigcError(
            f"Expected a model with CLIP text encoders for embedding:{next(iter(names))}, got {model.pipeline_class}"
            f"{' with ' + ', '.join(encoders) if encoders else ''}. Take the word out of the prompt, or use SD 1.5, SD 2 or SDXL."
        )
    found = {name: find_embedding(name, roots) for name in names}
    for path in found.values():
        read_header(path)
    return found


@contextmanager
def embeddings_laid(
    pipe: Any, texts: tuple[str, ...], negatives: tuple[str, ...], files: Mapping[str, Path]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The texts as `pipe` reads them while open, "embedding:name" being a word that its tokenizers know.

    Raises AigcError when a file has no vectors of an encoder's width; the pipeline is as before in any case.
    """
    words = {name: f"<embedding{place}-{re.sub('[^a-z0-9]+', '-', name.lower())}>" for place, name in enumerate(files)}
    with ExitStack() as stack:
        for tokenizer, encoder in PAIRS if files else ():
            if getattr(pipe, encoder, None) is not None:
                stack.enter_context(_own_words(pipe, tokenizer, getattr(pipe, encoder)))
                for name, path in files.items():
                    _add(pipe, getattr(pipe, tokenizer), encoder, words[name], path)

        def read(text: str) -> str:
            return WORD.sub(lambda match: words.get(match[1], match[0]), text)

        yield tuple(map(read, texts)), tuple(map(read, negatives))


def _add(pipe: Any, tokenizer: Any, encoder: str, word: str, path: Path) -> None:
    part = getattr(pipe, encoder)
    vectors = _vectors(path, encoder, part.get_input_embeddings().weight.shape[1])
    with torch.inference_mode(False):
        pipe.load_textual_inversion({word: vectors}, token=word, tokenizer=tokenizer, text_encoder=part)


def _vectors(path: Path, encoder: str, width: int) -> torch.Tensor:
    """The vectors [n, width] for one encoder: by its key, else the only ones of its width."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    fitting = {k: v for k, v in tensors.items() if v.ndim in (1, 2) and v.shape[-1] == width and v.is_floating_point()}
    key = KEYS[encoder] if KEYS[encoder] in fitting else next(iter(fitting)) if len(fitting) == 1 else None
    if key is None:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in list(tensors.items())[:4])
        raise AigcError(
            f"Expected vectors of width {width} for {encoder} in the embedding {path.name}, got {shapes or 'nothing'}. "
            "Use an embedding made for this model's family."
        )
    if not torch.isfinite(fitting[key].float()).all():
        raise AigcError(f"Expected finite numbers in the embedding {path.name}, got NaN or infinity. Use another file.")
    return fitting[key].reshape(-1, width)


@contextmanager
def _own_words(pipe: Any, name: str, encoder: Any) -> Iterator[None]:
    """Let a tokenizer and the table of its encoder grow, and put both back as they were."""
    tokenizer, table, config = getattr(pipe, name), encoder.get_input_embeddings(), encoder.config
    data, count, size = table.weight.data, table.num_embeddings, config.vocab_size
    inner = getattr(config, "text_config", None)
    setattr(pipe, name, copy.deepcopy(tokenizer))
    try:
        yield
    finally:
        setattr(pipe, name, tokenizer)
        encoder.set_input_embeddings(table)
        table.weight.data, table.num_embeddings, config.vocab_size = data, count, size
        if inner is not None:
            inner.vocab_size = size
