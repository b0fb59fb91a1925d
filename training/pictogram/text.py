"""The text encoder: learns to name concepts from captions, then stays as it is.

    python -m training.pictogram.text --work build/pictogram --minutes 4

Cross-entropy over concept and colour at the last token. English, Chinese, aliases and the emoji itself land on one
another, and the UNet starts from embeddings that already tell every concept from the others. Frozen embeddings cost
nothing in the diffusion training: each caption is encoded once.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from pipelines.train.tokenizing import tokens

from . import captions, recolour

DIM = 192
COLOUR_SHARE = 0.2


def new_text_encoder(tokenizer: PreTrainedTokenizerFast) -> CLIPTextModel:
    """An untrained two-layer text encoder for our tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=DIM,
            intermediate_size=4 * DIM,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=captions.LENGTH,
            projection_dim=DIM,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Sampler:
    """Draws pictures and captions. Held-out colour pairs are removed here, before anything is drawn."""

    def __init__(self, work: Path, dice: random.Random) -> None:
        self.dice = dice
        self.concepts = captions.load_concepts(work / "vocabulary.json")
        arrays = np.load(work / "pictures.npz")
        self.concept, self.colour = arrays["concept"], arrays["colour"]
        listed = self.concept < len(self.concepts)  # a shortened vocabulary needs no new pictures or latents
        self.originals = np.flatnonzero(listed & (self.colour < 0)).tolist()
        self.recoloured = [
            index
            for index in np.flatnonzero(listed & (self.colour >= 0)).tolist()
            if not recolour.held_out(self.concepts[self.concept[index]].emoji, recolour.COLOURS[self.colour[index]])
        ]
        names = [colour.name for colour in recolour.COLOURS]
        self.own = [names.index(item.own_colour) if item.own_colour else -1 for item in self.concepts]

    def picture(self) -> int:
        """Index of a picture: an original, or with ``COLOUR_SHARE`` a recoloured one."""
        return self.dice.choice(self.recoloured if self.dice.random() < COLOUR_SHARE else self.originals)

    def caption(self, index: int) -> str:
        """A random caption of one picture."""
        item = self.concepts[self.concept[index]]
        return captions.caption(item, int(self.colour[index]), self.own[item.id], self.dice)


def train(work: Path, minutes: float, batch: int = 32, rate: float = 1.5e-3) -> None:
    """Train on naming for a wall-clock budget, the rate falling linearly, and save to ``work/text_encoder``."""
    torch.manual_seed(0)
    sampler = Sampler(work, random.Random(0))
    captions.train_tokenizer(sampler.concepts, work / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    encoder, count = new_text_encoder(tokenizer), len(sampler.concepts)
    namer = nn.Linear(DIM, count + len(recolour.COLOURS) + 1)
    parameters = [*encoder.parameters(), *namer.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    start, step = time.monotonic(), 0
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / 100, 1 - done)
        indices = [sampler.picture() for _ in range(batch)]
        ids = tokens(tokenizer, [sampler.caption(index) for index in indices])
        last = (ids == tokenizer.eos_token_id).int().argmax(1)
        logits = namer(encoder(ids).last_hidden_state[torch.arange(batch), last])
        concept = F.cross_entropy(logits[:, :count], torch.from_numpy(sampler.concept[indices]))
        colours = torch.from_numpy(sampler.colour[indices]) % (len(recolour.COLOURS) + 1)
        loss = concept + 0.3 * F.cross_entropy(logits[:, count:], colours)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            with (work / "text.jsonl").open("a") as file:
                file.write(json.dumps({"captions": step * batch, "loss": round(loss.item(), 4)}) + "\n")
    encoder.save_pretrained(work / "text_encoder")


class CaptionBank:
    """Captions of every picture, each encoded once by the frozen text encoder."""

    def __init__(self, work: Path, sampler: Sampler, originals: int = 24, recoloured: int = 6) -> None:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
        encoder = CLIPTextModel.from_pretrained(work / "text_encoder", dtype=torch.float32).eval()
        places: dict[str, int] = {"": 0}
        self.choices: dict[int, list[int]] = {}
        for pool, count in ((sampler.originals, originals), (sampler.recoloured, recoloured)):
            for index in pool:
                texts = [sampler.caption(index) for _ in range(count)]
                self.choices[index] = [places.setdefault(text, len(places)) for text in texts]
        ids = tokens(tokenizer, list(places))
        with torch.no_grad():
            self.hidden = torch.cat([encoder(part).last_hidden_state.half() for part in ids.split(64)])

    def __call__(self, rows: list[int]) -> Tensor:
        """Hidden states [B, LENGTH, DIM] of captions by number; 0 is the empty caption."""
        return self.hidden[rows].float()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.work, args.minutes)


if __name__ == "__main__":
    main()
