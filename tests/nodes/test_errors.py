"""Wrong input on the real host: one clear error that names the node, or no error at all where none is due."""

from __future__ import annotations

import pytest

from .canvas import node, run, text_to_image

pytestmark = pytest.mark.usefixtures("tiny")


def error_of(url: str, graph: dict) -> str:
    result = run(url, graph)
    assert result.refused is None, result.refused
    assert len(result.of("execution_error")) == 1
    assert "Traceback" not in result.error and len(result.error) < 1200
    return result.error


@pytest.mark.parametrize(
    ("changes", "title", "says"),
    [
        ({"model__model": "not there"}, "Load Model", "not there"),
        ({"model__model": "../../secret"}, "Load Model", "../../secret"),
        ({"model__model": ""}, "Load Model", ""),
        ({"model__path_or_hub_id": "../nowhere/at/all"}, "Load Model", "nowhere"),
        ({"size__width": 7}, "Empty Latents", "width"),
        ({"size__height": 65}, "Empty Latents", "64"),
        ({"sample__scheduler": "no such"}, "Sample", "no such"),
        ({"sample__scheduler": "flow_euler"}, "Sample", "flow_euler"),
    ],
)
def test_a_wrong_value_is_one_error_that_names_the_node(url, changes, title, says):
    error = error_of(url, text_to_image(**changes))
    assert error.startswith(f"{title}: ") and says in error


def test_latents_of_another_model_are_refused_by_sample_and_decode(url):
    graph = text_to_image()
    graph["other"] = node("LoadModel", model="tiny/wan", dtype="auto", offload="auto")
    graph["size"]["inputs"]["model"] = ["other", 0]
    error = error_of(url, graph)
    assert error.startswith("Sample: ") and "StableDiffusionPipeline" in error
    graph["decode"]["inputs"]["latents"] = ["size", 0]
    assert error_of(url, graph).startswith("Decode Image: ")


def test_conditioning_of_another_model_is_refused(url):
    graph = text_to_image()
    graph["other"] = node("LoadModel", model="tiny/sd3", dtype="auto", offload="auto")
    graph["prompt"]["inputs"]["model"] = ["other", 0]
    error = error_of(url, graph)
    assert error.startswith("Sample: ") and "StableDiffusion3Pipeline" in error


def test_a_lora_that_is_not_there_is_refused(url):
    graph = text_to_image()
    graph["lora"] = node("LoadLora", model=["model", 0], lora="../gone.safetensors", strength=1.0)
    graph["sample"]["inputs"]["model"] = ["lora", 0]
    error = error_of(url, graph)
    assert error.startswith("Load LoRA: ") and "gone" in error


def test_a_pickle_is_refused_as_a_lora(url, models_folder):
    (models_folder / "loras").mkdir(parents=True, exist_ok=True)
    (models_folder / "loras" / "old.pt").write_bytes(b"\x80\x04N.")
    graph = text_to_image()
    graph["lora"] = node("LoadLora", model=["model", 0], lora="old.pt", strength=1.0)
    graph["sample"]["inputs"]["model"] = ["lora", 0]
    assert error_of(url, graph).startswith("Load LoRA: ")


def test_0_steps_are_refused_before_anything_runs(url):
    result = run(url, text_to_image(sample__steps=0))
    (error,) = result.refused["node_errors"]["sample"]["errors"]
    assert "steps" in error["details"]


def test_numbers_that_are_not_finite_are_an_error_where_they_arise(url, broken_vae):
    error = error_of(url, text_to_image(broken_vae))
    assert error.startswith("Decode Image: ") and "float32" in error


@pytest.mark.parametrize(
    "prompt",
    ["", "一只红色的猫 🐱 坐在火星上", "cat " * 25_000, "{}", "a\x00b", "<|endoftext|>"],
    ids=["empty", "chinese and emoji", "100,000 characters", "braces", "null character", "special token"],
)
def test_any_text_is_a_prompt(url, prompt):
    assert run(url, text_to_image(prompt__prompt=prompt, prompt__negative_prompt=prompt)).error == ""


def test_the_largest_seed_works_in_a_batch(url):
    assert run(url, text_to_image(sample__seed=0xFFFFFFFFFFFFFFFF, size__batch_size=2)).error == ""
