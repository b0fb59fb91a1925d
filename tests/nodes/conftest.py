"""Tiny models in the shared host's own folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

FAMILIES = ("sd15", "sd3", "wan", "stableaudio", "acestep")


@pytest.fixture(scope="session")
def url(host) -> str:
    return host.url


@pytest.fixture(scope="session")
def models_folder(host) -> Path:
    return Path(host.base_dir) / "models"


@pytest.fixture(scope="session")
def tiny(models_folder: Path) -> Path:
    """models/diffusers/tiny/<family>: found by the host's own listing."""
    from ..pipelines.tiny import build

    folder = models_folder / "diffusers" / "tiny"
    for family in FAMILIES:
        if not (folder / family).exists():
            build(family, folder / family)
    # Four samples a second are enough for the engine's own tests, and too few for a FLAC file.
    config = folder / "stableaudio" / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "sampling_rate": 8000}), "utf-8")
    return folder


@pytest.fixture(scope="session")
def broken_vae(tiny: Path) -> str:
    """A model whose autoencoder has one weight that is not a number."""
    from safetensors.torch import load_file, save_file

    folder = tiny / "broken"
    shutil.copytree(tiny / "sd15", folder, dirs_exist_ok=True)
    (file,) = (folder / "vae").glob("*.safetensors")
    weights = load_file(file)
    weights["decoder.conv_out.bias"][0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    return "tiny/broken"


@pytest.fixture(scope="session")
def part_files(tiny: Path, models_folder: Path) -> dict[str, str]:
    """The parts of tiny/sd15 as files in the host's folders, and another autoencoder: names in the list by what they are."""
    import torch
    from safetensors.torch import load_file, save_file

    found = {}
    for part, kind in (("vae", "vae"), ("text_encoder", "text_encoders"), ("unet", "diffusion_models")):
        (file,) = (tiny / "sd15" / part).glob("*.safetensors")
        (models_folder / kind).mkdir(exist_ok=True)
        shutil.copy(file, models_folder / kind / f"tiny_{part}.safetensors")
        found[part] = f"{kind}/tiny_{part}.safetensors"
    weights = load_file(models_folder / found["vae"])
    other = {name: value + 0.01 * torch.ones_like(value) for name, value in weights.items()}
    save_file(other, models_folder / "vae" / "other.safetensors")
    return {**found, "other": "vae/other.safetensors"}


@pytest.fixture(scope="session")
def tiny_lora(tiny: Path, models_folder: Path) -> str:
    """A random LoRA for the denoiser of tiny/sd15, in the host's models/loras."""
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(tiny / "sd15", subfolder="unet")
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    folder = models_folder / "loras"
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=get_peft_model_state_dict(unet), weight_name="tiny.safetensors"
    )
    return "tiny.safetensors"
