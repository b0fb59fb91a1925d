"""Where a call ends: what its decoder would have got is what the stage passes on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pipelines.stages.ending import latents_of, recalled, remembered


class Decoder(nn.Module):
    def decode(self, z: torch.Tensor, return_dict: bool = True) -> Any:
        raise AssertionError("the call went on")


class JoyImageEditPipeline:
    """Hands the references of each row to its decoder before the row's answer."""

    def __init__(self) -> None:
        self.vae = Decoder()

    def __call__(self, rows: int) -> None:
        self.vae.decode(torch.arange(rows * 3.0).reshape(-1, 1, 1, 1, 1), return_dict=False)


@pytest.mark.parametrize("rows", [1, 2])
def test_of_a_row_with_its_references_the_answer_is_taken(rows):
    pipe = JoyImageEditPipeline()
    captured = latents_of(pipe, pipe.vae, {"rows": rows}, rows=rows)
    assert captured is not None and captured[0].flatten().tolist() == [2.0, 5.0][:rows]


def test_a_call_that_decodes_nothing_has_no_latents():
    pipe = type("Silent", (), {"__call__": lambda self: ("text",)})()
    assert latents_of(pipe, Decoder(), {}, rows=1) is None


def test_a_decoder_draws_on_where_the_run_stopped():
    generator = torch.Generator("cpu").manual_seed(5)
    torch.rand(7, generator=generator)
    kept = recalled(remembered({"generator": generator, "temperature": 1}))
    assert kept["temperature"] == 1
    assert torch.equal(torch.rand(4, generator=kept["generator"]), torch.rand(4, generator=generator))
