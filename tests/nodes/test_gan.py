"""GANs on the real host: styles travel as wires, a search is stopped and kept, a file is converted, and errors name the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .canvas import images, node, run


@pytest.fixture(scope="module", autouse=True)
def gans(models_folder: Path) -> None:
    """tiny.safetensors, a StyleGAN2 with its discriminator, and foreign.pth, a DCGAN without."""
    import torch

    from pipelines.gan import files

    from ..pipelines.gans import design, networks

    folder = models_folder / "gan"
    g, d = networks("stylegan2")
    files.save(folder / "tiny.safetensors", design("stylegan2"), {"generator": g, "discriminator": d}, licence="CC0")
    torch.save({"netG": networks("dcgan")[0].state_dict()}, folder / "foreign.pth")


def save(source: str, place: int = 0) -> dict[str, Any]:
    return {"class_type": "SaveImage", "inputs": {"images": [source, place], "filename_prefix": source}}


def graph(gan: str = "tiny.safetensors", seed: int = 0, count: int = 3, **nodes: Any) -> dict[str, Any]:
    """A GAN, its styles and their pictures, saved; and other nodes."""
    return {
        "gan": node("LoadGan", gan=gan),
        "styles": node("SampleStyles", gan=["gan", 0], seed=seed, count=count, label=-1, truncation=1.0),
        "image": node("GenerateGan", gan=["gan", 0], style=["styles", 0], noise="const"),
        "save": save("image"),
        **nodes,
    }


def test_the_same_seed_is_the_same_picture_in_any_batch_and_truncation_0_is_one_picture(url):
    many = images(url, run(url, graph()), "save")
    (alone,) = images(url, run(url, graph(seed=2, count=1)), "save")
    assert np.abs(many[2].astype(int) - alone).max() <= 1 and not np.array_equal(many[0], many[1])
    flat = graph()
    flat["styles"]["inputs"]["truncation"] = 0.0
    one, two, three = images(url, run(url, flat), "save")
    assert np.array_equal(one, two) and np.array_equal(one, three)


def test_styles_are_mapped_mixed_walked_and_edited_along_the_wires(url):
    def made(name: str, **inputs: Any) -> dict[str, Any]:
        return node(name, gan=["gan", 0], **inputs)

    more = {
        "other": made("SampleStyles", seed=50, count=3, label=-1, truncation=1.0),
        "mapped": made("MapStyles", style=["styles", 0], truncation=1.0, cutoff=0),
        "mixed": made("MixStyles", a=["mapped", 0], b=["other", 0], layers="0-", strength=1.0),
        "mixed image": made("GenerateGan", style=["mixed", 0], noise="const"),
        "other image": made("GenerateGan", style=["other", 0], noise="const"),
        "walk": made("WalkStyles", style=["mapped", 0], frames=9, loop=True, even=True),
        "walked": made("GenerateGan", style=["walk", 0], noise="const"),
        "edit": made("EditStyles", style=["mapped", 0], method="pca", index=0, strength=3.0, layers=""),
        "edited": made("GenerateGan", style=["edit", 0], noise="const"),
        **{f"save {name}": save(name) for name in ("mixed image", "other image", "walked", "edited")},
        "info": {"class_type": "PreviewAny", "inputs": {"source": ["edit", 1]}},
        "what": {"class_type": "PreviewAny", "inputs": {"source": ["gan", 2]}},
    }
    result = run(url, graph(**more))
    assert result.error == ""
    plain, mixed, other, walked, edited = (
        images(url, result, f"save{name}") for name in ("", " mixed image", " other image", " walked", " edited")
    )
    assert all(np.array_equal(a, b) for a, b in zip(mixed, other))
    assert len(walked) == 9 and np.array_equal(walked[0], plain[0])
    assert not np.array_equal(edited[0], plain[0])
    assert "direction 0 of 8" in result.outputs["info"]["text"][0]
    assert "stylegan2, 32 pixels" in result.outputs["what"]["text"][0]
    assert "licence: CC0" in result.outputs["what"]["text"][0]


def test_its_discriminator_scores_and_chooses_and_without_one_what_hangs_on_it_stops_quietly(url):
    more = {
        "score": node("Score", discriminator=["gan", 1], image=["image", 0], batch_seed=0),
        "choose": node("RejectByDiscriminator", gan=["gan", 0], seed=0, keep=2, percentile=80.0, label=-1, truncation=1.0, tries=0),
        "chosen": save("choose", 1),
    }  # fmt: skip
    result = run(url, graph(**more))
    assert result.error == "" and len(result.outputs["score"]["aigc_scores"]) == 3
    assert len(images(url, result, "chosen")) == 2 and "2 kept of" in result.outputs["choose"]["text"][0]
    quiet = run(url, graph("foreign.pth", score=more["score"]))
    assert quiet.error == "" and "score" not in quiet.outputs and len(images(url, quiet, "save")) == 3


def test_a_search_shows_itself_and_stopping_it_keeps_the_best(url):
    search = node(
        "ProjectImage", gan=["gan", 0], image=["image", 0], space="w", steps=100000, rate=0.1, label=-1, search_seed=0
    )
    asked = []

    async def stop(session, message):
        data = message["data"]
        if message["type"] == "progress" and data["node"] == "search" and data["value"] >= 3 and not asked:
            asked.append(True)
            await session.post(f"{url}/interrupt")

    result = run(url, graph(count=1, search=search, found=save("search", 1)), stop)
    assert asked and result.error == "" and not result.interrupted
    assert "stopped by you after" in result.outputs["search"]["text"][0]
    assert len(images(url, result, "found")) == 1 and result.previews > 0


def test_a_foreign_file_is_converted_and_draws_the_same(url, models_folder: Path):
    keep = node("SaveGan", gan=["gan", 0], licence="MIT")
    keep["inputs"]["name"] = "ours"
    again = node("GenerateGan", gan=["keep", 0], style=["styles", 0], noise="const")
    result = run(url, graph("foreign.pth", keep=keep, again=again, **{"save again": save("again")}))
    assert result.error == "" and result.outputs["keep"]["text"] == ["ours.safetensors"]
    for a, b in zip(images(url, result, "save"), images(url, result, "save again")):
        assert np.array_equal(a, b)
    assert (models_folder / "gan" / "ours.safetensors").is_file()


TRUNCATED = "Map Styles: Expected a GAN with a mapping network for a truncation of 0.5"
CLASSED = "Sample Styles: Expected a class of tiny.safetensors, which has no classes"


@pytest.mark.parametrize(
    ("gan", "more", "says"),
    (
        ("foreign.pth", {"image": {"style": ["cut", 0]}}, TRUNCATED),
        ("tiny.safetensors", {"styles": {"label": 1}}, CLASSED),
    ),
)
def test_what_does_not_fit_is_one_error_that_names_the_node(url, gan, more, says):
    made = graph(gan, cut=node("MapStyles", gan=["gan", 0], style=["styles", 0], truncation=0.5, cutoff=0))
    for name, inputs in more.items():
        made[name]["inputs"] |= inputs
    assert says in run(url, made).error
