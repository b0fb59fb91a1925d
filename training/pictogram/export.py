"""Write the averaged weights as a diffusers folder that plain ``StableDiffusionPipeline.from_pretrained`` loads.

    python -m training.pictogram.export --work build/pictogram --run RUN/model --text-encoder build/steady/text_encoder

The parts come from the ``model`` folder of a run on the canvas, or without ``--run`` from what ``vae.py``, ``text.py`` and
``diffusion.py`` left in the work folder. The UNet becomes float16: half the download, and read back it draws the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, DPMSolverMultistepScheduler, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel

from .data import thumbnail
from .diffusion import SHIFT, new_unet

THUMBNAIL = 32
COLUMNS = 28


def scheduler() -> DPMSolverMultistepScheduler:
    """DPM-Solver++ (2M) on flow-matching sigmas, the sampler that the pipeline runs by default."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=SHIFT,
        solver_order=2,
        final_sigmas_type="zero",
        steps_offset=1,
    )


def model_index() -> dict:
    """``model_index.json``. The tokenizer's class is named as both transformers 4 and 5 export it."""
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.35.0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }


def reference_grid(pictures: np.ndarray) -> Image.Image:
    """Thumbnails of uint8 pictures [N, H, W, 3] in rows of ``COLUMNS``."""
    rows = -(-len(pictures) // COLUMNS)
    grid = np.full((rows * THUMBNAIL, COLUMNS * THUMBNAIL, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        y, x = divmod(index, COLUMNS)
        tile = (thumbnail(picture, THUMBNAIL) * 255).round().astype(np.uint8)
        grid[y * THUMBNAIL : (y + 1) * THUMBNAIL, x * THUMBNAIL : (x + 1) * THUMBNAIL] = tile
    return Image.fromarray(grid)


def averaged(work: Path) -> UNet2DConditionModel:
    """The averaged UNet in the checkpoint of ``diffusion.py``."""
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    unet = new_unet()
    with torch.no_grad():
        for parameter, average in zip(unet.parameters(), state["average"], strict=True):
            parameter.copy_(average)
    return unet


def export(work: Path, model: Path, run: Path | None = None, text_encoder: Path | None = None) -> None:
    """Write every file of the model but its card.

    work: holds ``vocabulary.json`` and ``pictures.npz``. run: a diffusers folder with the parts; None: they lie in `work`.
    text_encoder: one to take in place of theirs.
    """
    parts = run or work
    unet: Any = UNet2DConditionModel.from_pretrained(run / "unet") if run else averaged(work)
    text: Any = CLIPTextModel.from_pretrained(text_encoder or parts / "text_encoder", dtype=torch.float32)
    model.mkdir(parents=True, exist_ok=True)
    unet.half().save_pretrained(model / "unet")
    text.save_pretrained(model / "text_encoder")
    AutoencoderTiny.from_pretrained(parts / "vae").save_pretrained(model / "vae")
    scheduler().save_pretrained(model / "scheduler")
    shutil.copytree(parts / "tokenizer", model / "tokenizer", dirs_exist_ok=True)
    (model / "model_index.json").write_text(json.dumps(model_index(), indent=2) + "\n")
    for config in model.glob("*/config.json"):
        fields = {key: value for key, value in json.loads(config.read_text()).items() if key != "_name_or_path"}
        config.write_text(json.dumps(fields, indent=2) + "\n")
    shutil.copyfile(work / "vocabulary.json", model / "vocabulary.json")
    count = len(json.loads((model / "vocabulary.json").read_text("utf-8")))
    arrays = np.load(work / "pictures.npz")
    reference_grid(arrays["pictures"][arrays["colour"] < 0][:count]).save(model / "references.png", optimize=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--run", type=Path, help="the `model` folder of a run on the canvas")
    parser.add_argument("--text-encoder", type=Path, help="in place of the run's: what steady.py made of it")
    args = parser.parse_args()
    export(args.work, args.model, args.run, args.text_encoder)


if __name__ == "__main__":
    main()
