"""The diffusion model: a UNet trained by flow matching on fixed latents and fixed caption embeddings.

    python -m training.pictogram.diffusion --work build/pictogram --minutes 80

Run it again to resume: weights, moments, averages and random states are in ``checkpoint.pt``, written every five
minutes and on SIGTERM. ``--workers 2`` trains two single-threaded copies whose weights are averaged every few steps
(local SGD, Stich 2018, arXiv 1805.09767): on two busy cores nobody waits at every convolution.
The learning rate follows the wall clock, so that a slower machine sees fewer samples and still ends annealed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

from .text import DIM, CaptionBank, Sampler
from .vae import CHANNELS

WIDTHS = (96, 192)
SHIFT = 2.5  # time shift of flow matching: more training at high noise, where the concept is decided
CAPTION_DROPOUT = 0.1
EMA = 0.999
AVERAGE_EVERY = 4
SYNC_EVERY = 10
CHECKPOINT_SECONDS = 300


def new_unet(widths: tuple[int, ...] = WIDTHS) -> UNet2DConditionModel:
    """An untrained UNet on [CHANNELS, 8, 8]: cross-attention at 4 x 4, pooled text added to the time embedding."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=DIM,
        attention_head_dim=4,  # the number of heads, by diffusers' historical naming
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=16,
    )


def shifted_sigma(uniform: Tensor, shift: float = SHIFT) -> Tensor:
    """Time shift of Esser et al. (2024, arXiv 2403.03206), section 5.3.2. uniform and result in 0..1."""
    return shift * uniform / (1 + (shift - 1) * uniform)


def flow_pair(x0: Tensor, noise: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and velocity target of flow matching (Lipman et al. 2022, arXiv 2210.02747).

    x0, noise: [B, C, H, W]; sigma: [B]. x = (1 - sigma) x0 + sigma noise and v = noise - x0.
    """
    s = sigma[:, None, None, None]
    return (1 - s) * x0 + s * noise, noise - x0


class Trainer:
    """Network, optimizer, average and random state of one run."""

    def __init__(
        self, work: Path, widths: tuple[int, ...], rate: float, batch: int, minutes: float, bf16: bool = False
    ) -> None:
        torch.manual_seed(0)
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.workers = dist.get_world_size() if dist.is_initialized() else 1
        self.work, self.rate, self.batch, self.minutes, self.bf16 = work, rate, batch, minutes, bf16
        self.sampler = Sampler(work, random.Random(0))
        self.bank = CaptionBank(work, self.sampler)
        self.latents = torch.load(work / "latents.pt", weights_only=True)  # [N, CHANNELS, 8, 8]
        self.unet = new_unet(widths).to(memory_format=torch.channels_last)
        self.generator = torch.Generator().manual_seed(0)
        self.averaged = list(self.unet.parameters())
        self.optimizer = torch.optim.AdamW(self.averaged, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.average = [parameter.detach().clone() for parameter in self.averaged]
        self.samples, self.start, self.stopped = 0, time.time(), False

    def done(self) -> float:
        """Share of the wall-clock budget that has passed."""
        return (time.time() - self.start) / 60 / self.minutes

    def step(self) -> float:
        """One optimizer step. Returns the velocity loss."""
        dice, size = self.sampler.dice, self.batch
        indices = [self.sampler.picture() for _ in range(size)]
        rows = [0 if dice.random() < CAPTION_DROPOUT else dice.choice(self.bank.choices[i]) for i in indices]
        x0 = self.latents[indices]
        noise = torch.randn(x0.shape, generator=self.generator)
        strata = torch.arange(size) + torch.rand(size, generator=self.generator)
        sigma = shifted_sigma(strata / size)
        x, target = flow_pair(x0, noise, sigma)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            predicted = self.unet(x, sigma * 1000, encoder_hidden_states=self.bank(rows)).sample
        loss = F.mse_loss(predicted.float(), target)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.averaged, 1.0)
        self.optimizer.step()
        self.samples += size * self.workers
        return loss.item()

    @torch.no_grad()
    def update_average(self, steps: int) -> None:
        """Exponential moving average, with a shorter memory in the beginning. Every fourth step, to save time."""
        if steps % AVERAGE_EVERY:
            return
        decay = min(EMA, (1 + steps) / (10 + steps)) ** AVERAGE_EVERY
        torch._foreach_lerp_(self.average, [parameter.detach() for parameter in self.averaged], 1 - decay)

    def set_rate(self, steps: int) -> None:
        """Warm up over 300 steps, hold for 30 % of the budget, then fall linearly to zero."""
        factor = min(1.0, (steps + 1) / 300, max(0.0, 1 - self.done()) / 0.7)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * factor

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs."""
        state = {name: getattr(self, name).state_dict() for name in ("unet", "optimizer")}
        state |= {"average": self.average, "samples": self.samples, "start": self.start, "minutes": self.minutes}
        state |= {"generator": self.generator.get_state(), "dice": self.sampler.dice.getstate()}
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Take up a run where ``save`` left it."""
        state = torch.load(path, weights_only=True)
        for name in ("unet", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.average, self.samples, self.start = state["average"], state["samples"], state["start"]
        self.generator.set_state(state["generator"])
        version, internal, gauss = state["dice"]
        self.sampler.dice.setstate((version, tuple(internal), gauss))
        if self.rank:
            self.reseed(self.samples + self.rank)

    def reseed(self, seed: int) -> None:
        """Give this worker its own samples."""
        self.generator.manual_seed(seed)
        self.sampler.dice.seed(seed)

    @torch.no_grad()
    def synchronise(self) -> None:
        """Average the weights of all workers, and stop all of them when one is stopped."""
        flat = torch.cat([parameter.flatten() for parameter in self.averaged] + [torch.tensor([float(self.stopped)])])
        dist.all_reduce(flat)
        self.stopped = bool(flat[-1] > 0)
        place = 0
        for parameter in self.averaged:
            parameter.copy_(flat[place : place + parameter.numel()].view_as(parameter) / self.workers)
            place += parameter.numel()

    def run(self) -> None:
        """Train until the budget ends, save every five minutes and at the end."""
        path, log = self.work / "checkpoint.pt", self.work / "diffusion.jsonl"
        steps, losses, saved = self.samples // (self.batch * self.workers), [], time.time()
        begun, first, shared = time.time(), self.samples, self.workers > 1
        while True:
            self.set_rate(steps)
            losses = [*losses[-99:], self.step()]
            steps += 1
            if not shared or steps % SYNC_EVERY == 0:
                self.stopped = self.stopped or self.done() >= 1
                if shared:
                    self.synchronise()
                if self.stopped:
                    break
            if self.rank:
                continue
            self.update_average(steps)
            if steps % 100 == 0:
                pace = (self.samples - first) / (time.time() - begun)
                row = {"samples": self.samples, "velocity": round(float(np.mean(losses)), 4)}
                row |= {"per_second": round(pace, 1), "done": round(self.done(), 4), "steps": steps}
                with log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if time.time() - saved > CHECKPOINT_SECONDS:
                self.save(path)
                saved = time.time()
        if not self.rank:
            self.save(path)


def work_on(rank: int, args: argparse.Namespace) -> None:
    """One worker: join the others, resume, train."""
    torch.set_num_threads(max(1, args.threads // args.workers))
    if args.workers > 1:
        store = f"file://{(args.work / 'workers').absolute()}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=args.workers)
    trainer = Trainer(args.work, tuple(args.widths), args.rate, args.batch, args.minutes, args.bf16)
    if (args.work / "checkpoint.pt").exists():
        trainer.load(args.work / "checkpoint.pt")
    elif rank:
        trainer.reseed(rank)
    signal.signal(signal.SIGTERM, lambda *_: setattr(trainer, "stopped", True))
    trainer.run()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/pictogram"))
    parser.add_argument("--minutes", type=float, default=80, help="wall-clock budget, counted from the first start")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs=2, default=WIDTHS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="faster on a processor with bfloat16 instructions")
    args = parser.parse_args()
    (args.work / "workers").unlink(missing_ok=True)
    if args.workers > 1:
        workers = torch.multiprocessing.spawn(work_on, (args,), args.workers, join=False)
        assert workers is not None
        # A stop is for the workers: they agree on the step, and the first of them writes the checkpoint.
        signal.signal(signal.SIGTERM, lambda *_: [worker.terminate() for worker in workers.processes])
        while not workers.join():
            pass
    else:
        work_on(0, args)


if __name__ == "__main__":
    main()
