"""Families of video: staged equals monolithic, sizes and frames are rounded and said, sound comes out where it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks.coverage import compare, miniature
from pipelines import media, stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, open_model
from pipelines.runtime import Runtime
from pipelines.score import choosing
from pipelines.stages.latents import Geometry

from . import staged

CPU = Runtime("cpu")
PICTURE = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(3))
# Wan and LTX are in test_stages, their pictures and LTX-2's refinements in test_coverage.
FAMILIES = (
    "HunyuanVideo15Pipeline",
    "CogVideoXPipeline",
    "AnimateDiffPipeline",
    "WanImageToVideoPipeline",
    "CogVideoXImageToVideoPipeline",
)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_of_video_is_staged_exactly(name):
    row = compare.measure(name)
    assert row["verdict"] == "exact", row


def svd() -> Any:
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    return StableVideoDiffusionPipeline(
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=16, in_channels=8, out_channels=4, num_frames=5,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=32,
            num_attention_heads=4, projection_class_embeddings_input_dim=96, addition_time_embed_dim=32,
        ),
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 64), layers_per_block=1, latent_channels=4, sample_size=32,
            down_block_types=("DownEncoderBlock2D",) * 2,
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=32, projection_dim=32, num_hidden_layers=2, num_attention_heads=4, image_size=224,
                intermediate_size=37, patch_size=56,
            )
        ),
        feature_extractor=CLIPImageProcessor(),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
            prediction_type="v_prediction", timestep_spacing="leading", timestep_type="continuous", steps_offset=1,
            use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def svd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("svd")
    svd().save_pretrained(folder)
    return folder


def made_by_svd(folder: Path, cfg: float, **more: Any) -> torch.Tensor:
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    cond = stages.encode_prompt(model, [""], images=PICTURE, extra=more, runtime=CPU)
    latents = stages.empty_latents(model, width=64, height=64)
    out = stages.sample(model, cond, latents, seed=42, steps=2, cfg=cfg, runtime=CPU)
    frames, fps = stages.decode_video(model, out, runtime=CPU)
    assert fps == more.get("fps", 7)
    return frames


@pytest.mark.parametrize("cfg", (3.0, 1.0))
def test_stable_video_diffusion_is_staged_exactly(svd_folder, cfg):
    pipe = staged.load_whole(svd_folder)
    picture = Image.fromarray((PICTURE[0] * 255).round().byte().numpy())
    expected = pipe(
        image=picture, height=64, width=64, num_inference_steps=2, max_guidance_scale=cfg, motion_bucket_id=90,
        generator=torch.Generator("cpu").manual_seed(42), output_type="pt",
    ).frames  # fmt: skip
    frames = made_by_svd(svd_folder, cfg, motion_bucket_id=90)
    assert frames.shape == (5, 64, 64, 3), "as many frames as it was trained on"
    assert torch.equal(frames, expected[0].permute(0, 2, 3, 1))


def test_svd_decodes_latents_that_came_without_a_trace(svd_folder):
    model = open_model(str(svd_folder), roots=Roots(), dtype="float32", offload="keep")
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert stages.decode_image(model, {"samples": latents}, runtime=CPU).shape == (3, 16, 16, 3)


@pytest.mark.parametrize(
    ("family", "asked", "frames", "size"),
    (("wan", 6, 5, (32, 32)), ("wan", 8, 9, (32, 32)), ("wan", 1, 1, (32, 32)), ("ltx", 10, 9, (32, 32))),
)
def test_a_videos_frames_and_size_are_rounded_and_said(tiny_model, family, asked, frames, size):
    model, _ = staged.opened(tiny_model(family), family)
    latents = stages.empty_latents(model, width=33, height=30, frames=asked, runtime=CPU)
    has = latents["aigc"].arguments
    assert (has["num_frames"], has["width"], has["height"]) == (frames, *size)
    words = stages.told(model, latents, width=33, height=30, frames=asked)
    assert "33 to 32" in words and "30 to 32" in words
    assert (f"frames {asked} to {frames}" in words) == (asked != frames and frames > 1)
    plain = stages.empty_latents(model, width=32, height=32, frames=9, runtime=CPU)
    rate = {"wan": "0.56 seconds at 16", "ltx": "0.36 seconds at 25"}[family]
    assert stages.told(model, plain, width=32, height=32, frames=9) == f"32 x 32, 9 frames: {rate} a second"


@pytest.mark.parametrize(
    ("temporal", "own", "asked", "made"),
    (
        (4, 81, 80, 81), (4, 81, 82, 81), (4, 81, 1, 1), (8, 161, 100, 97), (4, 132, 30, 32), (4, 132, 1, 4), (1, 16, 7, 7),
        (6, 19, 20, 19), (4, 1, 24, 24),
    ),
)  # fmt: skip
def test_frames_are_as_far_from_a_multiple_as_the_familys_own(temporal, own, asked, made):
    shape = Geometry("X", 4, 8, temporal, 5)
    assert shape.fitting(asked, own) == made and shape.fitting(made, own) == made


def test_a_picture_of_another_size_is_still_refused(tiny_model):
    model, _ = staged.opened(tiny_model("sd15"), "sd15")
    with pytest.raises(AigcError, match="multiple of 2"):
        stages.empty_latents(model, width=33, height=32, runtime=CPU)


def test_what_is_sampled_has_the_frames_that_were_said(tiny_model):
    model, _ = staged.opened(tiny_model("wan"), "wan")
    latents = stages.empty_latents(model, width=32, height=32, frames=8, runtime=CPU)
    out = staged.sampled(model, "wan", latents, steps=1)
    assert stages.decode_image(model, out, runtime=CPU).shape[0] == 9


@pytest.fixture(scope="module")
def ltx2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ltx2")
    miniature.build("LTX2Pipeline").save_pretrained(folder)
    return folder


def test_ltx2_gives_its_frames_and_its_sound_exactly(ltx2_folder):
    pipe = staged.load_whole(ltx2_folder)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    expected = pipe(
        prompt=staged.PROMPT, negative_prompt=staged.NEGATIVE, height=128, width=128, num_frames=9, num_inference_steps=2,
        guidance_scale=3.0, generator=torch.Generator("cpu").manual_seed(42), output_type="pt",
    )  # fmt: skip
    model = open_model(str(ltx2_folder), roots=Roots(), dtype="float32", offload="keep")
    cond = stages.encode_prompt(model, [staged.PROMPT], [staged.NEGATIVE], runtime=CPU)
    latents = stages.empty_latents(model, width=128, height=128, frames=9)
    out = stages.sample(model, cond, latents, seed=42, steps=2, cfg=3.0, runtime=CPU)
    frames, fps = stages.decode_video(model, out, runtime=CPU)
    assert fps == 24 and torch.equal(frames, expected.frames[0].permute(0, 2, 3, 1))
    sound = stages.decode_sound(model, out, runtime=CPU)
    assert sound is not None and torch.equal(sound["waveform"], expected.audio)
    assert sound["sample_rate"] == pipe.vocoder.config.output_sampling_rate
    again = stages.decode_audio(model, out, runtime=CPU)
    assert torch.equal(again["waveform"], sound["waveform"]), "Decode Audio gives the same"
    assert stages.decode_sound(model, latents, runtime=CPU) is None, "nothing was made yet"
    two = {**out, "samples": torch.cat([out["samples"]] * 2)}
    assert stages.decode_sound(model, two, runtime=CPU) is None, "not of this latent"
    assert torch.equal(choosing.taken(out, [0], 1)["aigc"].sound, out["aigc"].sound), "it goes along when chosen"


def test_the_sounds_of_a_batch_of_videos_are_laid_one_after_another():
    rows = torch.stack([torch.full((1, 900), 0.1), torch.full((1, 900), 0.2)])
    made = media.in_a_row({"waveform": rows, "sample_rate": 8000}, 10, 50)["waveform"]  # five frames each: 0.1 seconds
    assert made.shape == (1, 1, 1600)
    assert float(made[0, 0, 799]) == pytest.approx(0.1) and float(made[0, 0, 800]) == pytest.approx(0.2)


def test_a_model_without_sound_has_none(tiny_model):
    model, latents = staged.opened(tiny_model("wan"), "wan")
    assert stages.decode_sound(model, latents, runtime=CPU) is None
