"""The searches on the real host: kept in order, reported, stopped within a step, refused in words."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from .canvas import images, node, run, text_to_image

pytestmark = pytest.mark.usefixtures("tiny")
SAMPLING = {"seed": 1, "steps": 3, "cfg": 3.0, "scheduler": "model default"}
WIRES = {"model": ["model", 0], "conditioning": ["prompt", 0], "latents": ["size", 0], "discriminator": ["judge", 0]}


def searched(name: str, report: int, judge: str = "sharpness", **inputs):
    """A tiny model's pictures found by one of the searches, the report shown as text."""
    graph = text_to_image()
    graph["judge"] = node("LoadDiscriminator", discriminator=judge)
    graph["sample"] = node(name, **{**WIRES, **SAMPLING, **inputs})
    graph["report"] = {"class_type": "PreviewAny", "inputs": {"source": ["sample", report]}}
    return graph


def best_of(**inputs):
    start = {"candidates": 4, "keep": 2, "halvings": "auto", "judge_on": "estimates", "at_once": 0}
    return searched("BestOfN", 2, **{**start, **inputs})


def test_best_of_n_keeps_two_in_order_and_says_who_was_dropped(url):
    result = run(url, best_of())
    assert result.error == ""
    report = result.outputs["report"]["text"][0].splitlines()
    assert report[0].startswith("Best 2 of 4 a prompt by sharpness") and "; out: " in report[1]
    seeds = [int(part.split()[0]) for part in report[-2].partition("seeds ")[2].split("), ")]
    kept = images(url, result, "save")
    assert len(kept) == 2 and len(seeds) == 2
    for seed, picture in zip(seeds, kept):
        alone = run(
            url, text_to_image(**{f"sample__{key}": value for key, value in {**SAMPLING, "seed": seed}.items()})
        )
        assert np.abs(images(url, alone, "save")[0].astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
    ("name", "report", "inputs", "says"),
    (
        ("SteerParticles", 4, {"particles": 2, "scheduler": "euler_ancestral", "strength": 1.0, "potential": "max",
                               "resample_at": "0.5", "threshold": 0.5}, "different ancestors"),
        ("SearchNoise", 2, {"method": "zero-order", "budget": 4, "each_round": 2, "radius": 0.3}, "round 2 of 2"),
    ),
)  # fmt: skip
def test_particles_and_noise_give_a_picture_and_a_report(name, report, inputs, says, url):
    result = run(url, searched(name, report, **inputs))
    assert result.error == "" and len(images(url, result, "save")) == 1
    assert says in result.outputs["report"]["text"][0]


def test_an_interrupt_ends_a_search_within_a_step_and_the_next_one_runs(url):
    async def stop(session, message):
        if message["type"] == "progress" and message["data"]["node"] == "sample":
            async with session.post(f"{url}/interrupt"):
                await asyncio.sleep(0)

    result = run(url, best_of(candidates=16, steps=200, seed=8), stop)
    assert result.interrupted and not result.error
    assert max(data["value"] for data in result.of("progress") if data["node"] == "sample") < 16 * 100
    assert run(url, best_of(seed=8)).error == ""


@pytest.mark.parametrize(
    ("graph", "says"),
    (
        (best_of(keep=5), "Best of N: Expected to keep between 1 and all 4 candidates, got 5"),
        (best_of(halvings="soon"), "Best of N: Expected auto, off, or rising shares"),
        (best_of(judge="pictogram"), "Best of N: Expected 40 channels"),
        (
            searched("SteerParticles", 4, particles=2, strength=1.0, potential="max", resample_at="0.5", threshold=0.5),
            "Steer Particles: Expected a scheduler that draws noise at its steps, got 'model default'",
        ),
    ),
)
def test_what_does_not_fit_is_one_error_that_names_the_node(graph, says, url):
    assert says in run(url, graph).error
