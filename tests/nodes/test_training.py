"""Training on the real host: a stop keeps everything and hands it on, and what follows still runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .canvas import images, node, run


def loop(name: str, **values: object) -> dict:
    """Collect, design, train, generate from what was learned, and save."""
    settings = {
        "name": name, "steps": 4, "minutes": 5.0, "batch": 8, "learning_rate": 0.001, "loss": "relativistic", "penalty": 0.0,
        "penalty_every": 1, "augmentation": "adaptive", "mirror": False, "examine_every": 2, "training_seed": 0, **values,
    }  # fmt: skip
    return {
        "collect": node("CollectImages", folder="pictograms", subfolders=True, folder_labels=False, every_nth_frame=10),
        "design": node("DesignGan", kind="dcgan", resolution="32", width=8, classes=0),
        "train": node("TrainGan", dataset=["collect", 0], design=["design", 0], **settings),
        "styles": node("SampleStyles", gan=["train", 0], seed=0, count=2, label=-1, truncation=1.0),
        "generate": node("GenerateGan", gan=["train", 0], style=["styles", 0], noise="const"),
        "save": {"class_type": "SaveImage", "inputs": {"images": ["generate", 0], "filename_prefix": "trained"}},
    }


def test_a_stop_ends_the_training_within_a_step_and_everything_made_goes_on(url, host):
    asked: list[int] = []

    async def stop(session, message):
        if (
            message["type"] == "progress"
            and message["data"]["value"] >= 5
            and not asked
            and message["data"]["max"] == 100000
        ):
            asked.append(message["data"]["value"])
            async with session.post(f"{url}/interrupt"):
                pass

    stopped = run(url, loop("stopped", steps=100000, examine_every=0), stop)
    assert stopped.error == "" and not stopped.interrupted, "a stop of a training is its end, not that of the workflow"
    text = stopped.outputs["train"]["text"][0]
    last = int(text.removeprefix("stopped: ").split()[0])
    assert last <= asked[0] + 2, "one step for the message on its way here, one for the step under way"
    assert f"{last} of 100000 steps" in text and "run it again to go on" in text
    assert len(images(url, stopped, "save")) == 2 and stopped.previews > 0
    folder = Path(host.base_dir) / "output" / "runs" / "stopped"
    assert (folder / "last.safetensors").exists() and (folder / "gan.safetensors").exists()

    again = run(url, loop("stopped", steps=last + 3, examine_every=0))
    assert f"stopped: {last + 3} of {last + 3} steps" in again.outputs["train"]["text"][0]


def test_the_same_run_gives_the_same_pictures_and_other_settings_are_refused_by_name(url):
    first = run(url, loop("one"))
    assert first.error == ""
    other = run(url, loop("two"))
    for a, b in zip(images(url, first, "save"), images(url, other, "save"), strict=True):
        assert np.array_equal(a, b)
    changed = run(url, loop("one", batch=16))
    assert (
        "Train GAN: Expected the settings of the run in" in changed.error
        and "course batch 8 there, 16 here" in changed.error
    )
    assert "bad/name" in run(url, loop("bad/name")).error
