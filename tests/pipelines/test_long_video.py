"""Videos that a pipeline makes piece by piece: one schedule after another, each piece decoded by itself."""

from __future__ import annotations

import pytest
import torch

from benchmarks.coverage import calls, compare
from pipelines.errors import AigcError
from pipelines.schedulers import DEFAULT, Watch, watched
from pipelines.stages import arguments
from pipelines.stages.start import Start
from pipelines.stages.tail import TailMap


@pytest.mark.parametrize("name", ["HeliosPyramidPipeline", "HunyuanVideoFramepackPipeline"])
def test_a_video_of_two_pieces_is_whole_and_equals_the_pipelines_own(name):
    import diffusers

    frames = calls.arguments(getattr(diffusers, name))["num_frames"]
    assert frames > (9 - 1) * 4 + 1  # more than the nine latent frames of one piece
    row = compare.measure(name)
    assert row["verdict"] == "exact", row


def test_a_video_whose_pieces_need_each_other_decoded_is_refused(monkeypatch):
    monkeypatch.setattr(calls, "ROWS", [*calls.ROWS, ("Cosmos2_5_Transfer", {"num_frames_per_chunk": 5})])
    row = compare.measure("Cosmos2_5_TransferPipeline")
    assert "makes in one piece" in row["note"], row


@pytest.mark.parametrize(("count", "shares"), [(30, [10, 10, 10]), (4, [2, 1, 1]), (1, [1, 1, 1])])
def test_steps_are_shared_out_among_the_stages_of_a_pyramid(count, shares):
    import diffusers

    pyramid = object.__new__(diffusers.HeliosPyramidPipeline)
    assert arguments.steps(pyramid, count) == {"pyramid_num_inference_steps_list": shares}


def test_a_pipeline_with_a_schedule_of_its_own_is_told_no_steps():
    class Distilled:
        def __call__(self, prompt): ...

    assert arguments.steps(Distilled(), 4) == {}


def test_progress_over_several_schedules_never_passes_its_total():
    from diffusers import FlowMatchEulerDiscreteScheduler

    seen: list[tuple[int, int]] = []
    watch = Watch(on_step=lambda done, total, _: seen.append((done, total)))
    scheduler = watched(FlowMatchEulerDiscreteScheduler(), DEFAULT, watch)
    x = torch.zeros(1, 4, 2, 2)
    for count in (2, 3):
        scheduler.set_timesteps(count)
        for t in scheduler.timesteps:
            x = scheduler.step(torch.ones_like(x), t, x, return_dict=False)[0]
    assert seen == [(1, 2), (2, 2), (3, 5), (4, 5), (5, 5)]


def test_a_scheduler_takes_its_own_second_argument_by_place():
    from diffusers import HeliosScheduler

    own = HeliosScheduler()
    own.set_timesteps(2, 1)
    scheduler = watched(HeliosScheduler(), DEFAULT, Watch())
    scheduler.set_timesteps(2, 1)
    assert torch.equal(scheduler.timesteps, own.timesteps)


def test_a_start_of_another_length_than_the_model_makes_is_refused():
    order = torch.arange(8)
    tail = TailMap((1, 2, 4), (1, 2, 4), order, torch.ones(8), torch.zeros(8))
    with pytest.raises(AigcError, match=r"\[2, 4\], got \[2, 3\]"):
        Start(tail, torch.zeros(1, 2, 3), 1, partial=True)
