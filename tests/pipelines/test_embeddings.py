"""Textual inversions: as diffusers' own loader makes them, and the model as before afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, find_embeddings
from pipelines.runtime import Runtime
from pipelines.stages import modular
from pipelines.stages.pipe import stage

from .test_lora import opened, whole

CPU = Runtime("cpu")
WIDTH = 32


def vectors(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    stages.release_all()


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "styles").mkdir()
    save_file({"emb_params": vectors(3)}, tmp_path / "styles" / "Mine_2.safetensors")
    save_file({"<one>": vectors(1, 1)[0]}, tmp_path / "one.safetensors")
    save_file({"clip_l": vectors(2, 2), "clip_g": vectors(2, 3)}, tmp_path / "both.safetensors")
    save_file({"emb_params": torch.ones(1, 9)}, tmp_path / "wide.safetensors")
    (tmp_path / "old.pt").write_bytes(b"pickle")
    return Roots(embeddings=(tmp_path,))


def encoded(model: Any, text: str, roots: Roots, negative: str = "") -> Any:
    files = find_embeddings(model, [text, negative], roots=roots)
    return stages.encode_prompt(model, [text], [negative], embeddings=files, runtime=CPU)


def tensors(conditioning: Any) -> list[torch.Tensor]:
    return [value for value in conditioning.calls[0].result if isinstance(value, torch.Tensor)]


def loaded(pipe: Any, name: str, token: str, value: torch.Tensor) -> None:
    tokenizer, encoder = f"tokenizer{name}", f"text_encoder{name}"
    pipe.load_textual_inversion(
        {token: value}, token=token, tokenizer=getattr(pipe, tokenizer), text_encoder=getattr(pipe, encoder)
    )


def test_a_word_of_a_prompt_is_what_diffusers_loads_under_a_token(tiny_model, roots: Roots):
    model, pipe = opened(tiny_model("sd15")), whole(opened(tiny_model("sd15")))
    loaded(pipe, "", "<mine>", vectors(3))
    loaded(pipe, "", "<one>", vectors(1, 1))
    with torch.no_grad():
        expected = pipe.encode_prompt("a photo of <mine>, red", "cpu", 1, True, "low <one>")[:2]
    found = tensors(encoded(model, "a photo of embedding:styles/Mine_2, red", roots, "low embedding:one.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    plain = tensors(encoded(model, "a photo of , red", roots, "low"))
    assert not torch.allclose(found[0], plain[0], atol=1e-2)


def test_sdxl_takes_one_file_for_both_of_its_encoders(tiny_model, roots: Roots):
    model, pipe = opened(tiny_model("sdxl")), whole(opened(tiny_model("sdxl")))
    loaded(pipe, "", "<both>", vectors(2, 2))
    loaded(pipe, "_2", "<both>", vectors(2, 3))
    with torch.no_grad():
        expected = pipe.encode_prompt("a <both> cat", device="cpu", do_classifier_free_guidance=True)
    found = tensors(encoded(model, "a embedding:both cat", roots))
    assert all(torch.equal(a, b) for a, b in zip(found, [e for e in expected if e is not None], strict=True))


def test_the_model_is_as_before_afterwards(tiny_model, roots: Roots):
    model = opened(tiny_model("sd15"))
    keep = model.__class__(**{**model.__dict__, "offload": "keep"})
    before = tensors(encoded(keep, "a cat", roots))
    with stage(keep, "text", CPU) as pipe:
        tokenizer, table = pipe.tokenizer, pipe.text_encoder.get_input_embeddings()
        data, words = table.weight.data_ptr(), len(tokenizer)
        weights = table.weight.clone()
    encoded(keep, "a embedding:one cat", roots)
    with pytest.raises(AigcError, match="width 32"):
        encoded(keep, "a embedding:one embedding:wide cat", roots)
    with stage(keep, "text", CPU) as again:
        assert again is pipe and again.tokenizer is tokenizer and len(tokenizer) == words
        assert again.text_encoder.get_input_embeddings() is table and table.weight.data_ptr() == data
        assert torch.equal(table.weight, weights) and table.num_embeddings == len(weights)
        assert again.text_encoder.config.vocab_size == len(weights)
    assert all(torch.equal(a, b) for a, b in zip(tensors(encoded(keep, "a cat", roots)), before, strict=True))


def test_a_conditioning_with_a_word_is_sampled(tiny_model, roots: Roots):
    model = opened(tiny_model("sd15"))
    empty = stages.empty_latents(model, width=32, height=32)
    made = [
        stages.sample(model, encoded(model, text, roots), empty, seed=1, steps=2, cfg=5.0, runtime=CPU)["samples"]
        for text in ("a embedding:one cat", "a embedding:styles/Mine_2 cat")
    ]
    assert not torch.equal(*made) and all(m.isfinite().all() for m in made)


@pytest.mark.parametrize("name", ["none", "old", "old.pt", "../one"])
def test_a_name_without_a_safetensors_file_is_refused(tiny_model, roots: Roots, name: str):
    with pytest.raises(AigcError, match="embedding"):
        find_embeddings(opened(tiny_model("sd15")), [f"a embedding:{name}"], roots=roots)


def test_a_family_without_clip_alone_is_refused(tiny_model, roots: Roots):
    with pytest.raises(AigcError, match=r"CLIP text encoders for embedding:one, got FluxPipeline.*T5EncoderModel"):
        find_embeddings(opened(tiny_model("flux")), ["a embedding:one"], roots=roots)
    assert find_embeddings(opened(tiny_model("flux")), ["a cat"], roots=roots) == {}


def test_a_modular_model_is_refused_by_name(tiny_model, roots):
    model = modular.open_folder(tiny_model("sdxl"), dtype="float32")
    with pytest.raises(
        AigcError, match="Expected a model with CLIP text encoders for embedding:one, got StableDiffusionXL"
    ):
        find_embeddings(model, ["a embedding:one"], roots=roots)
