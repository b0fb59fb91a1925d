"""The judge of prompt agreement: a linear map from the model's latents to its text encoder, fitted in closed form.

    python -m training.pictogram.agreement --work build/pictogram --out models/judges/pictogram-agreement.safetensors

Needs ``pictures.npz`` and ``generated.pt``. Never fitted on: the held-out pairs of colour and thing, and a third of the generated
ones; the figures that it prints, and the calibration, are of those, against prompts of other pictures.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch.nn import functional as F

from pipelines.payloads import Discriminator, JudgeSpec
from pipelines.score.agreement import Agreement, Texts, fitted, save
from pipelines.score.judge import Beside
from pipelines.score.statistics import auc, platt

from .held_out import prompts_of
from .text import Sampler
from .vae import SCALING, encode_all, load_pixels

RIDGE = 100.0
SPEC = JudgeSpec(
    id="pictogram agreement",
    licence="Apache-2.0",
    modality="latent",
    space="latent:pictogram",
    unit="cosine",
    needs_prompt=True,
    scale=SCALING,
    note="whether a picture of the embedded model shows its prompt, English or Chinese; 1 is the very words, 0 other ones",
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("models/judges/pictogram-agreement.safetensors"))
    args = parser.parse_args()
    sampler, prompts = Sampler(args.work, random.Random(0)), prompts_of(args.work)
    concept = torch.tensor(sampler.concept)
    real = encode_all(AutoencoderTiny.from_pretrained(args.model / "vae").eval(), load_pixels(args.work))
    made = torch.load(args.work / "generated.pt", weights_only=True)
    known = torch.tensor(sorted([*sampler.originals, *sampler.recoloured]))
    apart = torch.ones(len(real), dtype=torch.bool)
    apart[known] = False
    order = torch.randperm(len(made["index"]), generator=torch.Generator().manual_seed(0))
    first, last = order[: 2 * len(order) // 3], order[2 * len(order) // 3 :]
    texts = Texts(args.model)
    with torch.no_grad():
        embeddings = torch.cat([texts(prompts[i : i + 128]) for i in range(0, len(prompts), 128)])
    middle = embeddings.mean(0)
    latents, index = torch.cat([real[known], made["latents"][first]]), torch.cat([known, made["index"][first]])
    weight = fitted(latents, embeddings[index] - middle, RIDGE).half().float()
    judge = Agreement(SPEC, texts, weight, middle)
    held = {
        "recoloured": (real[apart], apart.nonzero().flatten()),
        "generated": (made["latents"][last], made["index"][last]),
    }
    candidates = F.normalize(embeddings - middle, dim=1)
    right, wrong, facts = [], [], {}
    for name, (x, rows) in held.items():
        seen = F.normalize(x.flatten(1) @ weight[:-1] + weight[-1], dim=1)
        found = concept[(seen @ candidates.T).argmax(1)] == concept[rows]
        other = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))]
        differs = concept[other] != concept[rows]
        with torch.no_grad():
            scores = [judge.judged(x, Beside(prompts=[prompts[i] for i in chosen])) for chosen in (rows, other)]
        right, wrong = [*right, scores[0]], [*wrong, scores[1][differs]]
        facts[name] = {
            "pictures": len(rows), "concept_top1": round(float(found.float().mean()), 4),
            "auc": round(auc(scores[0], scores[1][differs]), 4), "right": round(float(scores[0].mean()), 3),
            "wrong": round(float(scores[1][differs].mean()), 3),
        }  # fmt: skip
    calibration = platt(torch.cat(right), torch.cat(wrong))
    save(args.out, Discriminator(SPEC, "agreement", calibration=calibration), weight, middle, args.model.name)
    print(json.dumps({**facts, "calibration": calibration}))


if __name__ == "__main__":
    main()
