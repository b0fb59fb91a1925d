"""A dataset on the real host: collected, cleaned, captioned, in buckets; run again it is the same; what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..pipelines.picture_files import folder, scene, write
from .canvas import images, node, run


@pytest.fixture
def set_folder(host) -> str:
    """Eight pictures, a small one and a near-duplicate in the host's input folder."""
    place = Path(host.base_dir) / "input" / "a set"
    folder(place, 8)
    write(place / "small.png", scene(90, 20, 20))
    write(place / "again.jpg", scene(0))
    (place / "000.txt").write_text("a red thing")
    return "a set"


def graph(place: str, **changes):
    found = {
        "collect": node(
            "CollectImages", folder=place, subfolders=True, folder_labels=False, every_nth_frame=10
        ),
        "clean": node("CleanImages", dataset=["collect", 0], min_side=32, max_aspect=3.0, duplicate_bits=4,
                      min_sharpness=0.0, max_clipped=0.98, min_spread=3.0),
        "caption": node("CaptionImages", dataset=["clean", 0], source="sidecar or name", template="{caption}",
                        trigger_word="sks", prefix="", suffix="", keep_existing=False),
        "bucket": node("BucketImages", dataset=["caption", 0], size=64, step=16, max_aspect=2.0, max_upscale=1.0),
        "kept": {"class_type": "PreviewImage", "inputs": {"images": ["clean", 2]}},
        "out": {"class_type": "PreviewImage", "inputs": {"images": ["clean", 3]}},
        "sheet": {"class_type": "PreviewImage", "inputs": {"images": ["bucket", 2]}},
    }  # fmt: skip
    for key, value in changes.items():
        name, _, given = key.partition("__")
        found[name]["inputs"][given] = value
    return found


def text(result, name: str) -> str:
    return result.outputs[name]["text"][0]


def test_a_folder_is_collected_cleaned_captioned_and_sorted_into_buckets(url, set_folder):
    result = run(url, graph(set_folder))
    assert result.error == ""
    assert text(result, "collect").startswith("10 pictures, shorter side 20 to 64 px")
    assert text(result, "clean").startswith("kept 8 of 10; left out 2: ")
    assert "small.png: too small: shorter side 20 px, at least 32" in text(result, "clean")
    assert "near-duplicate of " in text(result, "clean")
    assert "sks, a red thing" in text(result, "caption") and "8 of 8 have a caption" in text(result, "caption")
    assert text(result, "bucket").splitlines()[1].startswith("80 x 48: 8")
    assert all(len(images(url, result, name)) == 1 for name in ("kept", "out", "sheet"))


def test_only_what_changed_runs_again_and_a_new_file_or_caption_is_seen(url, host, set_folder):
    assert run(url, graph(set_folder)).error == ""
    assert not {"collect", "clean", "caption", "bucket"} & set(run(url, graph(set_folder)).ran)
    again = run(url, graph(set_folder, bucket__size=48))
    assert "bucket" in again.ran and not {"collect", "clean", "caption"} & set(again.ran)
    (Path(host.base_dir) / "input" / set_folder / "001.txt").write_text("a blue thing")
    changed = run(url, graph(set_folder))
    assert "sks, a blue thing" in text(changed, "caption")


def test_pictures_on_a_wire_join_a_dataset_and_a_judge_sorts_out(url, set_folder):
    found = graph("") | {
        "picture": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0xFF8000}},
        "first": node("CollectImages", folder=set_folder, subfolders=True, folder_labels=False, every_nth_frame=10),
        "judge": node("LoadDiscriminator", discriminator="sharpness"),
    }  # fmt: skip
    found["collect"]["inputs"] |= {"image": ["picture", 0], "dataset": ["first", 0]}
    found["clean"]["inputs"] |= {"discriminator": ["judge", 0], "min_score": -1000.0, "min_spread": 0.0}
    result = run(url, found)
    assert result.error == "" and text(result, "collect").startswith("11 pictures")
    assert text(result, "clean").startswith("kept 9 of 11")
    found["clean"]["inputs"]["min_score"] = 1000.0
    strict = run(url, found)
    assert (
        strict.error == "" and "sharpness scores" in text(strict, "clean") and "kept 0 of 11" in text(strict, "clean")
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    (
        ({"collect__folder": "nowhere"}, "Collect Images: Expected a folder, a zip, a video or a pattern"),
        ({"caption__source": "lines", "caption__lines": "a\nb"}, "Caption Images: Expected one line for all pictures"),
        ({"caption__source": "model"}, "aigc models pull hf:Salesforce/blip-image-captioning-base"),
        ({"bucket__size": 72}, "Bucket Images: Expected a size that is a multiple of step"),
    ),
)
def test_what_does_not_fit_is_one_error_that_names_the_node_and_the_remedy(url, set_folder, changes, says):
    given = {"caption__captioner": "Salesforce/blip-image-captioning-base", **changes}
    assert says in run(url, graph(set_folder, **given)).error
