"""Tokenizers and processors made here, without a download: one token a letter or byte, and each class's special words."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

LETTERS = list(string.ascii_letters + string.digits + string.punctuation)
QWEN = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<think>", "</think>",
]  # fmt: skip
GLM_IMAGE = {"image_token": "<|image|>", "grid_bos_token": "<sop>", "grid_eos_token": "<eop>", "bos_token": "<start>"}
GLM_IMAGE_TOKEN, GLM_START = 256 + 3, 256 + 6  # the word after the start ends a picture
IMAGE_TOKEN, VIDEO_TOKEN, VISION_START = 256 + 6, 256 + 7, 256 + 3  # their places in Qwen's vocabulary here
CLIP_WORDS = 2 * 256 + 2

# A chat as one line a message; pictures are the model's picture words.
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ m['role'] }} {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}[IMG]{% elif 'text' in c %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %} {% endfor %}"
)


def _bytes() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _numbered(words: list[str]) -> dict[str, int]:
    return {word: i for i, word in enumerate(words)}


def _scored(words: list[str]) -> list[tuple[str, float]]:
    return [(word, -float(i % 7 + 1)) for i, word in enumerate(words)]


def clip(cls: Any) -> Any:
    words = [*_bytes(), *(f"{letter}</w>" for letter in _bytes()), "<|startoftext|>", "<|endoftext|>"]
    return cls(vocab=_numbered(words), merges=[], model_max_length=77)


def t5(cls: Any) -> Any:
    return cls(vocab=_scored(["<pad>", "</s>", "<unk>", "▁", *LETTERS]), extra_ids=0, model_max_length=512)


def qwen(cls: Any) -> Any:
    tokenizer = cls(
        vocab=_numbered([*_bytes(), *QWEN]), merges=[], extra_special_tokens=QWEN[1:8], model_max_length=2048
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def gemma(cls: Any) -> Any:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    tokenizer = cls(vocab=_numbered(words), merges=[], model_max_length=512)
    tokenizer.chat_template = PLAIN
    return tokenizer


def llama(cls: Any) -> Any:
    pictures, turns = (
        ["[IMG]", "[IMG_BREAK]", "[IMG_END]", "<image>"],
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    )
    words = ["<unk>", *pictures[:3], "<s>", "</s>", "<pad>", pictures[3], "▁", *LETTERS, *turns]
    tokenizer = cls(
        vocab=_numbered(words),
        merges=[],
        pad_token="<pad>",
        extra_special_tokens=[*pictures, *turns],
        model_max_length=512,
    )
    tokenizer.chat_template = PLAIN
    return tokenizer


def bert(cls: Any) -> Any:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    return cls(vocab=_numbered(words), model_max_length=77)


def roberta(cls: Any) -> Any:
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *_bytes()]
    return cls(vocab=_numbered(words), merges=[], model_max_length=77)


def gpt2(cls: Any) -> Any:
    tokenizer = cls(vocab=_numbered([*_bytes(), "<|endoftext|>"]), merges=[], pad_token="<|endoftext|>")
    tokenizer.chat_template = PLAIN
    return tokenizer


def xlm(cls: Any) -> Any:
    return cls(vocab=_scored(["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS, "<mask>"]), model_max_length=77)


def byt5(cls: Any) -> Any:
    return cls(model_max_length=128)


def glm(cls: Any) -> Any:
    """ChatGLM reads a SentencePiece file: one is trained on the letters."""
    import sentencepiece

    folder = Path(tempfile.mkdtemp(prefix="coverage-"))
    (folder / "text").write_text("\n".join("".join(LETTERS[i:]) + " a photo" for i in range(60)), "utf-8")
    sentencepiece.SentencePieceTrainer.Train(
        input=str(folder / "text"), model_prefix=str(folder / "m"), vocab_size=140, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    return cls(vocab_file=str(folder / "m.model"))


def qwen_vl(cls: Any) -> Any:
    import transformers as t

    third = "3VL" in cls.__name__
    pictures = t.Qwen2VLImageProcessor(patch_size=16 if third else 14, min_pixels=56 * 56, max_pixels=64 * 64)
    videos = t.Qwen3VLVideoProcessor() if third else t.Qwen2VLVideoProcessor()
    return cls(pictures, qwen(t.Qwen2Tokenizer), videos, chat_template=CHAT)


def glm_image(cls: Any) -> Any:
    import transformers as t
    from transformers.models.glm_image.image_processing_glm_image import GlmImageImageProcessor

    tokenizer = t.Qwen2Tokenizer(
        vocab=_numbered([*_bytes(), *QWEN[:3], *GLM_IMAGE.values(), "<end>"]), merges=[], model_max_length=2048,
        extra_special_tokens={**GLM_IMAGE, "end_token": "<end>"}, bos_token=GLM_IMAGE["bos_token"],
    )  # fmt: skip
    pictures = GlmImageImageProcessor(
        patch_size=32, temporal_patch_size=1, merge_size=1, min_pixels=64 * 64, max_pixels=64 * 64
    )
    chat = CHAT.replace("<|vision_start|><|image_pad|><|vision_end|>", "<start><|image|><end>")
    return cls(pictures, tokenizer, chat_template=chat)


def pixtral(cls: Any) -> Any:
    import transformers as t

    return t.PixtralProcessor(t.PixtralImageProcessor(), llama(t.LlamaTokenizer), patch_size=16, chat_template=PLAIN)


def clip_pictures(cls: Any) -> Any:
    return cls(crop_size={"height": 32, "width": 32}, size={"shortest_edge": 32})


def siglip_pictures(cls: Any) -> Any:
    return cls(size={"height": 32, "width": 32})


def clip_both(cls: Any) -> Any:
    import transformers as t

    return cls(image_processor=clip_pictures(t.CLIPImageProcessor), tokenizer=clip(t.CLIPTokenizer))


def clap_sound(cls: Any) -> Any:
    return cls(hop_length=7900)


def plain(cls: Any) -> Any:
    return cls()


MAKE: dict[str, Callable[[Any], Any]] = {
    "CLIPTokenizer": clip,
    "CLIPTokenizerFast": clip,
    "T5Tokenizer": t5,
    "T5TokenizerFast": t5,
    "Qwen2Tokenizer": qwen,
    "Qwen2TokenizerFast": qwen,
    "GemmaTokenizer": gemma,
    "GemmaTokenizerFast": gemma,
    "LlamaTokenizer": llama,
    "LlamaTokenizerFast": llama,
    "BertTokenizer": bert,
    "RobertaTokenizer": roberta,
    "GPT2Tokenizer": gpt2,
    "XLMRobertaTokenizer": xlm,
    "ByT5Tokenizer": byt5,
    "ChatGLMTokenizer": glm,
    "Qwen2VLProcessor": qwen_vl,
    "Qwen2_5_VLProcessor": qwen_vl,
    "Qwen3VLProcessor": qwen_vl,
    "GlmImageProcessor": glm_image,
    "PixtralProcessor": pixtral,
    "CLIPImageProcessor": clip_pictures,
    "SiglipImageProcessor": siglip_pictures,
    "Siglip2ImageProcessor": plain,
    "CLIPProcessor": clip_both,
    "ClapFeatureExtractor": clap_sound,
    "DPTImageProcessor": siglip_pictures,
}
