"""Trains one GAN in a process of its own: `python -m benchmarks.training_child ours|plain <steps>`.

plain is the loop that anyone would write: the same networks, losses, penalties, optimisers and average, and nothing else.
Prints CPU seconds, the highest resident memory, and a checksum of the weights.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pipelines import gan
from pipelines.payloads import Design
from pipelines.train import averages, losses, run
from pipelines.train.gan import GanObjective, Settings
from pipelines.train.objective import Course

from .process import peak_now

SIDE, BATCH, RATE, GAMMA, HALF_LIFE = 32, 16, 1e-3, 5.0, 10_000.0
DESIGN = Design("gan", "dcgan", {"resolution": SIDE})


class Shown(NamedTuple):
    pixels: torch.Tensor
    captions: tuple[str, ...] = ()
    labels: torch.Tensor = torch.zeros(BATCH, dtype=torch.int64)


def pictures(k: int) -> torch.Tensor:
    return torch.rand(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(k)) * 2 - 1


def ours(steps: int) -> Any:
    settings = Settings(penalty=GAMMA, augment=(), chance=0.0, rate_generator=RATE, rate_discriminator=RATE)
    none = torch.zeros(0, 3, SIDE, SIDE), torch.zeros(0, dtype=torch.int64)
    objective = GanObjective(*gan.build(DESIGN, seed=0), settings, distance=lambda x: {"score": 0.0}, held_out=none)
    course = Course(steps, batch=BATCH, warm_up=0, examine_every=0)
    with tempfile.TemporaryDirectory() as home:
        begun = time.process_time()
        run.train(objective, lambda k: Shown(pictures(k)), course, Path(home), DESIGN)
        return time.process_time() - begun, objective.average


def plain(steps: int) -> Any:
    net, critic = gan.build(DESIGN, seed=0)
    average = averages.averaged(net)
    sides = [torch.optim.Adam(m.parameters(), lr=RATE, betas=(0.0, 0.99)) for m in (net, critic)]
    begun = time.process_time()
    for k in range(steps):
        rng = torch.Generator().manual_seed(run.mixed(0, k))
        real = pictures(k).requires_grad_(True)
        with torch.no_grad():
            fake = net(torch.randn(BATCH, net.z_dim, generator=rng), None, rng=rng)
        fake.requires_grad_(True)
        on_real, on_fake = critic(real), critic(fake)
        penalty = losses.gradient_penalty(on_real, real) + losses.gradient_penalty(on_fake, fake)
        sides[1].zero_grad()
        (losses.relativistic_discriminator(on_real, on_fake) + GAMMA / 2 * penalty).backward()
        sides[1].step()
        critic.requires_grad_(False)
        made = net(torch.randn(BATCH, net.z_dim, generator=rng), None, rng=rng)
        with torch.no_grad():
            against = critic(real)
        sides[0].zero_grad()
        losses.relativistic_generator(against, critic(made)).backward()
        sides[0].step()
        critic.requires_grad_(True)
        averages.follow(average, net, averages.decay_of(HALF_LIFE, (k + 1) * BATCH, BATCH))
    return time.process_time() - begun, average


def main(which: str, steps: str) -> None:
    {"ours": ours, "plain": plain}[which](2)  # what the first step imports
    seconds, average = {"ours": ours, "plain": plain}[which](int(steps))
    total = sum(float(p.double().abs().sum()) for p in average.parameters())
    print(json.dumps({"seconds": seconds, "peak": peak_now(), "weights": total}))


if __name__ == "__main__":
    main(*sys.argv[1:])
