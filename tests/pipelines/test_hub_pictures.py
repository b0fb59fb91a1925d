"""What a hub judge sees: our transforms in torch against the published ones, on pictures of 8 bit.

The published ones round to 8 bit after resizing, ours do not, so that slopes pass: values may differ by 1.5 steps of 1/255
before they are divided by the standard deviation. Where the published one resizes tensors, they are equal to 1e-4.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from pipelines.score.hub.hpsv3 import patched
from pipelines.score.hub.pictures import MEAN, STD, Transform, transform_of

from .hub_judges import SIGLIP_SEES, write
from .test_hub_judges import eight_bit

STEPS = 1.5 / 255 / min(STD)
SIZES = ((300, 224), (224, 300), (97, 333), (512, 512), (225, 224), (640, 361))


def picture(height: int, width: int) -> tuple[torch.Tensor, Image.Image]:
    image = eight_bit(1, height, width, seed=height)
    return image.movedim(-1, 1), Image.fromarray((image[0] * 255).round().byte().numpy())


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_clips_transform_as_openai_and_imagereward_wrote_it(height, width):
    """Short side 224 by bicubic, the middle, CLIP's mean and spread: PIL and torchvision."""
    x, pil = picture(height, width)
    published = transforms.Compose([
        transforms.Resize(224, interpolation=InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ])  # fmt: skip
    found = Transform()(x)[0]
    assert found.shape == (3, 224, 224) and float((found - published(pil)).abs().max()) < STEPS


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_clips_transform_as_transformers_has_it(height, width, tmp_path):
    from transformers import CLIPImageProcessor

    settings = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True}
    write(tmp_path / "preprocessor_config.json", {**settings, "resample": 3, "image_mean": MEAN, "image_std": STD})
    x, pil = picture(height, width)
    published = CLIPImageProcessor.from_pretrained(tmp_path)(pil, return_tensors="pt")["pixel_values"][0]
    found = transform_of(tmp_path, Transform(side=1))(x)[0]
    assert float((found - published).abs().max()) < STEPS


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_siglips_transform_squeezes_the_picture_into_its_square(height, width, tmp_path):
    from transformers import SiglipImageProcessor

    write(tmp_path / "preprocessor_config.json", {**SIGLIP_SEES, "size": {"height": 96, "width": 96}})
    x, pil = picture(height, width)
    published = SiglipImageProcessor.from_pretrained(tmp_path)(pil, return_tensors="pt")["pixel_values"][0]
    found = transform_of(tmp_path, Transform(crop=None))(x)[0]
    assert found.shape == (3, 96, 96) and float((found - published).abs().max()) < 1.5 / 255 / 0.5


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_hpsv2s_transform_keeps_the_whole_picture_on_black(height, width):
    """Tensors first, then the long side 224 and a frame of zeros, as its ResizeMaxSize has it."""
    x, pil = picture(height, width)
    tensor = TF.to_tensor(pil)
    scale = 224 / max(height, width)
    size = [round(n * scale) for n in (height, width)]
    high, wide = (224 - n for n in size)
    tensor = TF.resize(tensor, size, InterpolationMode.BICUBIC, antialias=True) if scale != 1 else tensor
    padded = TF.pad(tensor, [wide // 2, high // 2, wide - wide // 2, high - high // 2], fill=0)
    found = Transform(side=224, crop=None, whole=True, clipped=False)(x)[0]
    assert torch.allclose(found, TF.normalize(padded, list(MEAN), list(STD)), atol=1e-4)


@pytest.mark.parametrize(("height", "width"), ((448, 448), (300, 600), (1000, 333), (56, 70)))
def test_hpsv3s_patches_are_qwens(height, width):
    from transformers import Qwen2VLImageProcessor

    settings = Qwen2VLImageProcessor(size={"shortest_edge": 256 * 28 * 28, "longest_edge": 256 * 28 * 28})
    x, pil = picture(height, width)
    published = settings(pil, return_tensors="pt")
    patches, grid = patched(x, Qwen2VLImageProcessor())
    assert [list(grid)] == published["image_grid_thw"].tolist() and patches.shape == published["pixel_values"].shape
    assert float((patches - published["pixel_values"]).abs().max()) < STEPS


def test_the_slope_passes_the_transform_and_a_small_picture_is_not_lost():
    x = torch.rand(1, 3, 9, 30, requires_grad=True)
    found = Transform()(x)
    found.sum().backward()
    assert found.shape == (1, 3, 224, 224) and x.grad is not None and np.isfinite(x.grad.numpy()).all()
