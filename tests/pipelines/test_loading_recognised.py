"""Files that are recognised and whose configs are not shipped, and files that are not recognised."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import AigcError
from pipelines.loading import Roots, describe, load_part, open_model, stub_part
from pipelines.loading.families import BY_CONFIG, CONFIGS, DESCRIBED, NAMED, Family
from pipelines.loading.single_file import in_folder
from pipelines.payloads import Lora
from tests.pipelines.checkpoints import assert_same, fill
from tests.pipelines.original_layout import original

FLUX2 = {
    "_class_name": "Flux2Transformer2DModel", "num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2,
    "attention_head_dim": 16, "in_channels": 8, "joint_attention_dim": 24, "axes_dims_rope": [4, 4, 4, 4],
}  # fmt: skip
WORDS = {"a": 0, "b": 1, "<|endoftext|>": 2}


def flux2(folder: Path) -> Any:
    """A small FLUX.2: the denoiser as a file, and beside it a folder of its own with configs, words and one VAE."""
    from diffusers import AutoencoderKL, Flux2Transformer2DModel

    folder.mkdir(parents=True, exist_ok=True)
    mine = folder / "my configs"
    net = fill(Flux2Transformer2DModel.from_config(FLUX2))
    net.save_config(mine / "transformer")
    fill(AutoencoderKL(block_out_channels=(32,), latent_channels=4)).save_pretrained(mine / "vae")
    (mine / "tokenizer").mkdir()
    (mine / "tokenizer" / "vocab.json").write_text(json.dumps(WORDS))
    (mine / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    (mine / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer"}))
    index = {
        "_class_name": "Flux2KleinPipeline", "transformer": ["diffusers", "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"], "tokenizer": ["transformers", "Qwen2Tokenizer"],
    }  # fmt: skip
    (mine / "model_index.json").write_text(json.dumps(index))
    save_file({k: v.contiguous() for k, v in original("", "transformer", net).items()}, folder / "klein.safetensors")
    return net


def test_a_family_without_shipped_configs_takes_them_from_a_folder_beside_the_file(tmp_path: Path):
    net = flux2(tmp_path)
    model = open_model(str(tmp_path / "klein.safetensors"), roots=Roots())
    assert model.config == tmp_path / "my configs" and model.pipeline_class == "Flux2KleinPipeline"
    assert_same(load_part(model, "transformer", dtype=torch.float32), net)
    # What the file lacks comes from the folder, where it is.
    vae = load_part(model, "vae", dtype=torch.float32)
    assert torch.equal(vae.encoder.conv_in.weight, fill(copy.deepcopy(vae)).encoder.conv_in.weight)
    assert in_folder(model, "vae") and not in_folder(model, "transformer")
    assert load_part(model, "tokenizer", dtype=None).convert_tokens_to_ids("b") == 1
    stub_part(model, "vae", device="cpu", dtype=torch.float32)


def test_such_configs_may_lie_among_the_models_and_must_be_of_the_file_s_size(tmp_path: Path):
    flux2(tmp_path / "a")
    diffusers = tmp_path / "diffusers"
    diffusers.mkdir()
    (tmp_path / "a" / "my configs").rename(diffusers / "klein")
    file, roots = str(tmp_path / "a" / "klein.safetensors"), Roots(diffusers=(diffusers,))
    assert open_model(file, roots=roots).config == diffusers / "klein"
    config = diffusers / "klein" / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_layers": 8}))
    for asked in (roots, Roots()):
        with pytest.raises(AigcError, match=r"configs of FLUX\.2 .*Flux2KleinPipeline.*models/diffusers or beside"):
            open_model(file, roots=asked)


def test_what_cannot_be_recognised_is_said_with_what_was_seen(tmp_path: Path):
    names = [f"odd.{number}.weight" for number in range(5)] + ["model.head.bias", "top"]
    path = tmp_path / "odd.safetensors"
    save_file({name: torch.ones(1) for name in names}, path, metadata={"made_by": "somebody", "base": "unknown"})
    with pytest.raises(AigcError) as caught:
        open_model(str(path), roots=Roots())
    text = str(caught.value)
    assert "7 tensors, most of them below odd (5), model.head (1), top (1)" in text
    assert "made_by: somebody" in text and "base: unknown" in text and "models/diffusers" in text


NAMES = {
    "qwen_image_fp8_e4m3fn": "qwen_image", "qwen_image_edit_fp8_e4m3fn": "qwen_image_edit",
    "Qwen-Image-Edit-2509-Q4": "qwen_image_edit_2509", "qwen_image_edit_plus": "qwen_image_edit_2509",
    "wan2.1_t2v_14B_fp16": "wan21_t2v_14b", "wan2.2_t2v_high_noise_14B_fp8_scaled": "wan22_t2v_14b",
    "my_low_noise": "wan22_t2v_14b", "hunyuanvideo1.5_720p_t2v_fp16": "hunyuan15_t2v_720p",
    "hunyuanvideo1.5_480p_i2v_cfg_distilled_fp16": "hunyuan15_i2v_480p",
    "hunyuanvideo1.5_720p_i2v_fp16": "hunyuan15_i2v_720p", "hunyuanvideo1.5_480p_t2v": "hunyuan15_t2v_480p",
}  # fmt: skip


@pytest.mark.parametrize(("name", "config"), NAMES.items())
def test_what_only_a_file_s_name_tells_is_read_off_it(tmp_path: Path, name: str, config: str):
    base = next((base for base, rows in NAMED.items() if config == base or config in {row.config for _, row in rows}))
    path = tmp_path / f"{name}.safetensors"
    shapes = {key: tuple(size or 1 for size in dims) or (1,) for key, dims in BY_CONFIG[base].marks.items()}
    save_file({key: torch.zeros(shape, dtype=torch.bfloat16) for key, shape in shapes.items()}, path)
    model = open_model(str(path), roots=Roots())
    assert model.config.name == config
    assert model.pipeline_class == json.loads((CONFIGS / config / "model_index.json").read_text())["_class_name"]
    assert (f"read as: {BY_CONFIG[config].name}" in describe(model).splitlines()) and (
        "by the file's name" in describe(model)
    ) == (config != base)


@pytest.mark.parametrize("row", DESCRIBED, ids=lambda row: row.name[:24])
def test_a_recognised_family_without_configs_says_what_it_is_and_what_it_lacks(tmp_path: Path, row: Family):
    shapes = {name: tuple(size or 1 for size in dims) or (1,) for name, dims in row.marks.items()}
    path = tmp_path / "x.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    with pytest.raises(AigcError) as caught:
        open_model(str(path), roots=Roots())
    assert f"configs of {row.name}" in str(caught.value) and row.pipelines[0] in str(caught.value)
    assert f"{len(shapes)} tensors" in str(caught.value)


def test_model_info_shows_a_lora_with_its_blocks(tmp_path: Path):
    path = tmp_path / "my_edit.safetensors"
    shapes = {key: tuple(size or 1 for size in dims) or (1,) for key, dims in BY_CONFIG["qwen_image"].marks.items()}
    save_file({key: torch.zeros(shape, dtype=torch.bfloat16) for key, shape in shapes.items()}, path)
    model = open_model(str(path), roots=Roots())
    for lora in (Lora(Path("a.safetensors"), 0.5, (("up.1", 0.25), ("mid", 0.0))), Lora(Path("b.safetensors"))):
        model = model.with_lora(lora)
    lines = describe(model).splitlines()
    assert "LoRA: a.safetensors at strength 0.5 (up.1: 0.25, mid: 0)" in lines
    assert "LoRA: b.safetensors at strength 1" in lines
