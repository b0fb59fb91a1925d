"""How a word that no dictionary has is said: a small BART from letters to sounds, whose weights a package brings.

One layer each way and one head, so that it is a page of torch (Lewis et al. 2019, arXiv 1910.13461: sums are normalised after
they are made). Not transformers' class, whose import takes longer than all the words of a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 40  # letters; the model has 64 places
OFFSET = 2  # BART's first two places are never used
SPECIAL = 4  # padding, begin, end, unknown


class Speller(NamedTuple):
    """weights: by BART's names. begin, end, start: tokens around the letters, and before the sounds."""

    weights: Mapping[str, Any]
    letters: Mapping[str, int]
    sounds: str
    begin: int
    end: int
    start: int


def guess(path: Path, word: str) -> str:
    """The sounds of a word in small letters, the likeliest one by one; "" for none."""
    import torch

    if not word:
        return ""
    model = opened(path)
    letters = [model.begin, *(model.letters.get(letter, 3) for letter in word[:LONGEST]), model.end]
    said = [model.start]
    with torch.inference_mode():
        heard = encoded(model.weights, letters)
        while said[-1] != model.end or len(said) == 1:
            said.append(int(scored(model.weights, heard, said)[-1].argmax()))
            if len(said) == 2 * LONGEST - 20:
                break
    return "".join(model.sounds[sound] for sound in said[1:] if SPECIAL <= sound < len(model.sounds))


def encoded(weights: Mapping[str, Any], letters: list[int]) -> Any:
    """Token numbers [L] -> [L, d]."""
    return _layer(weights, "model.encoder", _placed(weights, "model.encoder", letters), None)


def scored(weights: Mapping[str, Any], heard: Any, said: list[int]) -> Any:
    """The scores of the next sound after each of `said`, [S, tokens]."""
    x = _layer(weights, "model.decoder", _placed(weights, "model.decoder", said), heard)
    return x @ weights["model.shared.weight"].T + weights["final_logits_bias"][0]


def _placed(w: Mapping[str, Any], side: str, tokens: list[int]) -> Any:
    places = w[f"{side}.embed_positions.weight"][OFFSET : OFFSET + len(tokens)]
    return _normed(w, f"{side}.layernorm_embedding", w["model.shared.weight"][tokens] + places)


def _layer(w: Mapping[str, Any], side: str, x: Any, heard: Any) -> Any:
    from torch.nn import functional as F

    name = f"{side}.layers.0"
    x = _normed(w, f"{name}.self_attn_layer_norm", x + _attended(w, f"{name}.self_attn", x, x, heard is not None))
    if heard is not None:
        seen = _attended(w, f"{name}.encoder_attn", x, heard, False)
        x = _normed(w, f"{name}.encoder_attn_layer_norm", x + seen)
    wide = F.gelu(F.linear(x, w[f"{name}.fc1.weight"], w[f"{name}.fc1.bias"]))
    return _normed(w, f"{name}.final_layer_norm", x + F.linear(wide, w[f"{name}.fc2.weight"], w[f"{name}.fc2.bias"]))


def _attended(w: Mapping[str, Any], name: str, x: Any, over: Any, causal: bool) -> Any:
    from torch.nn import functional as F

    def projected(kind: str, of: Any) -> Any:
        return F.linear(of, w[f"{name}.{kind}_proj.weight"], w[f"{name}.{kind}_proj.bias"])

    q, k, v = projected("q", x), projected("k", over), projected("v", over)
    mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal)[0]
    return projected("out", mixed)


def _normed(w: Mapping[str, Any], name: str, x: Any) -> Any:
    from torch.nn import functional as F

    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


@lru_cache(maxsize=1)
def opened(path: Path) -> Speller:
    import numpy as np
    import torch

    with np.load(path, allow_pickle=False) as held:
        facts = json.loads(str(held["meta_json"]))
        weights = {name: torch.from_numpy(held[name].astype(np.float32)) for name in held.files if name != "meta_json"}
    letters = {letter: number for number, letter in enumerate(facts["grapheme_chars"]) if number >= SPECIAL}
    ids = (int(facts[name]) for name in ("bos_token_id", "eos_token_id", "decoder_start_token_id"))
    return Speller(weights, letters, str(facts["phoneme_chars"]), *ids)
