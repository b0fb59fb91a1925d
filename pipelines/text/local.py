"""An answer by a model of transformers on this machine, word by word."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch

from ..errors import AigcError
from ..runtime import Runtime
from .asking import Asked, Sampling, until_stop
from .drawing import processors
from .opening import Language

OnText = Callable[[str, int, int], None]
# What a model's own generation_config may ask for; the node's numbers are meant instead.
PLAIN = {"do_sample": False, "num_beams": 1, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.0}


class _Written:
    """What transformers calls a streamer: gets the prompt's tokens first, then each new one."""

    def __init__(self, language: Language, asked: Asked, most: int, on_text: OnText, runtime: Runtime) -> None:
        self.tokenizer, self.asked, self.most = language.tokenizer, asked, most
        self.on_text, self.runtime = on_text, runtime
        self.tokens: list[int] | None = None
        self.stopped = False

    def put(self, value: torch.Tensor) -> None:
        if self.tokens is None:
            self.tokens = []
            return
        self.tokens += value.flatten().tolist()
        self.runtime.check_interrupt()
        text = self.text(ended=False)
        self.on_text(text, len(self.tokens), self.most)

    def text(self, *, ended: bool) -> str:
        words = self.tokenizer.decode(self.tokens or [], skip_special_tokens=True)
        # A letter that is not whole yet ends in U+FFFD.
        found = until_stop(words if ended else words.rstrip("\ufffd"), self.asked.stops, ended=ended)
        self.stopped = self.stopped or found.met
        return found.text

    def end(self) -> None:
        pass

    def criteria(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self.stopped, device=input_ids.device)


def answer(language: Language, asked: Asked, sampling: Sampling, *, on_text: OnText, runtime: Runtime) -> str:
    """What the model answers, without its stop. on_text(text so far, new tokens, most) is called after each token.

    What check_interrupt raises passes through, after on_text has had what was written. Raises AigcError for a prompt that is
    longer than the model, and for images when it does not see any.
    """
    from transformers import StoppingCriteriaList

    given = inputs(language, asked)
    length = given["input_ids"].shape[1]
    most = _room(language, length, sampling.max_new_tokens)
    written = _Written(language, asked, most, on_text, runtime)
    try:
        with torch.inference_mode():
            language.model.generate(
                **given,
                generation_config=_settings(language, most),
                logits_processor=processors(sampling, length),
                stopping_criteria=StoppingCriteriaList([written.criteria]),
                streamer=written,
            )
    finally:
        text = written.text(ended=True)
        on_text(text, most, most)
    return text


def _settings(language: Language, most: int) -> Any:
    """The model's own ends, nothing else of its own: what is drawn is this node's business."""
    tokenizer = language.tokenizer
    own = deepcopy(language.model.generation_config)
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    ends = sorted({end for end in (*ends, tokenizer.eos_token_id) if end is not None})
    pad = next((token for token in (own.pad_token_id, tokenizer.pad_token_id, *ends) if token is not None), None)
    own.update(**PLAIN, max_length=None, max_new_tokens=most, eos_token_id=ends or None, pad_token_id=pad)
    return own


def _room(language: Language, length: int, most: int) -> int:
    config = language.model.config.get_text_config()
    holds = getattr(config, "max_position_embeddings", None)
    if holds is not None and length >= holds:
        raise AigcError(
            f"Expected a prompt of fewer than {holds} tokens for this model, got {length}: shorten it, or take a model with a "
            "longer context."
        )
    return most if holds is None else min(most, holds - length)


def inputs(language: Language, asked: Asked) -> Any:
    """The model's inputs: tokens, and pixels where there are images. Raises AigcError."""
    pictures = pictures_of(asked.images)
    if pictures and language.processor is None:
        raise AigcError(
            f"Expected a model that sees for {len(pictures)} image(s), got {type(language.model).__name__}, which reads text only: "
            "take a vision-language model such as HuggingFaceTB/SmolVLM-256M-Instruct, or leave the image off."
        )
    words = worded(language, asked, len(pictures)) + asked.begun
    if language.processor is not None:
        shown = {"images": pictures} if pictures else {}
        return language.processor(text=[words], return_tensors="pt", **shown).to(
            language.model.device, language.model.dtype
        )
    # A chat template writes the first token itself.
    special = not getattr(language.tokenizer, "chat_template", None)
    found = language.tokenizer([words], return_tensors="pt", add_special_tokens=special, return_token_type_ids=False)
    return found.to(language.model.device)


def pictures_of(images: Any) -> list[Any]:
    """IMAGE [B,H,W,C] in 0..1 as PIL pictures."""
    if images is None:
        return []
    from PIL import Image

    levels = (images[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return [Image.fromarray(rgb) for rgb in levels]


def worded(language: Language, asked: Asked, pictures: int) -> str:
    """The whole prompt as the model's chat template has it; for a model without one, plain paragraphs to be continued."""
    templated = language.processor if language.processor is not None else language.tokenizer
    if not getattr(templated, "chat_template", None):
        mark = getattr(templated, "image_token", "") if pictures else ""
        said = [asked.system, *(part for turn in asked.turns for part in turn), mark * pictures + asked.prompt]
        return "\n\n".join(part for part in said if part)
    from jinja2 import TemplateError

    for system_first in (True, False):
        turns = messages(asked, pictures, in_parts=language.processor is not None, system_first=system_first)
        try:
            return templated.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
        except TemplateError as error:  # raised by the template itself: it may know no system turn
            if not system_first or not asked.system:
                raise AigcError(
                    f"Expected a chat template that takes this conversation, but it says: {str(error)[:200]}. Take another model."
                ) from error
    raise AssertionError


def messages(asked: Asked, pictures: int, *, in_parts: bool, system_first: bool) -> list[dict[str, Any]]:
    """The conversation. system_first: as a turn of its own; some templates have none, then it begins the first question."""

    def turn(role: str, text: str, shown: int = 0) -> dict[str, Any]:
        parts = [*[{"type": "image"}] * shown, {"type": "text", "text": text}]
        return {"role": role, "content": parts if in_parts else text}

    said = [(role, text) for pair in asked.turns for role, text in zip(("user", "assistant"), pair)]
    said.append(("user", asked.prompt))
    if asked.system and not system_first:
        said[0] = ("user", f"{asked.system}\n\n{said[0][1]}")
    first = [turn("system", asked.system)] if asked.system and system_first else []
    return [*first, *(turn(role, text) for role, text in said[:-1]), turn("user", said[-1][1], pictures)]
