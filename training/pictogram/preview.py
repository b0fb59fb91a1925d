"""Fit the colours of latents for previews: each latent cell's mean colour as a linear map of its channels.

    python -m training.pictogram.preview --work build/pictogram

writes `latent_rgb.json` beside the model; the sampler reads it when it is there. Least squares on the training pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

MODEL = Path(__file__).resolve().parents[2] / "models" / "pictogram"


def fit(model: Path, pictures: torch.Tensor) -> dict[str, list]:
    """pictures [N, H, W, 3] uint8 -> {"factors": [C][3], "bias": [3]} from the denoiser's latents to 0..1."""
    from diffusers import AutoencoderTiny

    vae = AutoencoderTiny.from_pretrained(model / "vae")
    images = pictures.permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        latents = vae.encode(images * 2 - 1).latents * vae.config.scaling_factor  # [N, C, h, w]
    colours = F.adaptive_avg_pool2d(images, latents.shape[-2:])
    x = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double()
    y = colours.permute(0, 2, 3, 1).reshape(-1, 3).double()
    solved = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1).double()], 1), y).solution
    rounded = [[round(v, 5) for v in row] for row in solved.tolist()]
    return {"factors": rounded[:-1], "bias": rounded[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args()
    pictures = torch.from_numpy(np.load(options.work / "pictures.npz")["pictures"][:512])
    (options.model / "latent_rgb.json").write_text(json.dumps(fit(options.model, pictures)), "utf-8")


if __name__ == "__main__":
    main()
