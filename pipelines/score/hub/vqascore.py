"""VQAScore: the probability that a model which reads pictures answers "Yes" (Lin et al. 2024, arXiv 2404.01291)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ...errors import AigcError
from ...payloads import Discriminator, JudgeSpec
from ..judge import Beside, Judge
from .weights import frozen

QUESTION = 'Does this figure show "{}"? Please answer yes or no.'  # section 3 of the paper
ANSWER = "Yes"


class VqaScore(Judge):
    """The score is the log-odds of the probability, which is the raw value."""

    chunk = 1

    def __init__(self, spec: JudgeSpec, model: Any, processor: Any) -> None:
        self.spec, self.model, self.processor = spec, model, processor
        self.yes = processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"][0]

    def parts(self) -> list[nn.Module]:
        return [self.model]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        found = [self._yes(picture, text) for picture, text in zip(x, beside.prompts)]
        sure = torch.stack(found).double().clamp_max(-1e-12) if found else x.new_zeros(0).double()
        return (sure - torch.log(-torch.expm1(sure))).float()

    def raw(self, logit: torch.Tensor) -> torch.Tensor:
        return logit.sigmoid()

    def _yes(self, picture: torch.Tensor, text: str) -> torch.Tensor:
        """log P("Yes") of one picture [3, H, W] and its prompt."""
        asked = self.processor(text=[self.asked(text)], images=[as_pil(picture)], return_tensors="pt")
        asked = asked.to(self.model.device, self.model.dtype)
        return self.model(**asked).logits[0, -1].float().log_softmax(-1)[self.yes]

    def asked(self, text: str) -> str:
        """The question as the model's own chat template puts it; bare for a model that has none."""
        question = QUESTION.format(text)
        if not self.processor.chat_template:
            return question
        content = [{"type": "image"}, {"type": "text", "text": question}]
        turns = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)


def as_pil(picture: torch.Tensor) -> Any:
    """[3, H, W] in 0..1 as an 8-bit PIL picture."""
    from PIL import Image

    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy())


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> VqaScore:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = discriminator.path
    assert folder is not None
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise AigcError(
            f"Expected a model of transformers that takes pictures and words, got {folder.name} "
            f"({(str(error).splitlines() or [''])[0][:160]}): take one such as Qwen/Qwen2.5-VL-7B-Instruct."
        ) from error
    return VqaScore(discriminator.spec, frozen(model), processor)
