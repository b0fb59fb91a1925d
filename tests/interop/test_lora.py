"""A LoRA trained here has the same effect in diffusers and in the host, loaded by the host's own node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.train import adapters, lora_files

from . import models
from .peer import Peer

MOST = 1e-4
pytestmark = [pytest.mark.host, pytest.mark.slow]


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_lora_on_sd15_changes_the_same_in_diffusers_and_in_the_hosts_loader(
    peer: Peer, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import save_file

    unet: Any = models.filled(models.sd15_unet)
    weights = tmp_path / "unet.safetensors"
    save_file(unet.state_dict(), str(weights))
    x, t, text = noise(1, 4, 8, 8, seed=1), torch.tensor([500]), noise(1, 77, 768, seed=2)
    with torch.no_grad():
        base = unet(x, t, text).sample

    # As after a step of a training, a large one: every weight has moved by its rate.
    learning = adapters.lay(unet, rank=4, alpha=2.0, targets="linear", seed=0)
    with torch.no_grad():
        for number, weight in enumerate(learning.parameters()):
            weight += 2e-2 * noise(*weight.shape, seed=number).sign()
        trained = unet(x, t, text).sample
    unet.delete_adapters(adapters.ADAPTER)
    names = ("vae", "text_encoder", "tokenizer", "scheduler", "safety_checker", "feature_extractor")
    absent: dict[str, Any] = dict.fromkeys(names)
    pipe: Any = StableDiffusionPipeline(unet=unet, requires_safety_checker=False, **absent)
    state = adapters.lora_state(learning.named(), 2.0 / 4)
    assert lora_files.save(tmp_path / "mine.safetensors", state, pipe, "unet", {}) == "kohya"

    pipe.load_lora_weights(tmp_path, weight_name="mine.safetensors")
    with torch.no_grad():
        ours = unet(x, t, text).sample
    del pipe, unet, learning
    given = {"weights": str(weights), "x": x, "t": t, "text": text, "loras": str(tmp_path), "lora": "mine.safetensors"}
    answer = peer.ask("predict_with_lora", strength=1.0, **given)
    hosts = answer["prediction"]
    assert answer["patched"] == len(state) // 2
    effect, difference = float((ours - base).abs().max()), float((ours - hosts).abs().max())
    figure(
        f"sd15: a LoRA (rank 4, all linear layers) by load_lora_weights against the host's LoraLoaderModelOnly: max difference "
        f"{difference:.1e} (at most {MOST:.0e}) of an effect of {effect:.2g}"
    )
    assert difference <= MOST < effect / 100
    assert float((trained - ours).abs().max()) <= MOST
