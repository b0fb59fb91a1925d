"""The head of `natural`: photographs against the same ones spoiled, by their 36 features.

    python -m training.natural.fit --work build/natural --out pipelines/score/natural_head.json

A fifth of the photographs is held out whole; the figures and the calibration are of those. Prints both.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipelines.score import natural, spectrum
from pipelines.score.scene_statistics import brisque_features
from pipelines.score.statistics import auc, log_loss, platt

from .distortions import ALL, distorted

SIZES = (96, 128, 128, 192, 192, 256, 256, 384)
CROPS = 10  # of a photograph
FLAT = 0.03  # crops with less contrast say nothing: sky is sky, blurred or not
HELD_OUT = 5  # every fifth photograph, by name


def crops(photo: Tensor, dice: random.Random) -> list[Tensor]:
    """Square crops [3, s, s] of several sizes; large photographs are made smaller first, by several ratios."""
    made: list[Tensor] = []
    for _ in range(20 * CROPS):
        side = dice.choice(SIZES)
        short = min(photo.shape[1:])
        ratio = dice.uniform(max(side / short, 0.35), 1 if short < 700 else 0.8) if short > side else 1
        x = photo
        if ratio < 0.95:
            size = [round(n * ratio) for n in photo.shape[1:]]
            x = nn.functional.interpolate(photo[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        side = min(side, *x.shape[1:])
        top, left = dice.randint(0, x.shape[1] - side), dice.randint(0, x.shape[2] - side)
        crop = (255 * x[:, top : top + side, left : left + side]).round() / 255
        if float(crop.mean(0).std()) > FLAT:
            made.append(crop)
        if len(made) == CROPS:
            break
    return made


@torch.no_grad()
def examples(photos: Path) -> dict[str, Tensor]:
    """features [N, 36], tail [N] (the spectrum's fall-off and level), kind [N] (0 clean, else place in ALL + 1), photo [N]."""
    features, tails, kinds, numbers = [], [], [], []
    for number, path in enumerate(sorted(photos.glob("*.png"))):
        dice = random.Random(number)
        photo = torch.from_numpy(np.asarray(Image.open(path)).astype(np.float32) / 255).movedim(-1, 0)
        for crop in crops(photo, dice):
            for kind, name in enumerate(["", *ALL]):
                x = (distorted(crop, name, dice) if name else crop)[None]
                features.append(brisque_features(x)[0])
                tails.append(spectrum.profile(x)[0])
                kinds.append(kind)
                numbers.append(number)
        print(f"{number + 1}: {path.name}", flush=True)
    return {
        "features": torch.stack(features),
        "profile": torch.stack(tails),
        "kind": torch.tensor(kinds),
        "photo": torch.tensor(numbers),
    }


def fit(features: Tensor, real: Tensor, seed: int, steps: int = 3000) -> natural.Head:
    """A head for features [N, 36] and real [N] in {0, 1}; the clean weigh as much as all spoiled ones."""
    torch.manual_seed(seed)
    x = natural.even(features)
    mean, std = x.mean(0), x.std(0)
    net = nn.Sequential(nn.Linear(36, natural.HIDDEN), nn.Tanh(), nn.Linear(natural.HIDDEN, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x = ((x - mean) / std).clamp(-natural.BOUND, natural.BOUND)
    clean, spoiled = (real == 1).nonzero()[:, 0], (real == 0).nonzero()[:, 0]
    for _ in range(steps):
        rows = torch.cat([part[torch.randint(len(part), (128,))] for part in (clean, spoiled)])
        jitter = 0.1 * torch.randn(len(rows), 36)
        loss = log_loss(net(x[rows] + jitter)[:, 0], real[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    first, second = net[0], net[2]
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    with torch.no_grad():
        return natural.Head(
            mean, std, first.weight.clone(), first.bias.clone(), second.weight[0].clone(), second.bias[0].clone()
        )


def areas(score: Tensor, kind: Tensor) -> dict[str, float]:
    """AUC of clean against each distortion and all of them."""
    clean = score[kind == 0]
    named = {name: auc(clean, score[kind == k]) for k, name in enumerate(ALL, 1)}
    return {name: round(area, 3) for name, area in (named | {"all": auc(clean, score[kind > 0])}).items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/natural"))
    parser.add_argument("--out", type=Path, default=Path("pipelines/score/natural_head.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept = args.work / "features.pt"
    if not kept.exists():
        torch.save(examples(args.work / "photos"), kept)
    data = torch.load(kept, weights_only=True)
    held = data["photo"] % HELD_OUT == HELD_OUT - 1
    real = (data["kind"] == 0).float()
    head = fit(data["features"][~held], real[~held], seed=0)
    score, kind = head(data["features"][held]), data["kind"][held]
    a, b = platt(score[kind == 0], score[kind > 0])
    clean = score[kind == 0].sort().values
    law = data["profile"][~held & (data["kind"] == 0)]
    args.out.write_text(
        json.dumps(
            {
                "head": {name: _short(value) for name, value in head._asdict().items()},
                "calibration": _short(torch.tensor([a, b])),
                "real": _short(torch.quantile(clean, torch.linspace(0, 1, 101))),
                "spectrum": {"mean": _short(law.mean(0)), "std": _short(law.std(0))},
            }
        )
        + "\n"
    )
    law_score = spectrum.closeness(data["profile"][held], law.mean(0), law.std(0))
    facts = {
        "photographs": [int(data["photo"][m].unique().numel()) for m in (~held, held)],
        "crops": [int(real[m].sum()) for m in (~held, held)],
        "natural": areas(score, kind),
        "natural, trained": areas(head(data["features"][~held]), data["kind"][~held]),
        "spectrum": areas(law_score, kind),
        "calibration": [a, b],
    }
    print(json.dumps(facts, indent=1))


def _short(value: Tensor) -> list:
    """Numbers with six digits."""
    return json.loads(json.dumps(value.tolist()), parse_float=lambda text: float(f"{float(text):.6g}"))


if __name__ == "__main__":
    main()
