"""The run: bit-exact after a stop, a kill leaves a whole checkpoint, what is not finite ends it, a full disk loses nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from pipelines.errors import AigcError
from pipelines.payloads import Design
from pipelines.train import checkpoint, metrics, run
from pipelines.train.gan import GanObjective, Settings
from pipelines.train.objective import Course

DESIGN = Design("gan", "tiny", {"width": 8})
ROOT = Path(__file__).resolve().parents[2]


class Shown(NamedTuple):
    pixels: torch.Tensor
    captions: tuple[str, ...]
    labels: torch.Tensor


class Generator(nn.Module):
    """With dropout, so that torch's own generator counts as well."""

    z_dim, resolution, classes = 6, 8, 0

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 32), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(32, 3 * 64), nn.Tanh())

    def forward(self, z: torch.Tensor, labels: Any = None, *, noise: str = "random", rng: Any = None) -> torch.Tensor:
        return self.net(z).reshape(-1, 3, 8, 8)


def discriminator() -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1))

        def forward(self, x: torch.Tensor, labels: Any = None) -> torch.Tensor:
            return self.net(x)[:, 0]

    return Net()


class Brightness(nn.Module):
    """A discriminator for which everything is generated, bright pictures less so."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x: torch.Tensor, labels: Any = None) -> torch.Tensor:
        return self.slope * x.flatten(1).mean(1) - 100


def feed(k: int) -> Shown:
    rng = torch.Generator().manual_seed(1000 + k)
    level = torch.rand(8, 3, 1, 1, generator=rng) - 0.5
    return Shown((level + 0.1 * torch.randn(8, 3, 8, 8, generator=rng)).clamp(-1, 1), ("",) * 8, torch.zeros(8).long())


def objective() -> GanObjective:
    settings = Settings(chance=-1.0, half_life=50.0)
    torch.manual_seed(0)
    held = torch.cat([feed(-k - 1).pixels for k in range(2)])

    def distance(x: torch.Tensor) -> dict[str, float]:
        gap = float((x.mean((0, 2, 3)) - (held.mean((0, 2, 3)) + 1) / 2).square().sum())
        return {"score": gap}

    return GanObjective(
        Generator(), discriminator(), settings, distance=distance, held_out=(held, torch.zeros(len(held)).long())
    )


COURSE = Course(steps=24, batch=8, seed=3, warm_up=4, anneal=0.5, examine_every=8)


class Stop(Exception):
    pass


def stop_at(*steps: int) -> run.OnStep:
    def on_step(step: int, total: int, sitting: run.Sitting) -> None:
        if step in steps:
            raise Stop

    return on_step


def state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    tensors, facts = checkpoint.read(folder / run.LAST)
    return tensors, {**facts, "seconds": 0}


def same(a: Path, b: Path) -> None:
    (x, facts), (y, others) = state(a), state(b)
    assert facts == others and x.keys() == y.keys()
    assert all(torch.equal(x[name], y[name]) for name in x)
    rows = [[{**row, "seconds": 0} for row in metrics.read(folder)] for folder in (a, b)]
    assert rows[0] == rows[1]


def test_adaptive_augmentation_of_a_relativistic_loss_asks_for_the_middle_not_for_zero() -> None:
    """Such logits are only worth their differences: a D that tells all apart may call everything negative."""
    found = {}
    for name, level in (("told apart", 1.0), ("alike", 0.0)):
        training = objective()
        with torch.no_grad():
            training.g.net[3].weight.zero_(), training.g.net[3].bias.fill_(-9.0)  # black pictures
        training.d = Brightness(level)
        for number in range(6):
            training.step(feed(number), torch.Generator().manual_seed(number))
        found[name] = training.memory["chance"]
    assert found["told apart"] > 0 == found["alike"]


def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    run.train(objective(), feed, COURSE, tmp_path / "whole", DESIGN)
    for at in (5, 16, 17):
        torch.manual_seed(at)  # what else the process draws makes no difference
        stopped = run.train(objective(), feed, COURSE, tmp_path / "parts", DESIGN, on_step=stop_at(at), stops=(Stop,))
        assert stopped.stopped and stopped.step == at
    done = run.train(objective(), feed, COURSE, tmp_path / "parts", DESIGN)
    assert done.step == 24 and not done.stopped
    same(tmp_path / "whole", tmp_path / "parts")
    assert [row["step"] for row in metrics.read(tmp_path / "whole") if "examined" in row] == [0, 8, 16, 24]


def test_a_stop_in_the_middle_of_an_examination_is_made_up_for(tmp_path: Path) -> None:
    run.train(objective(), feed, COURSE, tmp_path / "whole", DESIGN)
    stopped, calls = objective(), 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 4 * 2:  # 256 pictures in chunks of 64: the third examination, at step 16
            raise Stop

    stopped.check = check
    sitting = run.train(stopped, feed, COURSE, tmp_path / "parts", DESIGN, stops=(Stop,))
    assert sitting.stopped and sitting.step == 16
    assert run.train(objective(), feed, COURSE, tmp_path / "parts", DESIGN).step == 24
    same(tmp_path / "whole", tmp_path / "parts")


def test_the_best_checkpoint_is_the_one_that_examined_best(tmp_path: Path) -> None:
    sitting = run.train(objective(), feed, COURSE, tmp_path, DESIGN)
    scores = {row["step"]: row["examined"]["score"] for row in metrics.read(tmp_path) if "examined" in row}
    assert sitting.run.best == min(scores, key=lambda step: scores[step])
    kept, facts = checkpoint.read(tmp_path / run.BEST)
    assert facts["step"] == sitting.run.best and "average.net.0.weight" in kept


def test_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    run.train(objective(), feed, COURSE, tmp_path, DESIGN)
    before = (tmp_path / run.LAST).read_bytes(), (tmp_path / metrics.NAME).read_bytes()
    run.train(objective(), feed, COURSE, tmp_path, DESIGN)
    assert before == ((tmp_path / run.LAST).read_bytes(), (tmp_path / metrics.NAME).read_bytes())


def test_another_course_or_design_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run.train(objective(), feed, COURSE, tmp_path, DESIGN, on_step=stop_at(3), stops=(Stop,))
    with pytest.raises(AigcError, match="course batch 8 there, 16 here"):
        run.train(objective(), feed, Course(**{**vars(COURSE), "batch": 16}), tmp_path, DESIGN)
    with pytest.raises(AigcError, match="width"):
        run.train(objective(), feed, COURSE, tmp_path, Design("gan", "tiny", {"width": 9}))


def test_a_run_of_a_version_without_a_setting_goes_on(tmp_path: Path) -> None:
    run.train(objective(), feed, COURSE, tmp_path, DESIGN, about={"loss": "x"}, on_step=stop_at(3), stops=(Stop,))
    done = run.train(objective(), feed, COURSE, tmp_path, DESIGN, about={"loss": "x", "new": 1})
    assert done.step == COURSE.steps
    with pytest.raises(AigcError, match="about loss x there, y here"):
        run.train(objective(), feed, COURSE, tmp_path, DESIGN, about={"loss": "y", "new": 1})


@pytest.mark.parametrize("steps", [0, 30])
def test_what_is_not_finite_ends_the_run_with_the_reason_and_the_last_good_checkpoint(
    tmp_path: Path, steps: int
) -> None:
    course = Course(**{**vars(COURSE), "steps": 60})
    if steps:
        run.train(objective(), feed, course, tmp_path, DESIGN, on_step=stop_at(steps), stops=(Stop,))
    at = steps + 2

    def bad(k: int) -> Shown:
        return feed(k)._replace(pixels=feed(k).pixels * (float("nan") if k == at else 1))

    kept = f"the checkpoint of step {steps} is kept" if steps else "no checkpoint was written yet"
    with pytest.raises(AigcError, match=f"got loss D = nan at step {at + 1}; {kept}"):
        run.train(objective(), bad, course, tmp_path, DESIGN)
    if steps:
        assert state(tmp_path)[1]["step"] == steps
    else:
        assert not (tmp_path / run.LAST).exists()


def test_any_other_error_of_the_caller_goes_on_and_nothing_is_lost(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run.train(objective(), feed, COURSE, tmp_path, DESIGN, on_step=stop_at(9))
    assert state(tmp_path)[1]["step"] == 9


def alone(tmp_path: Path, code: str, **options: Any) -> str:
    """Run lines in a process of its own, with this module as `t`; what it printed."""
    head = f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path\n"
    head += "import tests.pipelines.test_train_run as t; from pipelines.train import run; folder = Path(sys.argv[1])\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code, str(tmp_path)], capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


LONG = Course(**{**vars(COURSE), "steps": 10**6, "examine_every": 7, "save_minutes": 0.0})


def killed(folder: Path, times: int) -> None:
    """Start the run that many times, each killed at a moment that a generator draws; prints the step of each checkpoint."""
    dice = torch.Generator().manual_seed(0)
    warm = Course(**{**vars(COURSE), "steps": 2})  # what a first step imports, the children have then
    run.train(objective(), feed, warm, folder.with_name("warm"), DESIGN)
    for _ in range(times):
        ready, tell = os.pipe()
        first = run._saved_at(folder) or 0

        def said(step: int, total: int, sitting: run.Sitting) -> None:
            if step == first + 1:  # noqa: B023
                os.write(tell, b"x")  # noqa: B023

        child = os.fork()
        if not child:
            run.train(objective(), feed, LONG, folder, DESIGN, on_step=said)
            os._exit(1)
        os.close(tell)
        os.read(ready, 1)
        time.sleep(float(torch.rand((), generator=dice)) * 0.1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print(checkpoint.read(folder / run.LAST)[1]["step"])


def test_a_kill_at_any_moment_leaves_a_checkpoint_that_resumes(tmp_path: Path) -> None:
    """Twenty kills of one run that writes after every step."""
    steps = [int(line) for line in alone(tmp_path / "run", "t.killed(folder, 20)").split()]
    assert len(steps) == 20 and steps == sorted(set(steps))
    until = stop_at(steps[-1] + 3)
    run.train(objective(), feed, LONG, tmp_path / "run", DESIGN, on_step=until, stops=(Stop,))
    run.train(objective(), feed, LONG, tmp_path / "whole", DESIGN, on_step=until, stops=(Stop,))
    same(tmp_path / "whole", tmp_path / "run")
    tensors, facts = checkpoint.read(tmp_path / "run" / run.BEST)
    assert facts["step"] <= steps[-1] + 3 and all(torch.isfinite(x.float()).all() for x in tensors.values())
    assert not list((tmp_path / "run").glob(".*.part"))


def test_a_full_disk_is_a_clear_error_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    """The system refuses to write more than so many bytes to a file, as a full disk would."""
    run.train(objective(), feed, COURSE, tmp_path, DESIGN, on_step=stop_at(4), stops=(Stop,))
    before = (tmp_path / run.LAST).read_bytes()
    limit = len(before) // 2
    code = """
try:
    run.train(t.objective(), t.feed, t.COURSE, folder, t.DESIGN, on_step=t.stop_at(7), stops=(t.Stop,))
except t.AigcError as error:
    print("refused:", error)
"""
    out = alone(tmp_path, code, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert "refused: Expected to write the checkpoint" in out and "make room" in out, out
    assert (tmp_path / run.LAST).read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"12345678" * 4)
    with pytest.raises(AigcError, match="Expected a checkpoint of a training"):
        checkpoint.read(tmp_path / "x.safetensors")


def test_the_rate_rises_and_falls_and_seeds_of_neighbours_differ() -> None:
    course = Course(steps=100, warm_up=10, anneal=0.5)
    rates = [run.rate_at(step, course) for step in range(100)]
    assert rates[0] == 0.1 and rates[9] == rates[49] == 1.0 and rates[75] == pytest.approx(0.5) and rates[99] < 0.01
    assert rates[50:] == sorted(rates[50:], reverse=True)
    seeds = {run.mixed(seed, step) for seed in range(4) for step in range(-1, 200)}
    assert len(seeds) == 4 * 201 and all(0 <= seed < 2**63 for seed in seeds)


def test_a_run_whose_rate_falls_goes_on_beyond_its_end_and_not_with_less(tmp_path: Path) -> None:
    run.train(objective(), feed, COURSE, tmp_path, DESIGN)
    longer = replace(COURSE, steps=40)
    sitting = run.train(objective(), feed, longer, tmp_path, DESIGN)
    assert sitting.step == 40 and run.about(tmp_path)["steps"] == run.about(tmp_path)["course"]["steps"] == 40
    assert [row["step"] for row in metrics.read(tmp_path) if "examined" in row][-2:] == [32, 40]
    with pytest.raises(AigcError, match=r"course steps 40 there, 24 here.*as Resume Training does"):
        run.train(objective(), feed, COURSE, tmp_path, DESIGN)


def test_a_torn_line_of_the_log_is_passed_over(tmp_path: Path) -> None:
    log = metrics.Log(tmp_path)
    log.add({"step": 1, "loss D": 0.5})
    log.add({"step": 2, "examined": {"score": 2.0}})
    log.write()
    with (tmp_path / metrics.NAME).open("a") as file:
        file.write('{"step": 3, "lo')
    assert [row["step"] for row in metrics.read(tmp_path)] == [1, 2]
    assert metrics.series(metrics.read(tmp_path)) == {"loss D": [(1, 0.5)], "held-out score": [(2, 2.0)]}
    assert [row["step"] for row in metrics.Log(tmp_path, 1).rows] == [1]
    assert json.loads((tmp_path / metrics.NAME).read_text()) == {"step": 1, "loss D": 0.5}
