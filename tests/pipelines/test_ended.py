"""Families whose own blocks decode, or keep their schedule to themselves: equal to the whole, a row at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils import logging as diffusers_logging

from benchmarks.coverage import blocks
from pipelines import stages
from pipelines.errors import AigcError
from pipelines.payloads import Guide
from pipelines.runtime import Runtime
from pipelines.stages import ended, modular
from pipelines.stages import pipe as pipes
from pipelines.stages.latents import Geometry
from pipelines.stages.selftest.calls import picture

from . import staged

CPU, CFG = Runtime("cpu"), 3.0
CLIP = [picture(i, 32) for i in range(7)]  # two segments, of which the second is filled up
# A class, what it is called with beyond its prompt, and the size of its LATENT.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "echo": ("EchoModularPipeline", {}, {"width": 64, "height": 64, "frames": 9}),
    "music": ("MiniMaxMusic3ModularPipeline", {"lyrics": "[verse]\nla la"}, {"seconds": 0.4}),
    "wan": (
        "WanAnimate2ModularPipeline",
        {"image": picture(3, 32), "driving_video": CLIP, "segment_frame_length": 5, "height": 32, "width": 32},
        {"width": 32, "height": 32},
    ),
    "h3": ("MiniMaxH3ModularPipeline", {}, {"width": 32, "height": 32, "frames": 124}),
}
WORDS = {"frames": "num_frames", "seconds": "audio_duration"}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    built: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in built:
            built[name] = tmp_path_factory.mktemp(name)
            with torch.random.fork_rng(devices=[]):
                blocks.save(CASES[name][0], built[name])
        return built[name]

    return get


@pytest.fixture(autouse=True, scope="module")
def plainly():
    """Small matrices are faster on one thread, and what a call compiles for itself takes longer than the call."""
    diffusers_logging.set_verbosity_error()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.compiler.set_stance("force_eager"):
        yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def nothing_loaded():
    stages.release_all()
    yield
    stages.release_all()


def opened(folder: Path, offload: str = "keep"):
    return modular.open_folder(folder, dtype="float32", offload=offload)


def encoded(name: str, model, prompts=(staged.PROMPT,)):
    return stages.encode_prompt(model, prompts, extra=CASES[name][1], runtime=CPU)


def sampled(name: str, model, cond, seed=42, latents=None, **options):
    latents = latents or stages.empty_latents(model, **CASES[name][2])
    return stages.sample(model, cond, latents, **{"seed": seed, "steps": 3, "cfg": CFG, "runtime": CPU, **options})


def whole(name: str, folder: Path, output: str, prompt=staged.PROMPT, seed=42):
    names = {wanted.name for wanted in blocks.blocks_of(CASES[name][0]).inputs}
    size = {WORDS.get(k, k): v for k, v in CASES[name][2].items()}
    call = {"prompt": prompt, "num_inference_steps": 3, **CASES[name][1], **size}
    return blocks.run(folder, CFG, {k: v for k, v in call.items() if k in names}, output=output, seed=seed)


@pytest.mark.parametrize("name", CASES)
def test_pictures_and_sound_equal_the_whole_modular_pipeline_bit_for_bit(name, folder_of):
    folder = folder_of(name)
    model = opened(folder)
    out = sampled(name, model, encoded(name, model))
    made = {o.name for o in blocks.blocks_of(CASES[name][0]).outputs}
    for output in sorted(made & {*ended.PICTURES}):
        got, rate = stages.decode_video(model, out, runtime=CPU)
        assert torch.equal(got, whole(name, folder, output)[0].permute(0, 2, 3, 1))
        assert rate == {"echo": 25.0, "wan": 24.0, "h3": 24.0}[name]
    for output in sorted(made & {*ended.SOUNDS}):
        got = stages.decode_audio(model, out, runtime=CPU)
        assert torch.equal(got["waveform"], whole(name, folder, output))
        assert got["sample_rate"] == {"echo": 24000, "music": 44100, "h3": 32000}[name]


def test_rows_are_made_one_after_another_each_from_its_own_prompt_and_seed(folder_of):
    folder = folder_of("echo")
    model, seen = opened(folder), []
    cond = encoded("echo", model, ["a cat", "a dog"])
    out = sampled("echo", model, cond, seed=5, on_step=lambda done, total, preview: seen.append((done, total)))
    assert seen == [(i + 1, 16) for i in range(16)]
    pictures = stages.decode_image(model, out, runtime=CPU).unflatten(0, (2, -1))
    sounds = stages.decode_audio(model, out, runtime=CPU)["waveform"]
    for row, prompt in enumerate(("a cat", "a dog")):
        assert torch.equal(pictures[row], whole("echo", folder, "videos", prompt, 5 + row)[0].permute(0, 2, 3, 1))
        assert torch.equal(sounds[row], whole("echo", folder, "audio", prompt, 5 + row)[0])
    alone = {**out, "samples": out["samples"][1:], "batch_index": [1]}  # as the host takes a row out of a batch
    assert torch.equal(stages.decode_audio(model, alone, runtime=CPU)["waveform"], sounds[1:])
    with pytest.raises(AigcError, match="Expected the 2 rows that Sample made, got 3"):
        stages.decode_image(model, {**out, "samples": out["samples"][[0, 1, 1]]}, runtime=CPU)


def test_a_batch_of_one_prompt_draws_a_row_from_each_seed(folder_of):
    model = opened(folder_of("music"))
    cond = encoded("music", model)
    empty = stages.empty_latents(model, **CASES["music"][2], batch_size=2)
    both = sampled("music", model, cond, 7, empty)
    later = sampled("music", model, cond, 8)
    assert torch.equal(both["samples"][1:, :, : later["samples"].shape[2]], later["samples"])
    assert not torch.equal(both["samples"][0], both["samples"][1])
    third = sampled("music", model, cond, 6, {**stages.empty_latents(model, **CASES["music"][2]), "batch_index": [2]})
    assert torch.equal(third["samples"], later["samples"])


def test_shorter_rows_end_in_silence():
    rows = [torch.ones(1, 2, 3), torch.ones(1, 2, 5)]
    assert ended.padded(rows, 2).sum(dim=(1, 2)).tolist() == [6, 10]
    assert ended.padded(rows, 2).shape == (2, 2, 5)


@pytest.mark.parametrize("name", ["echo", "wan"])
def test_an_interrupt_acts_within_a_step_and_the_rerun_is_bit_exact(name, folder_of):
    model = opened(folder_of(name))
    cond = encoded(name, model)
    before = sampled(name, model, cond, 7)["samples"]
    runtime = staged.StopAfter(2)
    with pytest.raises(staged.Stopped):
        sampled(name, model, cond, 7, runtime=runtime)
    assert runtime.steps == 2
    assert torch.equal(sampled(name, model, cond, 7)["samples"], before)


def test_an_interrupt_acts_while_words_are_written(folder_of):
    model, seen = opened(folder_of("music")), []
    cond = encoded("music", model)
    with pytest.raises(staged.Stopped):
        sampled("music", model, cond, runtime=staged.StopAfter(2), on_step=lambda *_: seen.append(1))
    assert seen == []


def test_each_stage_holds_only_its_own_parts(folder_of):
    held = {}
    for name in ("echo", "music", "wan"):
        model, seen = opened(folder_of(name), "stage"), []
        cond = encoded(name, model)
        seen.append(sorted(staged.loaded_parts()))
        out = sampled(name, model, cond)
        seen.append(sorted(staged.loaded_parts()))
        decode = stages.decode_audio if name == "music" else stages.decode_image
        decode(model, out, runtime=CPU)
        held[name] = [*seen, sorted(staged.loaded_parts())]
        stages.release_all()
    assert held == {
        "echo": [["audio_vae", "vae"], ["transformer"], ["audio_vae", "vae", "vocoder"]],
        "music": [[], ["condition_encoder", "language_model", "rvq_depth_decoder", "transformer"], ["vocoder"]],
        "wan": [["vae"], ["transformer", "vae"], []],
    }


def test_a_picture_of_another_shape_decides_the_size_of_the_video(folder_of):
    folder = folder_of("wan")
    model, call = opened(folder), {**CASES["wan"][1], "image": picture(3, 48).resize((64, 32))}
    cond = stages.encode_prompt(model, [staged.PROMPT], extra=call, runtime=CPU)
    got = stages.decode_image(model, sampled("wan", model, cond), runtime=CPU)
    given = {k: v for k, v in call.items()} | {"prompt": staged.PROMPT, "num_inference_steps": 3}
    expected = blocks.run(folder, CFG, given, output="videos")[0].permute(0, 2, 3, 1)
    assert got.shape[1:3] != (32, 32) and torch.equal(got, expected)


def test_what_needs_the_way_back_into_the_denoiser_is_refused(folder_of):
    model = opened(folder_of("echo"))
    cond, empty = encoded("echo", model), stages.empty_latents(model, **CASES["echo"][2])
    masked = {**empty, "noise_mask": torch.ones(1, 8, 8)}
    judge = Guide(discriminator=None, weight=1.0)  # type: ignore[arg-type]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"denoise": 0.5}, "denoise 0.5"),
        ({"latents": masked}, "a noise mask"),
        ({"guide": judge}, "a judge"),
    ]
    for options, word in refused:
        with pytest.raises(AigcError, match=f"run from pure noise for EchoModularPipeline, got {word}: it keeps its"):
            sampled("echo", model, cond, **options)
    assert torch.equal(sampled("echo", model, cond, latents=empty, denoise=0.0)["samples"], empty["samples"])
    with pytest.raises(AigcError, match="'model default' for EchoModularPipeline, which keeps its schedule to itself"):
        sampled("echo", model, cond, scheduler="euler")
    with pytest.raises(AigcError, match="a model that starts from pictures, got EchoModularPipeline"):
        stages.encode_image(model, torch.rand(1, 64, 32, 3), runtime=CPU)


def test_a_latent_that_lost_what_goes_along_with_it_says_so(folder_of):
    model = opened(folder_of("echo"))
    out = sampled("echo", model, encoded("echo", model))
    bare = {"samples": out["samples"]}
    assert torch.equal(stages.decode_image(model, bare, runtime=CPU), stages.decode_image(model, out, runtime=CPU))
    with pytest.raises(AigcError, match="as Sample made it for EchoModularPipeline, got one without its audio_latents"):
        stages.decode_audio(model, bare, runtime=CPU)
    louder = stages.decode_image(model, {**out, "samples": out["samples"] * 1.5}, runtime=CPU)
    assert not torch.equal(louder, stages.decode_image(model, out, runtime=CPU))


def test_pictures_and_sound_are_not_taken_for_each_other(folder_of):
    model = opened(folder_of("music"))
    empty = stages.empty_latents(model, **CASES["music"][2])
    with pytest.raises(AigcError, match="latents of a picture, got those of a sound: use Decode Audio"):
        stages.decode_image(model, empty, runtime=CPU)
    with pytest.raises(AigcError, match="Expected lyrics for MiniMaxMusic3ModularPipeline, got none"):
        stages.encode_prompt(model, ["calm"], runtime=CPU)
    silent = opened(folder_of("wan"))
    with pytest.raises(AigcError, match="states no sample rate: use Decode Image"):
        stages.decode_audio(silent, stages.empty_latents(silent, width=32, height=32), runtime=CPU)


def test_frames_of_chunks_and_back():
    shape = Geometry("MiniMaxH3ModularPipeline", 24, 16, 1, 5, chunk=(17, 5))
    assert [shape.cells(frames) for frames in (5, 22, 124, 125, 360)] == [2, 7, 37, 42, 107]
    assert [shape.frames(shape.cells(frames)) for frames in (124, 125)] == [124, 141]


def test_pipes_without_files_of_another_workflow_open(folder_of):
    model = opened(folder_of("h3"))
    with pipes.stage(model, "vae", CPU) as pipe:
        assert pipe.transformer_ref is None and pipe.ended.chunk == (17, 5)
