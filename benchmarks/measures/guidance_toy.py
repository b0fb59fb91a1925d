"""Discriminator guidance on a generator of digits, five seeds: everything is trained anew for each, and paired."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..figures import Figure

SEEDS, COUNT, STEPS, FAKES = 5, 2000, 18, 4000


def one_seed(seed: int) -> dict[str, Any]:
    """FD (Frechet distance) and seconds: plain, guided at weight 1, and plain with twice the steps."""
    import torch

    from pipelines.payloads import JudgeSpec
    from pipelines.score.learned import LearnedJudge, described
    from pipelines.score.net import NetConfig
    from pipelines.score.sets import fid
    from pipelines.score.steering import Steering
    from pipelines.score.training import Examples, train

    from .. import toy

    data = toy.digits(seed)
    points = toy.features(data, seed)
    net = toy.trained_denoiser(data.train, seed)
    fakes = toy.heun(net, FAKES, STEPS, seed=50_000 + seed)
    config = NetConfig(channels=1, patch=8, widths=(128,), depth=1, noise_aware=True)
    sides = [Examples(x, torch.arange(len(x)) + start) for x, start in ((data.train, 0), (fakes, len(data.train)))]
    judged, report = train(*sides, config, steps=1000, batch=128, rate=1.5e-3, seed=seed)
    spec = JudgeSpec("digits", modality="latent", space="latent:digits")
    made = described(spec, report)
    steer = Steering(LearnedJudge(made.spec, judged), 1.0, made.calibration)
    real, found = points(data.held_out).double(), {"auc": report.auc}
    for name, steps, guide in (("plain", STEPS, None), ("guided", STEPS, steer), ("twice", 2 * STEPS - 1, None)):
        start = time.process_time()
        x = toy.heun(net, COUNT, steps, seed=seed, steer=guide)
        found[name + "_s"] = time.process_time() - start
        found[name] = fid(real, points(x).double())
    return found


def measure() -> Iterator[Figure]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs = [one_seed(seed) for seed in range(SEEDS)]
    finally:
        torch.set_num_threads(threads)
    gains = [100 * (1 - run["guided"] / run["plain"]) for run in runs]
    more = [100 * (1 - run["twice"] / run["plain"]) for run in runs]
    pairs = "; ".join(f"{run['plain']:.1f} to {run['guided']:.1f}" for run in runs)
    yield Figure(
        "guidance toy: seeds that improve",
        sum(g > 0 for g in gains),
        f"of {SEEDS}",
        bar=SEEDS,
        at_least=True,
        detail=pairs,
    )
    yield Figure("guidance toy: mean improvement of FD", sum(gains) / SEEDS, "%", bar=8, at_least=True)
    yield Figure(
        "guidance toy: improvement over twice the steps", (sum(gains) - sum(more)) / SEEDS, "points", bar=0, at_least=True,
        detail=f"twice the steps alone: {sum(more) / SEEDS:.1f} %",
    )  # fmt: skip
    ratio = sorted(run["guided_s"] / run["plain_s"] for run in runs)[SEEDS // 2]
    yield Figure("guidance toy: time of guided to plain", ratio, "x", bar=2.2, detail="CPU time, median; one thread")
