"""The model's judge: real pictograms' latents against the model's own, at every noise level.

    python -m training.pictogram.judge --work build/pictogram --minutes 7 --out models/judges/pictogram.safetensors

Needs ``latents.pt`` (vae.py) and ``generated.pt`` (generated.py). A fifth of the concepts, real and generated, is never
trained on; the figures in the file are of those.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipelines.payloads import JudgeSpec
from pipelines.score import learned
from pipelines.score.net import NetConfig
from pipelines.score.training import Examples, train

from .vae import CHANNELS

SCALING = 1.8  # scaling_factor of the autoencoder: a LATENT times this is in the UNet's space
SPEC = JudgeSpec(
    id="pictogram",
    licence="Apache-2.0",
    modality="latent",
    space="latent:pictogram",
    scale=SCALING,
    note="real pictograms against those that the embedded model draws",
)


def examples(work: Path) -> tuple[Examples, Examples]:
    """Real and generated latents in the UNet's space, grouped by concept."""
    concept = torch.tensor(np.load(work / "pictures.npz")["concept"])
    latents = torch.load(work / "latents.pt", weights_only=True)
    made = torch.load(work / "generated.pt", weights_only=True)
    known = made["index"].unique()
    return Examples(latents[known], concept[known]), Examples(made["latents"], concept[made["index"]])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--out", type=Path, default=Path("models/judges/pictogram.safetensors"))
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--id", default="pictogram", help="the judge's name")
    parser.add_argument("--clean", action="store_true", help="without noise: to score with, not to guide by")
    parser.add_argument("--widths", type=int, nargs="+", default=(64, 96))
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0, help="also decides which concepts are held out")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = NetConfig(channels=CHANNELS, widths=tuple(args.widths), depth=args.depth, noise_aware=not args.clean)
    real, fake = examples(args.work)
    limits = {"steps": args.steps, "seconds": args.minutes * 60}
    net, report = train(real, fake, config, batch=64, rate=args.rate, seed=args.seed, **limits)
    learned.save(args.out, learned.described(replace(SPEC, id=args.id), report), net)
    facts = {
        "steps": report.steps,
        "seconds": round(report.seconds),
        "auc": report.auc,
        "calibration": report.calibration,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
