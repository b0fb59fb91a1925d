"""Training a judge: real ones against fakes, at every noise level if wanted, and told how good it became."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from .net import NetConfig, PatchNet
from .statistics import auc, log_loss, platt

SIGMAS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # where the held-out AUC is measured
SIGMA_MEAN, SIGMA_STD, SIGMA_MAX = (
    -0.9,
    1.3,
    20.0,
)  # log-normal noise levels, Karras et al. 2022, arXiv 2206.00364, table 1
CLEAN_SHARE = 0.15  # of a batch that stays without noise
HELD_OUT = 0.2
AVERAGE = 0.998
LEAST = 16


@dataclass
class Examples:
    """x: [N, C, H, W]. group: [N]; what shares a group is held out together or not at all."""

    x: torch.Tensor
    group: torch.Tensor


@dataclass
class Report:
    """auc: (sigma, held-out AUC) pairs. calibration: scale and offset of the probability. loss: (step, nats) as trained.

    seen: AUC on the clean training set. counts: real and generated ones trained on, and held out.
    """

    auc: tuple[tuple[float, float], ...] = ()
    calibration: tuple[float, float] = (1.0, 0.0)
    real: tuple[float, ...] = ()
    steps: int = 0
    seconds: float = 0.0
    loss: list[tuple[int, float]] = field(default_factory=list)
    seen: float = 0.0
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)


def held_out_groups(groups: torch.Tensor, seed: int) -> torch.Tensor:
    """A fifth of the groups, drawn from `seed`."""
    order = groups[torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))]
    return order[: max(1, round(HELD_OUT * len(order)))]


def split(real: Examples, fake: Examples, seed: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Training rows and held-out rows, as [real, fake] each; a group is on one side for both."""
    held = held_out_groups(torch.cat([real.group, fake.group]).unique(), seed)
    apart = [torch.isin(e.group, held) for e in (real, fake)]
    return [e.x[~a] for e, a in zip((real, fake), apart)], [e.x[a] for e, a in zip((real, fake), apart)]


class Trainer:
    """One run; `step` as often as wanted, then `report`. Equal seeds give equal judges on one machine."""

    def __init__(
        self,
        train: Sequence[torch.Tensor],
        config: NetConfig,
        *,
        seed: int,
        rate: float,
        batch: int,
        device: Any = "cpu",
    ) -> None:
        few = min(len(x) for x in train)
        if few < LEAST:
            raise AigcError(
                f"Expected at least {LEAST} real and {LEAST} generated examples to train on, got {few}: add more."
            )
        self.real, self.fake = (x.float() for x in train)
        self.generator = torch.Generator("cpu").manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = PatchNet(config).to(device)
        axes = (0, 2, 3)
        self.net.mean.copy_(self.real.mean(axes))
        self.net.std.copy_(self.real.std(axes).clamp_min(1e-3))
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.05)
        self.rate, self.batch, self.device, self.done = rate, batch, device, 0
        self.losses: list[tuple[int, float]] = []

    def noise_levels(self, count: int) -> torch.Tensor:
        """[count]: a share is clean, the others log-normal; all clean for a judge of clean data."""
        draw = (torch.randn(count, generator=self.generator) * SIGMA_STD + SIGMA_MEAN).exp().clamp_max(SIGMA_MAX)
        clean = torch.rand(count, generator=self.generator) < CLEAN_SHARE
        return torch.where(clean | (not self.net.config.noise_aware), torch.zeros(()), draw)

    def step(self, progress: float) -> float:
        """One step; progress in 0..1 of the run sets the rate. Returns the loss in nats (log 2 knows nothing)."""
        half = self.batch // 2
        rows = [torch.randint(len(x), (half,), generator=self.generator) for x in (self.real, self.fake)]
        x0 = torch.cat([self.real[rows[0]], self.fake[rows[1]]])
        # Equal noise for both halves: only what is real tells them apart.
        sigma = self.noise_levels(half).repeat(2)
        noise = torch.randn(half, *x0.shape[1:], generator=self.generator).repeat(2, *[1] * (x0.ndim - 1))
        x = (x0 + sigma[:, None, None, None] * noise).to(self.device)
        target = torch.cat([torch.ones(half), torch.zeros(half)]).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (self.done + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * progress))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=self.generator)))  # dropout
            loss = log_loss(self.net.train()(x, sigma.to(self.device)), target)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        decay = min(AVERAGE, (1 + self.done) / (10 + self.done))
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value.detach(), 1 - decay)
        return float(loss.detach())

    def averaged(self) -> PatchNet:
        """The judge so far: a copy with the moving average of the weights."""
        with torch.device("meta"):
            net = PatchNet(self.net.config)
        net.load_state_dict({k: v.clone() for k, v in self.average.items()}, assign=True)
        return net.eval().requires_grad_(False)


@torch.no_grad()
def logits(net: PatchNet, x: torch.Tensor, sigma: float, *, seed: int = 0, chunk: int = 64) -> torch.Tensor:
    """Logits [N] of x [N, C, H, W] with noise of one level, drawn from `seed`."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    noisy = x.float() + sigma * noise
    device = net.mean.device
    parts = [net(part.to(device), torch.full((len(part),), sigma, device=device)).cpu() for part in noisy.split(chunk)]
    return torch.cat(parts) if parts else torch.zeros(0)


def examine(net: PatchNet, held_out: Sequence[torch.Tensor]) -> Report:
    """Held-out AUC at each noise level, and the calibration of the clean logit."""
    real, fake = held_out
    levels = SIGMAS if net.config.noise_aware else SIGMAS[:1]
    found = [(s, auc(logits(net, real, s), logits(net, fake, s, seed=1))) for s in levels]
    clean = logits(net, real, 0.0), logits(net, fake, 0.0)
    return Report(auc=tuple(found), calibration=platt(*clean), real=tuple(clean[0].sort().values.tolist()))


def train(
    real: Examples,
    fake: Examples,
    config: NetConfig,
    *,
    steps: int,
    seconds: float = math.inf,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
    on_step: Callable[[int, int, float], None] | None = None,
    device: Any = "cpu",
) -> tuple[PatchNet, Report]:
    """Train a judge for `steps` or `seconds`, whichever ends first, and examine it on the held-out groups.

    on_step(done, total, loss) may raise to stop; whoever wants to keep what was made uses `Trainer` itself.
    """
    kept, held_out = split(real, fake, seed)
    trainer, start = Trainer(kept, config, seed=seed, rate=rate, batch=batch, device=device), time.monotonic()
    while trainer.done < steps and (passed := time.monotonic() - start) < seconds:
        loss = trainer.step(max(trainer.done / steps, passed / seconds))
        trainer.losses.append((trainer.done, loss))
        if on_step is not None:
            on_step(trainer.done, steps, loss)
    net = trainer.averaged()
    report = examine(net, held_out)
    report.steps, report.seconds, report.loss = trainer.done, time.monotonic() - start, trainer.losses
    return net, report
