"""Controls: staged they equal diffusers' own pipelines bit for bit; off is off; what does not fit is refused."""

from __future__ import annotations

import pytest
import torch

from pipelines import stages
from pipelines.payloads import Control

from . import controls, tiny
from .controls import CASES, PICTURE


@pytest.fixture(autouse=True)
def released():
    yield
    stages.release_all()


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Folders of a case's model and its control net, each made once."""
    made: dict[str, tuple] = {}

    def home(name: str):
        if name not in made:
            folder, case = tmp_path_factory.mktemp(name), CASES[name]
            made[name] = (tiny.saved(case.make, folder / "model"), controls.saved_net(case, folder / "net"))
        return made[name]

    return home


@pytest.mark.parametrize("name", CASES)
def test_a_control_equals_diffusers_own_pipeline(name, homes):
    case, (folder, net) = CASES[name], homes(name)
    partly = {} if case.net[0] == "T2IAdapter" else {"start": 0.3, "end": 0.9}
    control = Control(net, PICTURE, 0.8, **partly)
    model = controls.opened(folder)
    ours = controls.run(model, controls.conditioned(model, control))
    assert torch.equal(ours, controls.whole_call(folder, case, control))
    assert not torch.equal(ours, controls.run(model, controls.conditioned(model)))
