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
from pipelines.loading.single_file import CheckpointModel
from pipelines.payloads import Model, PartFile
from pipelines.runtime import Runtime
from tests.pipelines.checkpoints import random_parts, smaller_config
from tests.pipelines.original_layout import original
from tests.pipelines.test_loading_families import SMALLER
from tests.pipelines.test_loading_quantised import write_gguf
from tests.pipelines.test_loading_words import UNIGRAM, sentencepiece_model

FAMILIES = ["wan21_t2v_14b", "wan22_t2v_14b", "wan22_ti2v_5b"]


def put_together(family: str, folder: Path) -> tuple[Model, dict[str, Any]]:
    """A small model as its files: the denoiser, the autoencoder, and the text encoder with its words."""
    config = smaller_config(family, folder, SMALLER[family])
    parts = random_parts(family, config, torch.float32)
    words = torch.frombuffer(bytearray(sentencepiece_model(**UNIGRAM)), dtype=torch.uint8)
    model: Model = CheckpointModel(
        folder / "transformer.safetensors", config, "WanPipeline", dtype="float32", offload="stage"
    )
    for name, part in parts.items():
        for value in part.state_dict().values():
            value.mul_(0.05)
        tensors = {key: value.contiguous() for key, value in original(family, name, part).items()}
        path = folder / f"{name}.safetensors"
        save_file(tensors | ({"spiece_model": words} if name == "text_encoder" else {}), path)
        if name != "transformer":
            model = model.with_part(PartFile(name, path))
    return model, parts


def made(model: Model) -> torch.Tensor:
    runtime = Runtime()
    conditioning = stages.encode_prompt(model, ["the cat"], ["a house"], guided=True, runtime=runtime)
    latents = stages.empty_latents(model, width=32, height=32, frames=5)
    sampled = stages.sample(
        model, conditioning, latents, seed=1, steps=2, cfg=4.0, scheduler="model default", denoise=1.0, on_step=None,
        runtime=runtime,
    )  # fmt: skip
    return stages.decode_video(model, sampled, runtime=runtime)[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_files_makes_what_its_folder_makes(family: str, tmp_path: Path):
    model, parts = put_together(family, tmp_path)
    folder = Path(shutil.copytree(model.config, tmp_path / "whole"))
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    load_part(model, "tokenizer", dtype=None).save_pretrained(folder / "tokenizer")
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
