"""What only shows inside the host's own process: the cost of the import, and the host's memory manager."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.host


def told(host_dir: Path, repo_root: Path) -> dict:
    script = Path(__file__).with_name("inside_the_host.py")
    command = [sys.executable, str(script), str(host_dir), str(repo_root)]
    # Users' Pythons keep what they compile, so this one does too.
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def facts(host_dir: Path, repo_root: Path) -> dict:
    return told(host_dir, repo_root)


def cheap(cost: dict) -> bool:
    """Under 100 ms, or on a slower machine under what a fixed piece of Python says of it."""
    return cost["seconds"] < max(0.1, 5 * cost["yard"])


def test_the_pack_costs_under_100_ms_and_imports_nothing_heavy(facts, host_dir: Path, repo_root: Path):
    cost = facts["import_cost"]
    for _ in range(2):  # the first process after a change compiles the pack
        if not cheap(cost):
            cost = told(host_dir, repo_root)["import_cost"]
    assert cost["nodes"] >= 30
    assert cheap(cost), cost
    assert not set(cost["new"]) & {"diffusers", "transformers", "peft", "accelerate", "huggingface_hub", "cv2", "av"}


def test_an_older_host_gets_no_schema_fields_it_does_not_know(facts):
    assert facts["unknown_fields"] == ["x", 1]


def test_a_broken_schema_leaves_out_that_node_only(facts):
    assert facts["broken_schema"] == 1


def test_weights_come_and_go_whole_through_the_hosts_memory_manager(facts):
    assert facts["memory"] == [2, True, 0, 2, True, 0, 1, 0]


def test_dtypes_are_what_the_user_asked_for_or_what_the_device_can_do(facts):
    assert facts["dtypes"] == ["torch.float32", "torch.float32", "torch.float32", "torch.float16"]


def test_the_stage_cache_empties_when_the_last_model_leaves_the_hosts_cache(facts):
    assert facts["stage_cache"] == [0, 1]


def test_a_video_of_ours_can_be_read_from_memory(facts):
    assert facts["video_in_memory"] == [[48, 32], True, [5, 32, 48, 3], True]


def test_a_missing_package_is_named_with_how_to_install_it_and_a_mistake_stays_one(facts):
    absent, mistake = facts["missing_packages"]
    assert absent.startswith(
        "AigcError: Needy: Expected the package opencv-python-headless, which is not installed: run `pip "
    )
    assert mistake.startswith("ModuleNotFoundError")
