"""Nodes on the real host: what runs, what is remembered, what stopping leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

from .canvas import fetch, images, node, run, text_to_image

pytestmark = pytest.mark.usefixtures("tiny")


def test_text_to_image_runs_and_reports_each_step(url):
    result = run(url, text_to_image(sample__steps=3, sample__seed=10))
    assert result.error == ""
    steps = [(data["value"], data["max"]) for data in result.of("progress") if data["node"] == "sample"]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    (picture,) = images(url, result, "save")
    assert picture.shape == (64, 64, 3) and picture.std() > 0


def test_changing_only_the_seed_runs_only_sample_and_what_follows(url):
    run(url, text_to_image(sample__seed=20))
    again = run(url, text_to_image(sample__seed=21))
    assert again.cached == {"model", "prompt", "size"}
    assert again.ran == ["sample", "decode", "save"]


def test_the_same_prompt_twice_runs_nothing(url):
    run(url, text_to_image(sample__seed=30))
    assert run(url, text_to_image(sample__seed=30)).ran == []


def test_changing_the_prompt_does_not_open_the_model_again(url):
    run(url, text_to_image(sample__seed=31))
    again = run(url, text_to_image(sample__seed=31, prompt__prompt="a dog"))
    assert again.ran == ["prompt", "sample", "decode", "save"]


def test_a_changed_model_file_is_opened_again(url, tiny):
    run(url, text_to_image(sample__seed=32))
    index = tiny / "sd15" / "model_index.json"
    index.write_text(index.read_text("utf-8") + "\n", "utf-8")
    assert "model" in run(url, text_to_image(sample__seed=32)).ran


def test_row_i_of_a_batch_equals_the_picture_of_seed_plus_i(url):
    batch = images(url, run(url, text_to_image(sample__seed=40, size__batch_size=3)), "save")
    alone = images(url, run(url, text_to_image(sample__seed=42)), "save")
    # A batch is other matrix shapes to the processor: the last bit of a pixel may differ.
    assert np.abs(batch[2].astype(int) - alone[0].astype(int)).max() <= 1


def test_one_per_line_makes_one_picture_a_line(url):
    lines = text_to_image(prompt__prompt="a cat\n\na dog\n", prompt__one_per_line=True, size__batch_size=2)
    both = images(url, run(url, lines), "save")
    dog = images(url, run(url, text_to_image(prompt__prompt="a dog", sample__seed=2)), "save")
    assert len(both) == 2
    assert np.abs(both[1].astype(int) - dog[0].astype(int)).max() <= 1


def test_denoise_0_gives_the_given_latents_back(url):
    graph = text_to_image(sample__seed=50)
    graph["encode"] = node("EncodeImage", model=["model", 0], image=["decode", 0])
    graph["untouched"] = node("DecodeImage", model=["model", 0], latents=["encode", 0])
    graph["again"] = {
        **graph["sample"],
        "inputs": {**graph["sample"]["inputs"], "latents": ["encode", 0], "denoise": 0.0},
    }
    graph["decoded"] = node("DecodeImage", model=["model", 0], latents=["again", 0])
    for name, source in (("left", "untouched"), ("right", "decoded")):
        graph[name] = {"class_type": "SaveImage", "inputs": {"images": [source, 0], "filename_prefix": name}}
    result = run(url, graph)
    assert result.error == ""
    assert np.array_equal(images(url, result, "left")[0], images(url, result, "right")[0])


def test_model_info_shows_its_text(url):
    graph = {"model": text_to_image()["model"], "info": node("ModelInfo", model=["model", 0])}
    (text,) = run(url, graph).outputs["info"]["text"]
    assert "StableDiffusionPipeline" in text


def test_stop_takes_effect_within_a_step_and_the_next_run_is_bit_exact(url):
    slow = {"size__batch_size": 2, "sample__steps": 12}
    before = images(url, run(url, text_to_image(sample__seed=60, **slow)), "save")
    asked: list[int] = []

    async def stop(session, message):
        if message["type"] == "progress" and message["data"]["value"] >= 3 and not asked:
            asked.append(message["data"]["value"])
            async with session.post(f"{url}/interrupt"):
                pass

    stopped = run(url, text_to_image(sample__seed=61, **slow), stop)
    last = max(data["value"] for data in stopped.of("progress"))
    assert stopped.interrupted and stopped.error == ""
    assert last <= asked[0] + 2, "one step for the message on its way here, one for the step under way"
    after = run(url, text_to_image(sample__seed=60, **slow))
    assert "sample" in after.ran
    assert all(np.array_equal(a, b) for a, b in zip(before, images(url, after, "save"), strict=True))


def test_freeing_models_and_cache_leaves_everything_working(url):
    before = images(url, run(url, text_to_image(sample__seed=70)), "save")
    free(url)
    after = run(url, text_to_image(sample__seed=70))
    assert after.ran[0] == "model"
    assert np.array_equal(before[0], images(url, after, "save")[0])


def free(url: str) -> None:
    import json
    import time
    import urllib.request

    body = json.dumps({"unload_models": True, "free_memory": True}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/free", body, {"Content-Type": "application/json"}))
    time.sleep(1.5)  # the host frees when its worker next looks, up to a second later
    assert fetch(url, "/queue")["queue_running"] == []


def test_a_lora_changes_the_picture_and_strength_0_does_not(url, tiny_lora):
    plain = text_to_image(sample__seed=80)
    with_lora = text_to_image(sample__seed=80)
    with_lora["lora"] = node("LoadLora", model=["model", 0], lora=tiny_lora, strength=1.0)
    with_lora["sample"]["inputs"]["model"] = ["lora", 0]
    expected = images(url, run(url, plain), "save")[0]
    changed = run(url, with_lora)
    assert changed.error == ""
    assert not np.array_equal(expected, images(url, changed, "save")[0])
    with_lora["lora"]["inputs"]["strength"] = 0.0
    assert np.array_equal(expected, images(url, run(url, with_lora), "save")[0])


def test_video_comes_as_frames_as_a_video_and_with_its_rate(url):
    graph = text_to_image("tiny/wan", size__frames=5)
    graph["decode"] = node("DecodeVideo", model=["model", 0], latents=["sample", 0], fps=0.0)
    graph["video"] = {
        "class_type": "SaveVideo",
        "inputs": {"video": ["decode", 1], "filename_prefix": "test", "format": "auto", "codec": "auto"},
    }
    graph["rate"] = {"class_type": "PreviewAny", "inputs": {"source": ["decode", 2]}}
    result = run(url, graph)
    assert result.error == ""
    assert len(images(url, result, "save")) == 5
    assert result.outputs["video"]["images"][0]["filename"].endswith(".mp4")
    assert float(result.outputs["rate"]["text"][0]) == 16.0


def test_sound_comes_with_its_sample_rate(url):
    graph = text_to_image("tiny/stableaudio")
    graph["decode"]["class_type"] = "AIGC_DecodeAudio"
    graph["save"] = {"class_type": "SaveAudio", "inputs": {"audio": ["decode", 0], "filename_prefix": "test"}}
    graph["size"]["inputs"].update(width=0, height=0)
    result = run(url, graph)
    assert result.error == ""
    assert result.outputs["save"]["audio"][0]["filename"].endswith(".flac")
