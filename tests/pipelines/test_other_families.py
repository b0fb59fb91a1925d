"""Families beyond the ones of test_stages: each is staged once and equals its own call bit for bit.

Every family is here for something that the stages must get right in general; its row says what.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image

from pipelines import stages
from pipelines.loading import Roots, component_classes, open_model
from pipelines.loading.stubs import is_stub
from pipelines.payloads import Model
from pipelines.runtime import Runtime
from pipelines.stages.pipe import stage

from . import staged, tiny

PICTURE = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(3))
FLAT = {"use_quant_conv": False, "use_post_quant_conv": False}


def pixart() -> Any:
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel

    words = tiny.word_tokenizer()
    return PixArtAlphaPipeline(
        tokenizer=words,
        text_encoder=tiny.t5(len(words)),
        vae=deep_vae(),
        transformer=PixArtTransformer2DModel(
            sample_size=32, num_layers=1, num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8,
            cross_attention_dim=16, caption_channels=32, use_additional_conditions=False,
        ),
        scheduler=DPMSolverMultistepScheduler(),
    )  # fmt: skip


def auraflow() -> Any:
    from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel, FlowMatchEulerDiscreteScheduler

    words = tiny.word_tokenizer()
    return AuraFlowPipeline(
        tokenizer=words,
        text_encoder=tiny.t5(len(words), multilingual=True),
        vae=tiny.vae(),
        transformer=AuraFlowTransformer2DModel(
            sample_size=16, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=32, caption_projection_dim=16, pos_embed_max_size=64,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.7),
    )  # fmt: skip


def chroma(image_to_image: bool = False) -> Any:
    from diffusers import (
        ChromaImg2ImgPipeline,
        ChromaPipeline,
        ChromaTransformer2DModel,
        FlowMatchEulerDiscreteScheduler,
    )

    words = tiny.word_tokenizer()
    return (ChromaImg2ImgPipeline if image_to_image else ChromaPipeline)(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=tiny.vae(shift_factor=0.1159, scaling_factor=0.3611, **FLAT),
        text_encoder=tiny.t5(len(words)),
        tokenizer=words,
        transformer=ChromaTransformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=32, axes_dims_rope=(4, 4, 8), approximator_num_channels=16,
            approximator_hidden_dim=24, approximator_layers=1,
        ),
    )  # fmt: skip


def lumina2() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    words = tiny.word_tokenizer()
    return Lumina2Pipeline(
        transformer=Lumina2Transformer2DModel(
            sample_size=16, in_channels=4, hidden_size=24, num_layers=1, num_refiner_layers=1, num_attention_heads=2,
            num_kv_heads=1, multiple_of=8, axes_dim_rope=(4, 4, 4), axes_lens=(512, 64, 64), cap_feat_dim=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=tiny.vae(shift_factor=0.1159, scaling_factor=0.3611, **FLAT),
        text_encoder=Gemma2Model(Gemma2Config(
            vocab_size=len(words), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8, sliding_window=16,
        )),
        tokenizer=words,
    )  # fmt: skip


def qwenimage() -> Any:
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    words = tiny.word_tokenizer()
    rope = {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2]}
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, dim_mult=[1, 1, 2], num_res_blocks=1, temperal_downsample=[False, True],
            latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 1.0, 2.0, 0.5],
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(words), "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 2, "rope_scaling": rope,
            },
            vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
                           "out_hidden_size": 16},
        )),
        tokenizer=words,
        transformer=QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
        ),
    )  # fmt: skip


def cogvideox() -> Any:
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    words = tiny.word_tokenizer()
    return CogVideoXPipeline(
        tokenizer=words,
        text_encoder=tiny.t5(len(words)),
        vae=AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(4,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2,
        ),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, time_embed_dim=4,
            text_embed_dim=32, num_layers=1, sample_width=4, sample_height=4, sample_frames=9,
        ),
        scheduler=CogVideoXDDIMScheduler(),
    )  # fmt: skip


def mochi() -> Any:
    from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiPipeline, MochiTransformer3DModel

    words = tiny.word_tokenizer()
    return MochiPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLMochi(
            latent_channels=12, out_channels=3, encoder_block_out_channels=(32,) * 4,
            decoder_block_out_channels=(32,) * 4, layers_per_block=(1,) * 5,
        ),
        text_encoder=tiny.t5(len(words)),
        tokenizer=words,
        transformer=MochiTransformer3DModel(
            num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16, in_channels=12,
            text_embed_dim=32, time_embed_dim=4, max_sequence_length=256,
        ),
    )  # fmt: skip


def animatediff() -> Any:
    from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter

    words = tiny.clip_tokenizer()
    return AnimateDiffPipeline(
        vae=tiny.vae(),
        text_encoder=tiny.clip_text(len(words)),
        tokenizer=words,
        unet=tiny.unet(cross_attention_dim=32, attention_head_dim=4),
        motion_adapter=MotionAdapter(
            block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=2,
            motion_num_attention_heads=2,
        ),
        scheduler=DDIMScheduler(**tiny.SD_BETAS, clip_sample=False),
    )  # fmt: skip


def allegro() -> Any:
    from diffusers import (
        AllegroPipeline,
        AllegroTransformer3DModel,
        AutoencoderKLAllegro,
        EulerAncestralDiscreteScheduler,
    )

    words = tiny.word_tokenizer()
    return AllegroPipeline(
        tokenizer=words,
        text_encoder=tiny.t5(len(words)),
        vae=AutoencoderKLAllegro(
            down_block_types=("AllegroDownBlock3D",) * 4, up_block_types=("AllegroUpBlock3D",) * 4,
            block_out_channels=(8,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2, sample_size=32,
        ),
        transformer=AllegroTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, num_layers=1,
            cross_attention_dim=24, caption_channels=32, sample_width=4, sample_height=4, sample_frames=4,
        ),
        scheduler=EulerAncestralDiscreteScheduler(),
    )  # fmt: skip


def wan_image_to_video() -> Any:
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanImageToVideoPipeline,
        WanTransformer3DModel,
    )
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    words = tiny.word_tokenizer()
    return WanImageToVideoPipeline(
        tokenizer=words,
        text_encoder=tiny.t5(len(words), multilingual=True),
        vae=AutoencoderKLWan(
            base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        image_processor=CLIPImageProcessor(crop_size=16, size=16),
        image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(
            hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=16,
            patch_size=8, projection_dim=8,
        )),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=36, out_channels=16,
            text_dim=32, ffn_dim=32, num_layers=1, rope_max_seq_len=32, image_dim=8,
        ),
    )  # fmt: skip


def deep_vae() -> Any:
    """AutoencoderKL that halves the sides three times."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip


class Case(NamedTuple):
    """make() -> the pipeline. size: as `empty_latents` takes it. picture: the name of its picture."""

    make: Callable[[], Any]
    size: dict[str, int] = staged.SIZE
    guidance: str = "guidance_scale"
    picture: str = ""


VIDEO = {**staged.SIZE, "frames": 9}
CASES = {
    "pixart": Case(pixart, size={"width": 224, "height": 288}),  # a tail that resizes and crops
    "auraflow": Case(auraflow),
    "chroma": Case(chroma),
    "chroma-img2img": Case(partial(chroma, True), picture="image"),  # noise drawn from the picture's posterior
    "lumina2": Case(lumina2),
    "qwenimage": Case(qwenimage, guidance="true_cfg_scale"),  # a picture with a time axis
    "cogvideox": Case(cogvideox, size=VIDEO),
    "mochi": Case(mochi, size={**staged.SIZE, "frames": 7}),  # another word for its scale factors
    "animatediff": Case(animatediff, size={**staged.SIZE, "frames": 18}),  # decoded in chunks of 16 frames
    "allegro": Case(allegro, size={**staged.SIZE, "frames": 8}),  # an autoencoder that only tiles
    "wan-i2v": Case(wan_image_to_video, size={**staged.SIZE, "frames": 5}, picture="image"),  # frames known late
}


def whole_call(folder: Any, case: Case) -> torch.Tensor:
    """What diffusers' own call makes, as [B, C, H, W] in 0..1."""
    pipe = staged.load_whole(folder)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)  # as the stages load it: torch multiplies in another order for what learns
    if case.make is allegro:
        pipe.vae.enable_tiling()
    call = {"num_frames" if k == "frames" else k: v for k, v in case.size.items()}
    if case.picture:
        call[case.picture] = Image.fromarray((PICTURE[0] * 255).round().byte().numpy())
    out = pipe(
        prompt=staged.PROMPT,
        negative_prompt=staged.NEGATIVE,
        num_inference_steps=2,
        generator=torch.Generator("cpu").manual_seed(42),
        output_type="pt",
        **{case.guidance: 5.0},
        **call,
    )[0]
    return out.flatten(0, 1) if out.ndim == 5 else out


@pytest.mark.parametrize("family", CASES)
def test_staged_equals_monolithic_for_another_family(family, tmp_path):
    case, runtime = CASES[family], Runtime("cpu")
    tiny.saved(case.make, tmp_path)
    model = open_model(str(tmp_path), roots=Roots(), dtype="float32", offload="keep")
    images = PICTURE if case.picture else None
    cond = stages.encode_prompt(model, [staged.PROMPT], [staged.NEGATIVE], images=images, runtime=runtime)
    latents = stages.empty_latents(model, **case.size)
    out = stages.sample(model, cond, latents, seed=42, steps=2, cfg=5.0, runtime=runtime)
    picture = stages.decode_image(model, out, runtime=runtime).permute(0, 3, 1, 2)
    stages.release_all()
    assert torch.equal(picture, whole_call(tmp_path, case))


def test_a_stage_without_text_encoders_still_knows_what_they_are(tmp_path):
    tiny.saved(lumina2, tmp_path)
    model = open_model(str(tmp_path), roots=Roots(), dtype="float32", offload="keep")
    with stage(model, "denoiser", Runtime("cpu")) as pipe:
        assert is_stub(pipe.text_encoder) and pipe.text_encoder.config.hidden_size == 16
    stages.release_all()


def test_a_part_that_the_pipeline_makes_by_itself_is_not_looked_for(tmp_path):
    index = {
        "_class_name": "LongCatAudioDiTPipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "vae": ["diffusers", "LongCatAudioDiTVae"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert component_classes(Model(tmp_path, tmp_path, "LongCatAudioDiTPipeline")).keys() == {"vae"}
