"""A Llama in a GGUF file as transformers has it: config, tokenizer, weights. Only what the default model needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .packed import NotRead, Packed

# GGUF's names of a layer's parts, and transformers'.
PARTS = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
ENDS = {
    "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight",
}  # fmt: skip
SPECIAL = 3  # a token's type: never part of a text


def fits(packed: Packed) -> bool:
    """Whether it is such a file: a Llama with SmolLM's words."""
    wanted = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm"}
    return all(packed.values.get(key) == value for key, value in wanted.items())


def config(packed: Packed) -> Any:
    """Raises NotRead when a number is missing."""
    from transformers import LlamaConfig

    try:
        of = {key.removeprefix("llama."): value for key, value in packed.values.items()}
        tokens = packed.values["tokenizer.ggml.tokens"]
        return LlamaConfig(
            vocab_size=len(tokens),
            hidden_size=of["embedding_length"],
            intermediate_size=of["feed_forward_length"],
            num_hidden_layers=of["block_count"],
            num_attention_heads=of["attention.head_count"],
            num_key_value_heads=of["attention.head_count_kv"],
            max_position_embeddings=of["context_length"],
            rms_norm_eps=of["attention.layer_norm_rms_epsilon"],
            rope_parameters={"rope_type": "default", "rope_theta": of["rope.freq_base"]},
            tie_word_embeddings="output.weight" not in packed.tensors,
            **_numbers(packed),
        )
    except KeyError as error:
        raise NotRead(f"{packed.path.name} does not say {error}") from error


def _numbers(packed: Packed) -> dict[str, Any]:
    names = {"bos": "bos", "eos": "eos", "padding": "pad"}
    found = {ours: packed.values.get(f"tokenizer.ggml.{name}_token_id") for name, ours in names.items()}
    return {f"{name}_token_id": value for name, value in found.items() if value is not None}


def weights(packed: Packed) -> Iterator[tuple[str, np.ndarray]]:
    """Each weight by transformers' name, as float32. Raises NotRead."""
    heads, fewer = (packed.values[f"llama.attention.head_count{end}"] for end in ("", "_kv"))
    for name in packed.tensors:
        value = packed.tensor(name)
        if name in ENDS:
            yield ENDS[name], value
            continue
        block, _, rest = name.removeprefix("blk.").partition(".")
        part = rest.removesuffix(".weight")
        if not block.isdigit() or part not in PARTS:
            raise NotRead(f"{packed.path.name} has a tensor {name}")
        if part in ("attn_q", "attn_k"):
            value = halves_apart(value, heads if part == "attn_q" else fewer)
        yield f"model.layers.{block}.{PARTS[part]}.weight", value


def halves_apart(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head from llama.cpp's order, where the two numbers that turn together are neighbours, to two halves."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[-1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def tokenizer(packed: Packed) -> Any:
    """A byte-level BPE whose digits stand alone, as SmolLM's does."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    values = packed.values
    tokens, kinds = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in values["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_])
    made.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds) if kind == SPECIAL]
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    named = {name.removesuffix("_id"): tokens[number] for name, number in _numbers(packed).items()}
    found = PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **named)
    found.chat_template = values.get("tokenizer.chat_template")
    return found


def save(packed: Packed, folder: Path) -> None:
    """A folder as transformers saves one, in bfloat16. Raises NotRead."""
    import torch
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    settings = config(packed)
    settings.architectures, settings.dtype = ["LlamaForCausalLM"], "bfloat16"
    tensors = {name: torch.from_numpy(value).to(torch.bfloat16).contiguous() for name, value in weights(packed)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    settings.save_pretrained(folder)
    GenerationConfig(**_numbers(packed)).save_pretrained(folder)
    tokenizer(packed).save_pretrained(folder)
    _shorten(folder / "tokenizer.json")


def _shorten(file: Path) -> None:
    """Without indents, and merges as texts: a third of the size, and read in half the time."""
    words = json.loads(file.read_text("utf-8"))
    words["model"]["merges"] = [" ".join(pair) for pair in words["model"]["merges"]]
    file.write_text(json.dumps(words, ensure_ascii=False, separators=(",", ":")), "utf-8")
