"""Models put together from files of their parts make what the same models make as a diffusers folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import save_file

from pipelines import stages
from pipelines.loading import Roots, load_part, open_model
from pipelines.loading.folder import read_index
from pipelines.loading.single_file import CheckpointModel
from pipelines.payloads import Model, PartFile
from pipelines.runtime import Runtime
from tests.pipelines.checkpoints import random_parts, smaller_config
from tests.pipelines.original_layout import original
from tests.pipelines.test_loading_families import SMALLER
from tests.pipelines.test_loading_quantised import write_gguf
from tests.pipelines.test_loading_words import UNIGRAM, qwen_words, sentencepiece_model

FAMILIES = ["wan21_t2v_14b", "wan22_t2v_14b", "wan22_ti2v_5b"]


# Families that take the host's words, and what a run needs larger than a look at the tensors does: places for the late
# words, as many layers as are read, and room for the latents' channels.
LATE = {"vocab_size": 151_700}
LARGER: dict[str, dict[str, dict[str, Any]]] = {
    "flux2_klein_4b": {"text_encoder": {**LATE, "num_hidden_layers": 28}},
    "hunyuan15_t2v_720p": {
        "text_encoder": {**LATE, "num_hidden_layers": 4, "rope_parameters": {"mrope_section": [2, 2, 2]}},
        "text_encoder_2": {"vocab_size": 400}, "vae": {"block_out_channels": [32] * 5},
    },
}  # fmt: skip


def put_together(family: str, folder: Path) -> tuple[Model, dict[str, Any]]:
    """A small model as its files: the denoiser, the autoencoder, and the text encoder with its words."""
    larger = LARGER.get(family, {})
    smaller = {name: {**values, **larger.get(name, {})} for name, values in SMALLER[family].items()}
    config = smaller_config(family, folder, smaller)
    parts = random_parts(family, config, torch.float32)
    words = torch.frombuffer(bytearray(sentencepiece_model(**UNIGRAM)), dtype=torch.uint8)
    model: Model = CheckpointModel(
        folder / "transformer.safetensors", config, read_index(config)["_class_name"], dtype="float32", offload="stage",
        tokenizers={"qwen": qwen_words(folder)},
    )  # fmt: skip
    for name, part in parts.items():
        for key, value in part.state_dict().items():
            if value.is_floating_point():
                value.mul_(0.05)
            if key.endswith("running_var"):
                value.abs_().add_(1)
        tensors = {key: value.contiguous() for key, value in original(family, name, part).items()}
        path = folder / f"{name}.safetensors"
        save_file(tensors | ({"spiece_model": words} if name == "text_encoder" and not larger else {}), path)
        if name != "transformer":
            model = model.with_part(PartFile(name, path))
    return model, parts


def made(model: Model) -> torch.Tensor:
    runtime = Runtime()
    conditioning = stages.encode_prompt(model, ["the cat"], ["a house"], guided=True, runtime=runtime)
    video = model.pipeline_class != "Flux2KleinPipeline"
    latents = stages.empty_latents(model, width=32, height=32, **({"frames": 5} if video else {}))
    sampled = stages.sample(
        model, conditioning, latents, seed=1, steps=2, cfg=4.0, scheduler="model default", denoise=1.0, on_step=None,
        runtime=runtime,
    )  # fmt: skip
    if video:
        return stages.decode_video(model, sampled, runtime=runtime)[0]
    return stages.decode_image(model, sampled, runtime=runtime)


@pytest.mark.parametrize("family", [*FAMILIES, *LARGER])
def test_a_model_of_files_makes_what_its_folder_makes(family: str, tmp_path: Path):
    model, parts = put_together(family, tmp_path)
    folder = Path(shutil.copytree(model.config, tmp_path / "whole"))
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    for name in ("tokenizer", "tokenizer_2"):
        if (folder / name).is_dir():
            load_part(model, name, dtype=None).save_pretrained(folder / name)
    whole = open_model(str(folder), roots=Roots(), dtype="float32", offload="stage")
    ours = made(model)
    # Not bit for bit: weights are pages of their files, which begin at other bytes, and torch sums in another order then.
    assert ours.std() > 0 and (ours - made(whole)).abs().max() < 1e-6


def test_a_packed_denoiser_runs_in_a_model_of_files_and_stays_near(tmp_path: Path):
    model, parts = put_together("wan21_t2v_14b", tmp_path)
    tensors = original("wan21_t2v_14b", "transformer", parts["transformer"])
    wide = tuple(key for key, value in tensors.items() if value.ndim != 2 or value.shape[-1] % 32)
    path = write_gguf(tensors, tmp_path / "x.gguf", gguf.GGMLQuantizationType.Q8_0, keep=wide)
    packed = replace(model, path=path)
    assert any(
        hasattr(value, "quant_type") for value in load_part(packed, "transformer", dtype=torch.float32).parameters()
    )
    exact, near = made(model), made(packed)
    assert 0 < (exact - near).abs().max() < 0.05
