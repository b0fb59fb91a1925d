"""Image-to-image pipelines after another model: SDXL's base, then its refiner, joined by a LATENT."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines import stages
from pipelines.errors import AigcError

from . import controls, staged, tiny
from .controls import CPU


def refiner() -> Any:
    from diffusers import StableDiffusionXLImg2ImgPipeline

    parts = tiny.sdxl().components
    unet = tiny.unet(
        cross_attention_dim=32, attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=32 + 5 * 8,
    )  # fmt: skip
    gone = {"text_encoder": None, "tokenizer": None, "image_encoder": None, "feature_extractor": None}
    return StableDiffusionXLImg2ImgPipeline(**{**parts, **gone, "unet": unet}, requires_aesthetics_score=True)


@pytest.fixture(autouse=True)
def released():
    yield
    stages.release_all()


@pytest.fixture
def based(tmp_path):
    """The refiner's folder and a base's unfinished latents."""
    base = controls.opened(tiny.build("sdxl", tmp_path / "base"))
    latents = stages.empty_latents(base, **staged.SIZE)
    out = stages.sample(base, controls.conditioned(base), latents, seed=1, steps=3, cfg=5.0, runtime=CPU)
    return tiny.saved(refiner, tmp_path / "refiner"), out


def whole(folder: Any, latents: torch.Tensor, **call: Any) -> torch.Tensor:
    pipe = staged.load_whole(folder)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    return pipe(
        prompt=staged.PROMPT, negative_prompt=staged.NEGATIVE, image=latents * pipe.vae.config.scaling_factor,
        guidance_scale=5.0, generator=torch.Generator("cpu").manual_seed(42), output_type="pt", **call,
    )[0]  # fmt: skip


@pytest.mark.parametrize("denoise", [0.5, 0.3, 1.0])
def test_the_refiner_equals_its_own_call_on_the_bases_latents(based, denoise):
    folder, out = based
    model = controls.opened(folder)
    ours = controls.run(model, controls.conditioned(model), out, steps=3, denoise=denoise)
    wanted = whole(folder, out["samples"], strength=denoise, num_inference_steps={0.5: 6, 0.3: 10, 1.0: 3}[denoise])
    assert torch.equal(ours, wanted)


def test_the_refiner_takes_over_at_a_point_of_the_schedule(based):
    folder, out = based
    model = controls.opened(folder)
    cond = stages.encode_prompt(model, [staged.PROMPT], [staged.NEGATIVE], extra={"denoising_start": 0.5}, runtime=CPU)
    ours = controls.run(model, cond, out, steps=6)
    assert torch.equal(ours, whole(folder, out["samples"], denoising_start=0.5, num_inference_steps=6))


def test_the_refiner_takes_no_mask(based):
    folder, out = based
    model = controls.opened(folder)
    with pytest.raises(AigcError, match="without a noise mask"):
        controls.run(model, controls.conditioned(model), {**out, "noise_mask": torch.ones(1, 32, 32)}, denoise=0.5)
