"""What is held in memory between stages and between models: shared when it is the same, gone when it is not wanted."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines import loading, stages
from pipelines.loading import Roots, open_lora, open_model
from pipelines.payloads import Model
from pipelines.runtime import Runtime
from pipelines.stages.pipe import stage

from .test_lora import lora_tensors, written

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_held():
    stages.release_all()
    yield
    stages.release_all()


@pytest.fixture
def no_collector():
    """The interpreter collects rings when it likes; what leaves at once must not wait for that."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each part with weights was read, by model and name."""
    counts: Counter[str] = Counter()
    original = loading.load_part

    def counted(model: Model, name: str, **options: Any) -> Any:
        part = original(model, name, **options)
        if hasattr(part, "parameters"):
            counts[f"{model.path.name}/{name}"] += 1
        return part

    monkeypatch.setattr(loading, "load_part", counted)
    return counts


def opened(folder: Path, offload: str) -> Model:
    return open_model(str(folder), roots=Roots(), dtype="float32", offload=offload)


def run(model: Model, text: str = "a cat", seed: int = 0) -> None:
    cond = stages.encode_prompt(model, [text], runtime=CPU)
    empty = stages.empty_latents(model, width=32, height=32)
    stages.decode_image(model, stages.sample(model, cond, empty, seed=seed, steps=1, cfg=5.0, runtime=CPU), runtime=CPU)


def test_two_loads_of_one_model_share_their_weights(tiny_model, tmp_path: Path, loads: Counter[str]):
    folder = tiny_model("sd15")
    first, second = opened(folder, "keep"), opened(folder, "keep")
    path = written(lora_tensors(folder, "sd15"), tmp_path / "lora.safetensors")
    loads.clear()
    with stage(first, "denoiser", CPU) as pipe:
        unet = pipe.unet
    for other in (second, replace(second, source="elsewhere"), second.with_lora(open_lora(str(path), roots=Roots()))):
        with stage(other, "denoiser", CPU) as pipe:
            assert pipe.unet is unet
    run(first)
    run(second)
    assert set(loads.values()) == {1}


def test_the_text_encoders_are_gone_when_the_sampler_opens(tiny_model):
    model = opened(tiny_model("sdxl"), "stage")
    with stage(model, "text", CPU) as pipe:
        held = [weakref.ref(pipe.text_encoder), weakref.ref(pipe.text_encoder_2)]
    del pipe
    assert all(ref() is not None for ref in held)
    with stage(model, "denoiser", CPU):
        assert all(ref() is None for ref in held)


@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_the_denoiser_is_gone_when_the_decoder_opens(tiny_model, name: str, no_collector):
    """A run leaves rings: its scheduler's watch leads to the pipeline, and diffusers' hooks to the module they are on."""
    model = opened(tiny_model(name), "stage")
    cond = stages.encode_prompt(model, ["a cat"], runtime=CPU)
    with stage(model, "denoiser", CPU) as pipe:
        denoiser = weakref.ref(getattr(pipe, "unet", None) or pipe.transformer)
    del pipe
    stages.sample(model, cond, stages.empty_latents(model, width=32, height=32), steps=1, runtime=CPU)
    assert denoiser() is not None
    with stage(model, "vae", CPU):
        assert denoiser() is None


def test_where_free_memory_is_short_auto_drops_a_stage_for_the_next(tiny_model):
    class Short(Runtime):
        def free_bytes(self) -> int:
            return 0

    model, gone = opened(tiny_model("sd15"), "auto"), []
    for runtime in (CPU, Short("cpu")):
        stages.release_all()
        with stage(model, "text", runtime) as pipe:
            encoder = weakref.ref(pipe.text_encoder)
        del pipe
        with stage(model, "denoiser", runtime):
            gc.collect()
            gone.append(encoder() is None)
    assert gone == [False, True]


def test_two_models_in_turn_are_read_once_and_a_third_takes_the_older_ones_place(tiny_model, loads: Counter[str]):
    first, second, third = (opened(tiny_model(name), "keep") for name in ("sd15", "sdxl", "sd3"))
    for place in range(6):
        run((first, second)[place % 2], f"cat {place}", place)
    assert set(loads.values()) == {1}
    with stage(first, "denoiser", CPU) as pipe:
        older = weakref.ref(pipe.unet)
    with stage(second, "denoiser", CPU) as pipe:
        newer = weakref.ref(pipe.unet)
    del pipe
    run(third)
    gc.collect()
    assert older() is None and newer() is not None


def test_nothing_stays_after_a_release(tiny_model):
    model, held = opened(tiny_model("sd15"), "keep"), []
    for name, part in (("text", "text_encoder"), ("denoiser", "unet"), ("vae", "vae")):
        with stage(model, name, CPU) as pipe:
            held.append(weakref.ref(getattr(pipe, part)))
    del pipe
    stages.release_all()
    gc.collect()
    assert [ref() for ref in held] == [None, None, None]
