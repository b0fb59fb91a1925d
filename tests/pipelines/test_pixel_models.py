"""Models without an autoencoder (DeepFloyd IF): the LATENT is the picture, and every stage equals diffusers' own call."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image

from pipelines import stages
from pipelines.stages.pixels import Pixels
from pipelines.stages.start import noised

from . import controls, staged, tiny
from .controls import CPU

SMALL: dict[str, Any] = {"width": 16, "height": 16}
LARGE: dict[str, Any] = {"width": 32, "height": 32}


def first() -> Any:
    from diffusers import IFPipeline

    return _of(IFPipeline, in_channels=3)


def second() -> Any:
    from diffusers import DDPMScheduler, IFSuperResolutionPipeline

    extra = {"image_noising_scheduler": DDPMScheduler()}
    return _of(IFSuperResolutionPipeline, extra, in_channels=6, class_embed_type="timestep")


def _of(cls: Any, extra: Any = None, **unet: Any) -> Any:
    from diffusers import DDPMScheduler

    words = tiny.word_tokenizer()
    return cls(
        tokenizer=words, text_encoder=tiny.t5(len(words)),
        unet=tiny.unet(cross_attention_dim=32, encoder_hid_dim=32, out_channels=6, **unet),
        scheduler=DDPMScheduler(variance_type="learned_range"), safety_checker=None, feature_extractor=None,
        watermarker=None, requires_safety_checker=False, **(extra or {}),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def released():
    yield
    stages.release_all()


@pytest.fixture
def opened(tmp_path):
    return controls.opened(tiny.saved(first, tmp_path))


def whole(folder: Any, **call: Any) -> torch.Tensor:
    pipe = staged.load_whole(folder)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    out = pipe(
        prompt=staged.PROMPT, negative_prompt=staged.NEGATIVE, num_inference_steps=2, guidance_scale=5.0,
        generator=torch.Generator("cpu").manual_seed(42), output_type="np", **call,
    )  # fmt: skip
    return torch.as_tensor(out.images)


def sampled(model: Any, latents: Any, images: Any = None, **options: Any) -> Any:
    cond = stages.encode_prompt(model, [staged.PROMPT], [staged.NEGATIVE], images=images, runtime=CPU)
    options = {"seed": 42, "steps": 2, "cfg": 5.0, **options}
    return stages.sample(model, cond, latents, **options, runtime=CPU)


def test_both_stages_of_a_pixel_model_equal_their_own_calls(tmp_path):
    folders = [tiny.saved(make, tmp_path / make.__name__) for make in (first, second)]
    model = controls.opened(folders[0])
    small = stages.decode_image(model, sampled(model, stages.empty_latents(model, **SMALL)), runtime=CPU)
    assert torch.equal(small, whole(folders[0], **SMALL))
    model = controls.opened(folders[1])
    out = sampled(model, stages.empty_latents(model, **LARGE), images=small)
    image = Image.fromarray((small[0] * 255).round().byte().numpy())
    assert torch.equal(stages.decode_image(model, out, runtime=CPU), whole(folders[1], image=image, **LARGE))


def test_a_picture_is_its_own_latent(opened):
    picture = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    latents = stages.encode_image(opened, picture, runtime=CPU)
    assert torch.equal(latents["samples"], picture.permute(0, 3, 1, 2) * 2 - 1)
    assert torch.allclose(stages.decode_image(opened, latents, runtime=CPU), picture, atol=1e-7)


def test_empty_latents_of_a_pixel_model_have_the_size_of_the_picture(opened):
    assert stages.empty_latents(opened, width=24, height=16)["samples"].shape == (1, 3, 16, 24)


def test_partial_denoising_of_a_pixel_model_starts_from_the_noised_picture(opened, monkeypatch):
    from diffusers import DDPMScheduler

    picture = torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    latents, seen = stages.encode_image(opened, picture, runtime=CPU), []
    step = DDPMScheduler.step

    def watching(self: Any, answer: Any, timestep: Any, sample: Any, **kwargs: Any) -> Any:
        seen.append((timestep[None], sample.clone()))
        return step(self, answer, timestep, sample, **kwargs)

    monkeypatch.setattr(DDPMScheduler, "step", watching)
    sampled(opened, latents, denoise=0.5)
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator("cpu").manual_seed(42))
    assert torch.allclose(seen[0][1], noised(DDPMScheduler(), latents["samples"], noise, seen[0][0]), atol=1e-6)


def test_the_preview_of_a_pixel_model_is_the_estimate_itself(opened):
    shown = []
    sampled(opened, stages.empty_latents(opened, **SMALL), on_step=lambda done, total, preview: shown.append(preview()))
    assert shown[0].size == (256, 256) and shown[0].mode == "RGB"


def test_a_model_with_an_autoencoder_has_no_pixels(tmp_path):
    from pipelines.stages.pipe import stage

    model = controls.opened(tiny.build("sd15", tmp_path))
    with stage(model, "vae", CPU) as pipe:
        assert not isinstance(pipe.vae, Pixels)
