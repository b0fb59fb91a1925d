"""Models of two pipelines, a prior and a decoder: half of one is refused with the name of the class that holds both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.coverage import calls, compare, miniature
from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, halves, open_model
from pipelines.runtime import Runtime

PRIOR, DECODER, WHOLE = "KandinskyV22PriorPipeline", "KandinskyV22Pipeline", "KandinskyV22CombinedPipeline"


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory) -> Any:
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            miniature.build(name).save_pretrained(made[name])
        return made[name]

    return get


def opened(folder: Path) -> Any:
    return open_model(str(folder), roots=Roots(), dtype="float32")


def test_a_prior_is_refused_when_it_is_opened(folder_of):
    with pytest.raises(AigcError, match=f"only makes embeddings.*Use a folder of {WHOLE}"):
        opened(folder_of(PRIOR))


def test_a_decoder_without_embeddings_names_the_class_that_makes_them_too(folder_of):
    with pytest.raises(AigcError, match=f"Expected image_embeds for {DECODER}.*Use a folder of {WHOLE}"):
        stages.encode_prompt(opened(folder_of(DECODER)), ["a cat"], runtime=Runtime("cpu"))


def test_a_decoder_that_a_script_gives_embeddings_makes_its_picture(folder_of):
    model, runtime = opened(folder_of(DECODER)), Runtime("cpu")
    embeddings = {"image_embeds": calls.embedding(), "negative_image_embeds": 0 * calls.embedding()}
    conditioning = stages.encode_prompt(model, [""], extra=embeddings, runtime=runtime)
    latents = stages.empty_latents(model, width=64, height=64)
    out = stages.sample(model, conditioning, latents, seed=1, steps=2, cfg=4.0, runtime=runtime)
    picture = stages.decode_image(model, out, runtime=runtime)
    assert picture.shape == (1, 64, 64, 3) and float(picture.std()) > 0


def test_the_class_that_holds_both_makes_what_diffusers_makes():
    assert compare.measure(WHOLE)["verdict"] == "exact"


@pytest.mark.parametrize("half", [n for n, whole in {**halves.PRIORS, **halves.DECODERS}.items() if whole])
def test_every_half_and_every_whole_is_a_pipeline_of_diffusers_and_the_whole_holds_the_half(half):
    import diffusers

    whole = {**halves.PRIORS, **halves.DECODERS}[half]
    assert issubclass(getattr(diffusers, half), diffusers.DiffusionPipeline)
    prefix = "prior_" if half in halves.PRIORS else ""
    parts, _ = diffusers.DiffusionPipeline._get_signature_keys(getattr(diffusers, half))
    held, _ = diffusers.DiffusionPipeline._get_signature_keys(getattr(diffusers, whole))
    assert {f"{prefix}{part}" for part in parts} <= set(held)
