"""The model that writes tunes: a small Llama of transformers over the tokens of `tokens`."""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AigcError
from . import tokens

if TYPE_CHECKING:
    import torch

LONGEST = 2048


def build(width: int = 144, layers: int = 4, heads: int = 6, dropout: float = 0.0) -> Any:
    """A fresh model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokens.COUNT,
            hidden_size=width,
            intermediate_size=8 * width // 3 // 8 * 8,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=LONGEST,
            attention_dropout=dropout,
            tie_word_embeddings=True,
            bos_token_id=tokens.START,
            eos_token_id=tokens.END,
            pad_token_id=tokens.PAD,
        )
    )


@lru_cache(maxsize=1)
def load(folder: Path) -> Any:
    """From a folder of transformers, in float32. Raises AigcError for one that has other tokens."""
    import torch
    from transformers import LlamaForCausalLM

    net = LlamaForCausalLM.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True)
    if net.config.vocab_size != tokens.COUNT:
        raise AigcError(
            f"Expected a model of {tokens.COUNT} tokens, got {net.config.vocab_size} in {folder.name}: it was trained by another "
            "version; take the one that comes with this pack."
        )
    return net.eval()


def cache_name(net: Any) -> str:
    """What transformers calls the keys and values of the tokens before: its name was changed in version 5."""
    return "cache" if "cache" in inspect.signature(net.forward).parameters else "past_key_values"


def chosen(logits: torch.Tensor, allowed: list[int], temperature: float, top_p: float, rng: torch.Generator) -> int:
    """One of the allowed tokens, by softmax(logits / temperature) cut to the likeliest that make up top_p.

    logits: [vocabulary]. temperature 0 takes the likeliest. Holtzman et al. 2019, arXiv 1904.09751, section 3.1.
    """
    import torch

    if len(allowed) == 1:
        return allowed[0]
    scores = logits[allowed].double()
    if temperature <= 0:
        return allowed[int(scores.argmax())]
    chance, order = (scores / temperature).softmax(0).sort(descending=True)
    kept = chance.cumsum(0) - chance < top_p
    chance = chance * kept
    return allowed[int(order[torch.multinomial(chance / chance.sum(), 1, generator=rng)])]
