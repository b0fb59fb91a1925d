"""The coverage table: it names every live class, its page is what it renders to, and a few rows are measured here."""

from __future__ import annotations

import json
import warnings

import pytest

from benchmarks.coverage import classes, compare, render

SAMPLED = (
    "StableDiffusionXLInpaintPipeline",
    "PixArtSigmaPipeline",
    "CogView3PlusPipeline",
    "HunyuanDiTPipeline",
    "Cosmos3OmniPipeline",
    "StableDiffusionDepth2ImgPipeline",  # its depth estimator runs in the denoising call
    "GlmImagePipeline",  # writes tokens from the seed before it encodes
    "PRXPipeline",  # its text encoder's folder holds the config of a larger model
    "LTX2DFRPipeline",  # knows neither a length nor a number of steps by itself
    "AceStepPipeline",  # its prompt's encoding knows how long the sound will be
    "LTXI2VLongMultiPromptPipeline",  # decodes by a method of its own
    "LTX2HDRPipeline",  # a processor of its own
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline",  # its answer begins with the video that it was given
    "QwenImage21Pipeline",  # a picture with a time axis, by another convolution
    "AnimaModularPipeline",  # blocks, without and with a picture
    "StableDiffusion3ControlNetPipeline",  # draws from a posterior without a generator
)


def table() -> dict:
    return json.loads(render.RESULTS.read_text("utf-8"))


def test_the_table_names_every_live_pipeline_class():
    import diffusers

    named, live = {row["name"] for row in table()["rows"]}, {*classes.live(), *classes.modular_only()}
    if table()["diffusers"] == diffusers.__version__:
        assert named == live
    elif live - named:
        warnings.warn(
            f"not measured: {', '.join(sorted(live - named))}; run python -m benchmarks.coverage", stacklevel=1
        )


def test_the_page_is_what_the_table_renders_to():
    assert render.PAGE.read_text("utf-8") == render.page(table())


def test_every_row_is_exact_or_says_why_not():
    for row in table()["rows"]:
        assert row["verdict"] in render.MEANING
        assert row["verdict"] == "exact" or row.get("note") or row.get("difference"), row["name"]


def test_the_families_that_exist_only_as_blocks_are_found_by_code():
    found = classes.modular_only()
    assert {"AnimaModularPipeline", "Flux3ModularPipeline", "EchoModularPipeline"} <= set(found)
    assert not {"FluxModularPipeline", "WanModularPipeline", "ModularPipeline"} & set(found)


def test_every_family_that_exists_only_as_blocks_is_exact():
    rows = [row for row in table()["rows"] if classes.is_modular(row["name"])]
    assert len(rows) >= 8 and {row["verdict"] for row in rows} == {"exact"}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_class_of_the_table_is_staged_exactly(name):
    row = compare.measure(name)
    assert row["verdict"] == "exact", row
