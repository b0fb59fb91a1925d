"""Families whose denoiser, text encoder and autoencoder are mostly published as files of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import component_classes, load_part, pipeline_class, stub_part
from pipelines.loading.families import BY_CONFIG, CONFIGS, recognise
from pipelines.loading.folder import part_class, read_index
from pipelines.loading.parts import part_size
from pipelines.loading.single_file import CheckpointModel, in_folder
from pipelines.loading.stubs import empty_module
from pipelines.loading.weights import TensorInfo
from pipelines.payloads import PartFile
from tests.pipelines.checkpoints import assert_same, random_parts, smaller_config
from tests.pipelines.original_layout import original
from tests.pipelines.original_newer import hunyuan_own

T5 = {"d_model": 48, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4, "vocab_size": 64}
WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "ffn_dim": 32,
    "text_dim": 48,
    "freq_dim": 16,
}
WAN_VAE = {"base_dim": 4, "num_res_blocks": 2}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
}
LANGUAGE = {
    "vocab_size": 64, "hidden_size": 48, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
SEEING = {"depth": 2, "hidden_size": 32, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 48}
VAE = {"block_out_channels": [32, 32, 64, 64]}
LTX = {
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 16,
    "num_layers": 2,
    "caption_channels": 48,
}
# diffusers tells the later autoencoder by its width, 2048: all other widths may be small.
LTX_095 = {"block_out_channels": [4, 8, 8, 8, 2048], "decoder_block_out_channels": [8, 16, 32],
           "layers_per_block": [1, 1, 1, 1, 1], "decoder_layers_per_block": [1, 1, 1, 1]}  # fmt: skip
LTX_090 = {"block_out_channels": [8, 8, 16, 16], "decoder_block_out_channels": [8, 16, 32, 32],
           "layers_per_block": [1, 1, 1, 1, 1], "decoder_layers_per_block": [1, 1, 1, 1, 1]}  # fmt: skip
LTX_091 = {**LTX_090, "decoder_block_out_channels": [8, 16, 32], "decoder_layers_per_block": [1, 1, 1, 1]}
HUNYUAN = {
    "transformer": {"num_layers": 2, "num_refiner_layers": 1, "num_attention_heads": 2, "attention_head_dim": 16,
                    "text_embed_dim": 48, "text_embed_2_dim": 24, "image_embed_dim": 32, "rope_axes_dim": [4, 6, 6]},
    "vae": {"block_out_channels": [8, 8, 8, 16, 16]}, "text_encoder": LANGUAGE,
    "text_encoder_2": {**T5, "d_model": 24},
}  # fmt: skip
SMALLER: dict[str, dict[str, dict[str, Any]]] = {
    "wan21_t2v_14b": {"transformer": WAN, "vae": WAN_VAE, "text_encoder": T5},
    "wan21_i2v_14b": {
        "transformer": {**WAN, "image_dim": 32, "added_kv_proj_dim": 24}, "vae": WAN_VAE, "text_encoder": T5,
        "image_encoder": VISION,
    },
    "wan22_t2v_14b": {"transformer": WAN, "transformer_2": WAN, "vae": WAN_VAE, "text_encoder": T5},
    "wan22_i2v_14b": {"transformer": WAN, "transformer_2": WAN, "vae": WAN_VAE, "text_encoder": T5},
    "wan22_ti2v_5b": {"transformer": WAN, "vae": {**WAN_VAE, "decoder_base_dim": 6}, "text_encoder": T5},
    "qwen_image": {
        "transformer": {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16, "joint_attention_dim": 48,
                        "axes_dims_rope": [4, 6, 6]},
        "vae": WAN_VAE, "text_encoder": {"text_config": LANGUAGE, "vision_config": SEEING},
    },
    "z_image": {
        "transformer": {"dim": 48, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 4, "n_kv_heads": 4, "cap_feat_dim": 48,
                        "axes_dims": [4, 4, 4]},
        "vae": VAE, "text_encoder": {**LANGUAGE, "head_dim": 12},
    },
    # diffusers' converter of Lumina 2 knows one width only, 2304.
    "lumina2": {
        "transformer": {"num_layers": 1, "num_refiner_layers": 1, "ffn_dim_multiplier": 0.01, "multiple_of": 32,
                        "cap_feat_dim": 48},
        "vae": VAE, "text_encoder": {**LANGUAGE, "head_dim": 12},
    },
    "auraflow": {
        "transformer": {"num_mmdit_layers": 1, "num_single_dit_layers": 2, "attention_head_dim": 8,
                        "num_attention_heads": 2, "joint_attention_dim": 48, "caption_projection_dim": 16,
                        "pos_embed_max_size": 16},
        "vae": VAE, "text_encoder": T5,
    },
    # diffusers' converter of Chroma knows one width only, 3072.
    "chroma": {
        "transformer": {"num_layers": 1, "num_single_layers": 1, "joint_attention_dim": 48,
                        "approximator_hidden_dim": 32, "approximator_layers": 2},
        "vae": VAE, "text_encoder": T5,
    },
    "flux2_klein_4b": {
        "transformer": {"num_layers": 1, "num_single_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16,
                        "joint_attention_dim": 144, "axes_dims_rope": [4, 4, 4, 4]},
        "vae": {"block_out_channels": [32, 32, 64, 64]}, "text_encoder": {**LANGUAGE, "head_dim": 12},
    },
    "flux2_klein_9b": {
        "transformer": {"num_layers": 2, "num_single_layers": 1, "num_attention_heads": 2, "attention_head_dim": 16,
                        "joint_attention_dim": 144, "axes_dims_rope": [4, 4, 4, 4]},
        "vae": {"block_out_channels": [32, 32, 64, 64]}, "text_encoder": {**LANGUAGE, "head_dim": 12},
    },
    "hunyuan15_t2v_720p": {**HUNYUAN},
    "hunyuan15_i2v_480p": {**HUNYUAN, "image_encoder": {**VISION, "patch_size": 14}},
    "ltx_090": {"transformer": LTX, "vae": LTX_090, "text_encoder": T5},
    "ltx_091": {"transformer": LTX, "vae": LTX_091, "text_encoder": T5},
    "ltx_095": {"transformer": LTX, "vae": LTX_095, "text_encoder": T5},
}  # fmt: skip
HALF = ("chroma", "lumina2", "ltx_095")  # large although small: in two bytes


@pytest.fixture(scope="module", params=list(SMALLER))
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A family as people have it: (the denoiser's file opened, all parts replaced by files, the parts' sources)."""
    family, folder = request.param, tmp_path_factory.mktemp(request.param)
    config = smaller_config(family, folder, SMALLER[family])
    parts = random_parts(family, config, torch.bfloat16 if family in HALF else torch.float32)
    for name, part in parts.items():
        tensors = original(family, name, part)
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")
    alone = CheckpointModel(folder / "transformer.safetensors", config, "")
    model = alone
    for name in parts:
        if name != "transformer":
            model = model.with_part(PartFile(name, folder / f"{name}.safetensors"))
    return alone, model, parts


def test_every_part_of_its_own_file_equals_its_source(small):
    _, model, parts = small
    for name, source in parts.items():
        assert_same(load_part(model, name, dtype=source.dtype), source)
        assert not in_folder(model, name)


def test_the_denoiser_under_the_host_s_prefix_is_the_same(small, tmp_path: Path):
    alone, _, parts = small
    tensors = original(alone.config.name, "transformer", parts["transformer"])
    path = tmp_path / "whole.safetensors"
    save_file({f"model.diffusion_model.{key}": value.contiguous() for key, value in tensors.items()}, path)
    part = load_part(CheckpointModel(path, alone.config, ""), "transformer", dtype=parts["transformer"].dtype)
    assert_same(part, parts["transformer"])


def test_a_file_of_the_denoiser_says_which_part_is_missing(small):
    alone, _, _ = small
    with pytest.raises(AigcError, match=r"'text_encoder'.*Replace Part"):
        load_part(alone, "text_encoder", dtype=torch.float32)


def test_a_stub_knows_the_small_values_that_a_pipeline_reads(small):
    _, model, parts = small
    for name, part in parts.items():
        stub = stub_part(model, name, device="cpu", dtype=torch.float32)
        read = [buffer for buffer in ("latents_mean", "latents_std") if buffer in dict(part.named_buffers())]
        assert len(read) == (2 if name == "vae" and model.config.name.startswith("ltx") else 0)
        if "bn.running_mean" in dict(part.named_buffers()):
            read += ["bn.running_mean", "bn.running_var"]
        for buffer in read:
            assert torch.equal(stub.get_buffer(buffer), part.get_buffer(buffer).float())


def test_hunyuan_15_in_its_makers_spelling_is_the_same(tmp_path: Path):
    config = smaller_config("hunyuan15_t2v_720p", tmp_path, SMALLER["hunyuan15_t2v_720p"])
    source = random_parts("hunyuan15_t2v_720p", config, torch.float32)["transformer"]
    tensors = hunyuan_own(original("", "transformer", source))
    assert "double_blocks.0.img_attn_q.weight" in tensors and "time_in.mlp.0.weight" in tensors
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "own.safetensors")
    model = CheckpointModel(tmp_path / "own.safetensors", config, "")
    assert_same(load_part(model, "transformer", dtype=torch.float32), source)


def full_size_header(family: str, name: str) -> dict[str, torch.Size]:
    """The shapes of a part in its original layout, from the shipped config: on the meta device, no memory."""
    config = CONFIGS / family
    classes = component_classes(CheckpointModel(config, config, ""))
    module = empty_module(part_class(*classes[name]), config / name)
    return {key: value.shape for key, value in original(family, name, module).items()}


FULL = [
    "wan21_t2v_1_3b", "wan21_t2v_14b", "wan21_i2v_14b", "wan22_i2v_14b", "wan22_ti2v_5b", "qwen_image", "z_image", "lumina2",
    "auraflow", "auraflow_large", "chroma", "ltx_097", "flux2_klein_4b", "flux2_klein_9b", "hunyuan15_t2v_720p",
]  # fmt: skip


@pytest.mark.parametrize("family", FULL)
def test_a_denoiser_of_the_shipped_size_is_recognised_as_its_family(family: str):
    shapes = full_size_header(family, "transformer")
    for prefix in ("", "model.diffusion_model."):
        header = {prefix + key: TensorInfo("BF16", tuple(shape)) for key, shape in shapes.items()}
        assert recognise(header, Path("x.safetensors")).config == family


@pytest.mark.parametrize("family", ["ltx_090", "ltx_091", "ltx_095", "ltx_097"])
def test_the_autoencoder_tells_the_version_of_ltx(family: str):
    header = {
        prefix + key: TensorInfo("BF16", tuple(shape))
        for name, prefix in (("transformer", "model.diffusion_model."), ("vae", "vae."))
        for key, shape in full_size_header(family, name).items()
    }
    assert recognise(header, Path("x.safetensors")).config == family


# As published: what the model's own pages and ComfyUI's files say, in millions.
MILLIONS = {
    "wan21_t2v_1_3b": {"transformer": 1418.997, "text_encoder": 5680.910, "vae": 126.893},
    "wan21_t2v_14b": {"transformer": 14288.492},
    "wan21_i2v_14b": {"transformer": 16394.879, "image_encoder": 630.766},
    "wan22_ti2v_5b": {"transformer": 4999.788, "vae": 704.689},
    "qwen_image": {"transformer": 20430.401, "text_encoder": 8292.167},
    "z_image": {"transformer": 6154.909, "text_encoder": 4022.468},
    "lumina2": {"transformer": 2609.769, "text_encoder": 2614.342},
    "auraflow": {"transformer": 6833.440, "text_encoder": 1223.551},
    "chroma": {"transformer": 8899.983},
    "flux2_klein_4b": {"text_encoder": 4022.468},
    "hunyuan15_i2v_720p": {"image_encoder": 428.226},
    "ltx_090": {"transformer": 1923.385, "vae": 419.194},
    "ltx_097": {"transformer": 13042.569, "vae": 1246.914},
}


def test_shipped_configs_make_the_published_sizes():
    for family, sizes in MILLIONS.items():
        for name, millions in sizes.items():
            model = CheckpointModel(CONFIGS / family / "model_index.json", CONFIGS / family, "")
            assert part_size(model, name) / 1e6 == pytest.approx(millions, abs=0.3), (family, name)


def test_every_shipped_config_is_one_that_its_pipeline_takes():
    for family in BY_CONFIG.values():
        model = CheckpointModel(family.folder / "model_index.json", family.folder, "")
        model = replace(model, pipeline_class=read_index(family.folder)["_class_name"])
        expected, _ = pipeline_class(model)._get_signature_keys(pipeline_class(model))
        assert set(component_classes(model)) <= set(expected), family.config
        for name in family.prefixes:
            assert (family.folder / name / "config.json").is_file(), (family.config, name)
