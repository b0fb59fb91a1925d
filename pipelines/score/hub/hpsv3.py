"""HPSv3: Qwen2-VL asked for a rating, and a ranking head at the token that stands for it (arXiv 2508.03789)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import AigcError
from ...payloads import Discriminator, JudgeSpec
from ..judge import Beside, Judge
from .pictures import normalised, resized
from .weights import below, filled, fit, read, renamed

QUESTION = Path(__file__).with_name("hpsv3_question.txt")  # word for word what the model was trained with (MIT)
REWARD = "<|Reward|>"
PIXELS = 256 * 28 * 28  # every picture has about so many
# The names of transformers 4.45, which it was saved with, to today's.
NAMES = ((r"^visual\.", "model.visual."), (r"^model\.(?!visual\.|language_model\.)", "model.language_model."))


class Ranking(nn.Module):
    """[.., D] -> [.., 2]: the mean and the logarithm of the spread."""

    def __init__(self, width: int, middle: int, last: int) -> None:
        super().__init__()
        steps = (
            nn.Linear(width, middle),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(middle, last),
            nn.ReLU(),
            nn.Linear(last, 2),
        )
        self.steps = nn.Sequential(*steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x)


class HpsV3(Judge):
    chunk = 1

    def __init__(self, spec: JudgeSpec, model: Any, head: Ranking, processor: Any) -> None:
        self.spec, self.model, self.head, self.processor = spec, model, head, processor
        self.reward = processor.tokenizer.convert_tokens_to_ids(REWARD)

    def parts(self) -> list[nn.Module]:
        return [self.model, self.head]

    def judged(self, x: torch.Tensor, beside: Beside) -> torch.Tensor:
        found = [self._rated(picture[None], text) for picture, text in zip(x, beside.prompts)]
        return torch.cat(found) if found else x.new_zeros(0)

    def _rated(self, picture: torch.Tensor, text: str) -> torch.Tensor:
        patches, grid = patched(picture, self.processor.image_processor)
        tokens = self.processor.tokenizer(self.asked(text, grid), return_tensors="pt")["input_ids"].to(picture.device)
        at = (tokens[0] == self.reward).nonzero()[-1, 0]
        # It was trained with positions that simply count, also over the picture.
        places = torch.arange(tokens.shape[1], device=tokens.device).expand(3, 1, -1)
        hidden = self.model.model(
            input_ids=tokens,
            position_ids=places,
            pixel_values=patches.to(self.model.dtype),
            image_grid_thw=torch.tensor([grid], device=tokens.device),
            mm_token_type_ids=(tokens == self.model.config.image_token_id).int(),
            use_cache=False,
        ).last_hidden_state
        return self.head(hidden[:, at].float())[:, 0]

    def asked(self, text: str, grid: tuple[int, int, int]) -> str:
        """The question in the model's chat template, with one image token for each merged patch."""
        question = QUESTION.read_text("utf-8").replace("{text_prompt}", text)
        content = [{"type": "image"}, {"type": "text", "text": question}]
        turns = [{"role": "user", "content": content}]
        said = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        token, merged = self.processor.image_token, self.processor.image_processor.merge_size**2
        return said.replace(token, token * (math.prod(grid) // merged))


def sides(height: int, width: int, factor: int) -> tuple[int, int]:
    """Height and width as Qwen2-VL's code resizes to PIXELS at most and at least: whole multiples of `factor`."""
    high, wide = (max(factor, round(n / factor) * factor) for n in (height, width))
    if high * wide != PIXELS:
        scale = math.sqrt(PIXELS / (height * width))
        whole = math.floor if high * wide > PIXELS else math.ceil
        high, wide = (max(factor, whole(n * scale / factor) * factor) for n in (height, width))
    return high, wide


def patched(picture: torch.Tensor, settings: Any) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """One picture [1, 3, H, W] as Qwen2-VL takes it: patches [N, C T P P] in groups that are merged, and (frames, rows,
    columns). In torch, so that slopes pass. settings: the model's image processor."""
    patch, merge, frames = settings.patch_size, settings.merge_size, settings.temporal_patch_size
    x = resized(picture, *sides(picture.shape[-2], picture.shape[-1], patch * merge))
    x = normalised(x, tuple(settings.image_mean), tuple(settings.image_std))
    rows, columns = (n // patch for n in x.shape[-2:])
    x = x.reshape(3, rows // merge, merge, patch, columns // merge, merge, patch).permute(1, 4, 2, 5, 0, 3, 6)
    x = x.unsqueeze(5).expand(-1, -1, -1, -1, -1, frames, -1, -1)  # one still picture fills all frames
    return x.reshape(rows * columns, -1), (1, rows, columns)


def open_judge(discriminator: Discriminator, dtype: torch.dtype) -> HpsV3:
    from transformers import AutoProcessor, Qwen2VLConfig, Qwen2VLForConditionalGeneration

    path, name = discriminator.path, discriminator.spec.id
    assert path is not None
    folder = dict(discriminator.files)["processor"].parent
    released = read(path)
    try:
        processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        config: Any = Qwen2VLConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise AigcError(
            f"Expected config.json, the tokenizer and the processor of Qwen2-VL for {name}, got {folder.name} "
            f"({(str(error).splitlines() or [''])[0][:160]}): copy every .json and .txt file of Qwen/Qwen2-VL-7B-Instruct."
        ) from error
    processor.tokenizer.add_special_tokens({"additional_special_tokens": [REWARD]})
    own = {key: value for key, value in released.items() if not key.startswith("rm_head.")}
    config.text_config.vocab_size = own["model.embed_tokens.weight"].shape[0]  # grown by the token
    ranks = below(released, "rm_head.")
    head = Ranking(ranks["0.weight"].shape[1], ranks["0.weight"].shape[0], ranks["3.weight"].shape[0])
    model = filled(Qwen2VLForConditionalGeneration, config, renamed(own, NAMES), dtype, name)
    return HpsV3(discriminator.spec, model, fit(head, {f"steps.{k}": v for k, v in ranks.items()}, name), processor)
