"""Guide Model on the host's own sampler: off at weight 0 and outside of its span, the right slope, towards the judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..pipelines.judges import judge_file

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def facts(host_dir: Path, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    judge = tmp_path_factory.mktemp("judge") / "small.safetensors"
    judge_file(judge, scale=0.18215)
    script = Path(__file__).with_name("guided_model.py")
    command = [sys.executable, str(script), str(host_dir), str(repo_root), str(judge)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(params=("EPS", "V_PREDICTION", "V_PREDICTION_EDM", "FLOW", "FLOW_COSMOS"))
def kind(request: pytest.FixtureRequest, facts: dict) -> dict:
    return facts["kinds"][request.param]


def test_weight_0_and_a_span_of_nothing_are_bit_equal_to_no_node_and_nothing_is_left_on_the_model(kind):
    assert kind["off"] and kind["outside"] and kind["same again"]


def test_the_sampler_moves_towards_what_the_judge_likes_and_away_at_a_negative_weight(kind):
    assert kind["liked"][0] < kind["liked"][1] < kind["liked"][2], kind["liked"]


def test_the_move_is_the_finite_difference_of_the_judges_log_odds(kind):
    assert kind["slope"] < 1e-2


def test_the_judge_is_loaded_by_the_hosts_memory_manager_beside_the_model(kind):
    assert kind["loaded"] >= 2


def test_weights_that_the_host_moved_still_have_a_slope(facts):
    assert facts["moved_weights"]


def test_a_judge_that_cannot_steer_is_refused_by_the_node_before_sampling(facts):
    assert facts["refused"][0].startswith("Guide Model: Expected a noise-aware judge of latents")
    assert "by channel: train one with this model connected" in facts["refused"][1]
