"""The self-test on first use: it warns of a class that differs, costs nothing for a proved one and is silent otherwise."""

from __future__ import annotations

import json
import logging
import shutil

import diffusers
import pytest

from benchmarks.coverage import render
from pipelines import stages
from pipelines.loading import Roots, open_model
from pipelines.payloads import Model
from pipelines.stages import selftest
from pipelines.stages.selftest import child, miniature

from .staged import CASES

ROOT = render.FOLDER.parent
CONFIGS = ROOT / "pipelines" / "loading" / "configs"


@pytest.fixture
def on(monkeypatch, tmp_path):
    """The self-test switched on, with a memory of its own and no class proved or seen."""
    monkeypatch.delenv(selftest.SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(selftest, "_seen", set())
    monkeypatch.setattr(selftest, "proved", lambda version: frozenset())
    return selftest


@pytest.fixture
def model(tiny_model):
    return open_model(str(tiny_model("sd15")), roots=Roots(), dtype="float32")


def warned(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and "AIGC" in r.getMessage()]


def test_what_is_shipped_as_proved_is_what_the_table_measured():
    table = json.loads(render.RESULTS.read_text("utf-8"))
    assert json.loads(render.PROVED.read_text("utf-8")) == render.proved(table)
    assert "StableDiffusionPipeline" in selftest.proved(table["diffusers"])
    assert not selftest.proved("0.0.0")


@pytest.mark.parametrize(("config", "family"), [("sd15", "sd15"), ("sdxl", "sdxl"), ("wan21_t2v_1_3b", "wan")])
def test_released_configs_are_made_small_and_run_the_same(config, family, tiny_model, tmp_path):
    folder = shutil.copytree(CONFIGS / config, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    own = json.loads((tiny_model(family) / "model_index.json").read_text("utf-8"))
    for words in tiny_model(family).glob("tokenizer*"):
        shutil.copytree(words, folder / words.name, dirs_exist_ok=True)
        index[words.name] = own[words.name]
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    opened = Model(path=folder, config=folder, pipeline_class=index["_class_name"])
    assert child.outcome(opened) == {"outcome": "same"}


def test_a_class_whose_stages_differ_is_warned_about(on, model, caplog, monkeypatch):
    decode = stages.decode_image
    monkeypatch.setattr(stages, "decode_image", lambda *a, **k: decode(*a, **k) + 0.25)
    on.report(model.pipeline_class, child.outcome(model))
    (message,) = warned(caplog)
    assert "StableDiffusionPipeline" in message and "0.25" in message and "report" in message


def test_a_class_whose_stages_fail_is_warned_about(on, model, caplog, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no such latents")

    monkeypatch.setattr(stages, "sample", fails)
    on.report(model.pipeline_class, child.outcome(model))
    (message,) = warned(caplog)
    assert "no such latents" in message


def test_the_first_sampling_of_an_unproved_class_compares_it_in_another_process(on, model, caplog, monkeypatch):
    case = CASES["sd15"]
    conditioning = stages.encode_prompt(model, ["a cat"], [""])
    latents = stages.empty_latents(model, **case["size"])
    monkeypatch.setattr(on, "NICE", 0)
    started = []
    begin = on.begin
    monkeypatch.setattr(on, "begin", lambda m: started.append(begin(m)))
    for seed in (1, 2):
        stages.sample(model, conditioning, latents, seed=seed, steps=1)
    thread, again = started
    assert again is None
    thread.join(on.LIMIT_SECONDS)
    note = on.remembered(diffusers.__version__, model.pipeline_class)
    assert json.loads(note.read_text("utf-8")) == {"outcome": "same"}
    assert not warned(caplog)


def test_a_remembered_difference_is_said_again_without_comparing(on, model, caplog, monkeypatch):
    note = on.remembered(diffusers.__version__, model.pipeline_class)
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"outcome": "differs", "by": "by up to 0.5 of 1"}), "utf-8")
    monkeypatch.setattr(on, "_start", lambda *_: pytest.fail("compared again"))
    assert on.begin(model) is None
    assert on.begin(model) is None
    (message,) = warned(caplog)
    assert "0.5" in message


def test_a_proved_class_costs_nothing(on, model, monkeypatch):
    monkeypatch.setattr(on, "proved", lambda version: frozenset({model.pipeline_class}))
    monkeypatch.setattr(on, "_start", lambda *_: pytest.fail("started a process"))
    monkeypatch.setattr(on, "remembered", lambda *_: pytest.fail("read the disk"))
    assert on.begin(model) is None


def test_the_switch_turns_it_off(on, model, monkeypatch):
    monkeypatch.setenv(selftest.SWITCH, "0")
    monkeypatch.setattr(on, "_begin", lambda *_: pytest.fail("switched off"))
    assert on.begin(model) is None


def test_what_fails_inside_is_silent(on, model, caplog, monkeypatch):
    monkeypatch.setattr(miniature, "save", lambda *_: 1 / 0)
    result = child.outcome(model)
    assert result["outcome"] == "nothing" and "ZeroDivisionError" in result["why"]
    on.report(model.pipeline_class, result)
    monkeypatch.setattr(on, "_start", lambda *_: 1 / 0)
    assert on.begin(model) is None
    assert not warned(caplog)


def test_a_part_that_stays_large_makes_no_miniature(model, monkeypatch, tmp_path):
    monkeypatch.setattr(miniature, "MOST", 10)
    with pytest.raises(miniature.NotMade, match="numbers"):
        miniature.save(model, tmp_path)


def test_widths_that_take_several_texts_are_their_sum():
    found = miniature.totals({"text_encoder": (768,), "text_encoder_2": (1280,)})
    assert found == {768: 32, 1280: 32, 2048: 64}
