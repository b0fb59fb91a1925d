"""Models that edit a picture after a prompt, through the same wires, equal to their own call bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pipelines import stages
from pipelines.errors import AigcError
from pipelines.stages.replay import recording

from . import controls, staged, tiny
from .controls import CPU, PICTURE

KONTEXT = {"max_area": 32 * 32, "_auto_resize": False}  # a tiny model's own size, where a real one has a million pixels


def kontext() -> Any:
    from diffusers import FluxKontextPipeline

    base = tiny.flux()
    return FluxKontextPipeline(**base.components)


def pix2pix() -> Any:
    from diffusers import StableDiffusionInstructPix2PixPipeline

    base = tiny.sd15()
    base.register_modules(unet=tiny.unet(in_channels=8, out_channels=4, cross_attention_dim=32, attention_head_dim=4))
    return StableDiffusionInstructPix2PixPipeline(**base.components, requires_safety_checker=False)


def fill() -> Any:
    from diffusers import FluxFillPipeline, FluxTransformer2DModel

    base = tiny.flux()
    known = {k: v for k, v in base.transformer.config.items() if k[0] != "_"}
    config = {**known, "in_channels": 16 + 16 + 16, "out_channels": 16}  # latents, masked picture, mask
    parts = {k: v for k, v in base.components.items() if k not in ("image_encoder", "feature_extractor")}
    return FluxFillPipeline(**{**parts, "transformer": FluxTransformer2DModel.from_config(config)})


MASK = torch.zeros(1, 32, 32, 3)
MASK[:, :, 16:] = 1
CASES = {
    "kontext": (kontext, KONTEXT, 3.5),
    "pix2pix": (pix2pix, {"image_guidance_scale": 1.7}, 5.0),
    "fill": (fill, {"mask_image": controls.pil(MASK)}, 3.5),
}


@pytest.fixture(autouse=True)
def released():
    yield
    stages.release_all()


@pytest.mark.parametrize("name", CASES)
def test_an_editing_model_equals_its_own_call(name, tmp_path):
    make, extra, cfg = CASES[name]
    tiny.saved(make, tmp_path)
    model = controls.opened(tmp_path)
    cond = stages.encode_prompt(model, [staged.PROMPT], images=PICTURE, extra=extra, runtime=CPU)
    ours = controls.run(model, cond, cfg=cfg)

    pipe = staged.load_whole(tmp_path)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    size = staged.SIZE if name != "pix2pix" else {}
    whole = pipe(
        prompt=staged.PROMPT, image=controls.pil(PICTURE), num_inference_steps=3, guidance_scale=cfg,
        generator=torch.Generator("cpu").manual_seed(42), output_type="pt", **size, **extra,
    )[0]  # fmt: skip
    assert torch.equal(ours, whole)


def test_an_argument_that_the_model_has_not_is_refused(tmp_path):
    tiny.saved(pix2pix, tmp_path)
    with pytest.raises(AigcError, match="got mask_image"):
        stages.encode_prompt(
            controls.opened(tmp_path), ["x"], images=PICTURE, extra={"mask_image": controls.pil(MASK)}, runtime=CPU
        )


class Draws:
    """Two encoders, one of which draws from the run's generator (Kandinsky 6)."""

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        return torch.ones(1)

    def encode_image(self, image: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        return image + torch.randn(1, generator=generator)


def test_an_encoder_that_draws_from_the_seed_is_left_to_the_sampler():
    pipe = Draws()
    with recording(pipe, None) as calls:
        pipe.encode_prompt("a cat")
        pipe.encode_image(torch.zeros(1))
    assert [call.method for call in calls] == ["encode_prompt"]
