"""Language models for tests: the real classes at tiny size, random weights, a letter is a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SEES = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<image>", "<fake_token_around_image>", "<global-img>")


def tokenizer(template: str = CHAT, **more: Any) -> Any:
    """Bytes, and a few special tokens: any text has its tokens, and comes back from them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    names = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[1]}
    found = PreTrainedTokenizerFast(tokenizer_object=made, **names, **more)
    found.chat_template = template
    return found


SMALL = {
    "vocab_size": 272, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "eos_token_id": 257, "bos_token_id": 256, "pad_token_id": 257,
}  # fmt: skip


def llama(folder: Path, *, template: str = CHAT, seed: int = 0, **config: Any) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    return _saved(LlamaForCausalLM, LlamaConfig(**{**SMALL, **config}), tokenizer(template), folder, seed)


def qwen(folder: Path) -> Path:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return _saved(Qwen2ForCausalLM, Qwen2Config(**SMALL), tokenizer(), folder, 1)


def smolvlm(folder: Path) -> Path:
    """A model that sees: Idefics 3, which SmolVLM is made of."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3 import Idefics3ImageProcessor, Idefics3VisionConfig
    from transformers.models.llama import LlamaConfig

    vision = Idefics3VisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8
    )
    config = Idefics3Config(
        vision_config=vision, text_config=LlamaConfig(**SMALL), image_token_id=258, scale_factor=2, pad_token_id=257
    )
    # One square of 32 pixels, not cut in pieces.
    square = {"longest_edge": 32}
    pictures = Idefics3ImageProcessor(do_image_splitting=False, size=square, max_image_size=square)
    words = tokenizer(SEES)
    folder = _saved(Idefics3ForConditionalGeneration, config, words, folder, 2)
    Idefics3Processor(pictures, words, image_seq_len=4, chat_template=SEES).save_pretrained(folder)
    return folder


def _saved(kind: Any, config: Any, words: Any, folder: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config)
    for parameter in model.parameters():  # a random model of the usual scale says one letter for ever
        parameter.data *= 4
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
