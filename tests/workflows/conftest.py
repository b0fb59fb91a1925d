"""The shipped workflows need the same tiny models as the nodes' own tests, and files for the host's loaders."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ..nodes.conftest import models_folder, part_files, tiny, tiny_lora, url  # noqa: F401

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def full_size_vae(models_folder: Path, tiny: Path) -> str:  # noqa: F811
    """Random weights in Stable Diffusion's own autoencoder: the host knows this one, at this size only.

    They go to models/vae for the host, and into a tiny model for us.
    """
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline

    from ..pipelines.tiny import pipeline

    torch.manual_seed(0)
    blocks = 4
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=2,
        latent_channels=4,
        sample_size=64,
    ).eval()
    small = pipeline("sd15")
    parts = {name: small.components[name] for name in ("unet", "text_encoder", "tokenizer", "scheduler")}
    whole = StableDiffusionPipeline(
        **parts, vae=vae, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    whole.save_pretrained(tiny / "full-vae")
    (models_folder / "vae").mkdir(parents=True, exist_ok=True)
    shutil.copy(next((tiny / "full-vae" / "vae").glob("*.safetensors")), models_folder / "vae" / "full.safetensors")
    return "full.safetensors"


@pytest.fixture(scope="session")
def host_checkpoint(models_folder: Path, host_dir: Path) -> str:  # noqa: F811
    """A Stable Diffusion 1.5 checkpoint that the host takes for one: right names and shapes, all weights 0."""
    folder = models_folder / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("sparse.py")
    command = [sys.executable, str(script), str(host_dir), str(folder / "zeros.safetensors")]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return "zeros.safetensors"


@pytest.fixture(scope="session")
def tiny_gan(models_folder: Path) -> str:  # noqa: F811
    """A small StyleGAN2 with its discriminator, in the host's models/gan."""
    from pipelines.gan import files

    from ..pipelines.gans import design, networks

    g, d = networks("stylegan2")
    files.save(models_folder / "gan" / "tiny.safetensors", design("stylegan2"), {"generator": g, "discriminator": d})
    return "tiny.safetensors"


@pytest.fixture(scope="session")
def example_picture(host) -> str:
    """The picture that the host comes with, which a host with a base folder of its own does not have."""
    import numpy as np
    from PIL import Image

    folder = Path(host.base_dir) / "input"
    folder.mkdir(exist_ok=True)
    rows = np.arange(32)
    grey = (rows[:, None] * rows * 5 % 256).astype(np.uint8)
    Image.fromarray(np.stack([grey] * 3, -1)).save(folder / "example.png")
    return "example.png"


@pytest.fixture(scope="session")
def speech_packages(models_folder: Path) -> Path:  # noqa: F811
    """What Speak would download, tiny, as if it had."""
    from ..pipelines import speech_data

    (folder,) = speech_data.roots(models_folder).packages
    return folder


@pytest.fixture(scope="session")
def tiny_control(tiny: Path, models_folder: Path) -> str:  # noqa: F811
    """A control net for tiny/sd15, in the host's models/controlnet."""
    from ..pipelines.controls import CASES, saved_net

    saved_net(CASES["sd15"], models_folder / "controlnet" / "tiny")
    return "tiny"


@pytest.fixture(scope="session")
def tiny_reference(tiny: Path, models_folder: Path) -> tuple[str, str]:  # noqa: F811
    """An IP-Adapter for tiny/sd15 and its image encoder, in the host's folders."""
    from ..pipelines.test_reference import adapter, image_encoder

    (models_folder / "ipadapter").mkdir(exist_ok=True)
    adapter("sd15", models_folder / "ipadapter" / "tiny.safetensors")
    image_encoder(models_folder / "clip_vision" / "tiny")
    return "tiny.safetensors", "tiny"


@pytest.fixture(scope="session")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 40 pictures of the shipped set and their captions, in a folder."""
    folder = tmp_path_factory.mktemp("forty")
    with zipfile.ZipFile(REPO / "models" / "data" / "pictograms.zip") as archive:
        wanted = [name for name in archive.namelist() if name.startswith("pictograms/")]
        archive.extractall(folder, wanted[:80])
    return folder / "pictograms"
