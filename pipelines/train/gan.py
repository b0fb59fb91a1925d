"""Generator against discriminator: the losses of R3GAN or of 2014, zero-centred penalties, augmentation, averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from . import augment, averages, losses
from .objective import Check, Shown, Terms, unchecked

Tensor = torch.Tensor
Distance = Callable[[Tensor], Terms]  # of pictures [N, 3, H, W] in 0..1: figures, "score" among them


@dataclass(frozen=True)
class Settings:
    """loss: a row of `losses.ADVERSARIAL`. penalty: gamma of R1 and R2, half of it times |slope|^2; it scales with the pixels.

    penalty_every: steps between penalties, each then as many times as strong (Karras et al. 2020, arXiv 1912.04958, section 3.1).
    augment: policies of `augment.POLICIES`. chance: with which each is laid on; below 0 it is found by ADA.
    rate_generator, rate_discriminator: Adam's. half_life: of the generator's average, in pictures. mixing: the share of
    fakes whose layers come from two styles, where there is a mapping network.
    """

    loss: str = "relativistic"
    penalty: float = 1.0
    penalty_every: int = 1
    augment: tuple[str, ...] = ("translation", "cutout")
    chance: float = 1.0
    rate_generator: float = 2e-4
    rate_discriminator: float = 2e-4
    beta2: float = 0.99
    half_life: float = 10_000.0
    mixing: float = 0.5

    def known(self) -> dict[str, Any]:
        return asdict(self)


class GanObjective:
    """generator(z, labels, rng=...) -> [B, 3, R, R] in -1..1; discriminator(x, labels) -> logits [B].

    distance: examines generated pictures against held-out real ones. held_out: real ones [N, 3, R, R] in -1..1 for the gap
    between what D says of its training set and of others, with their labels.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        settings: Settings,
        *,
        distance: Distance,
        held_out: tuple[Tensor, Tensor],
        device: Any = "cpu",
        check: Check = unchecked,
    ) -> None:
        self.g: Any = generator.to(device).train()
        self.d: Any = discriminator.to(device).train()
        self.average: Any = averages.averaged(self.g)
        self.settings, self.distance, self.held_out, self.device = settings, distance, held_out, device
        self.check = check
        self.networks = {"generator": self.g, "average": self.average, "discriminator": self.d}
        betas = (0.0, settings.beta2)
        self.optimizers = {
            "generator": torch.optim.Adam(self.g.parameters(), lr=settings.rate_generator, betas=betas, eps=1e-8),
            "discriminator": torch.optim.Adam(
                self.d.parameters(), lr=settings.rate_discriminator, betas=betas, eps=1e-8
            ),
        }
        self.rates = {"generator": settings.rate_generator, "discriminator": settings.rate_discriminator}
        self.memory: dict[str, Any] = {"images": 0, "steps": 0, "chance": max(0.0, settings.chance)}
        self.memory |= {"R1": 0.0, "R2": 0.0}  # as last measured
        self.classes = int(getattr(generator, "classes", 0))

    def noise(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randn(count, int(self.g.z_dim), generator=rng).to(self.device)

    def labels(self, given: Tensor) -> Tensor | None:
        return given.to(self.device) if self.classes else None

    def made(self, count: int, labels: Tensor | None, rng: torch.Generator) -> Tensor:
        """Fresh fakes; with a mapping network by mixed styles (Karras et al. 2019, arXiv 1812.04948, section 3.1)."""
        z = self.noise(count, rng)
        if not getattr(self.g, "layers", 0):
            return self.g(z, labels, rng=rng)
        w, other = self.g.map(z, labels), self.g.map(self.noise(count, rng), labels)
        self.g.track(w.detach())
        mixed = torch.rand(count, 1, 1, generator=rng) < self.settings.mixing
        crossing = torch.randint(1, int(self.g.layers), (count, 1, 1), generator=rng)
        after = (torch.arange(int(self.g.layers))[None, :, None] >= crossing) & mixed
        return self.g.synthesize(torch.where(after.to(self.device), other, w), rng=rng)

    def step(self, shown: Shown, rng: torch.Generator) -> Terms:
        """One update of D, then one of G, each on fakes of its own."""
        s, real = self.settings, shown.pixels.to(self.device)
        labels, chance = self.labels(shown.labels), self.memory["chance"]
        loss_d, loss_g = losses.ADVERSARIAL[s.loss]

        def judged(x: Tensor) -> Tensor:
            return self.d(augment.augmented(x, s.augment, chance, rng), labels)

        with torch.no_grad():
            fake = self.made(len(real), labels, rng)
        due = s.penalty > 0 and self.memory["steps"] % s.penalty_every == 0
        x, y = real.detach().requires_grad_(due), fake.detach().requires_grad_(due)
        on_real, on_fake = judged(x), judged(y)
        adversarial = loss_d(on_real, on_fake)
        loss = adversarial
        if due:
            r1, r2 = losses.gradient_penalty(on_real, x), losses.gradient_penalty(on_fake, y)
            self.memory |= {"R1": float(r1.detach()), "R2": float(r2.detach())}
            loss = loss + s.penalty / 2 * s.penalty_every * (r1 + r2)
        self._update("discriminator", loss)
        with torch.no_grad():
            centre = (on_real.mean() + on_fake.mean()) / 2 if s.loss == "relativistic" else 0.0
            signs = float((on_real - centre).sign().mean())

        self.d.requires_grad_(False)
        made = self.made(len(real), labels, rng)
        with torch.no_grad():  # real ones do not depend on G
            against = judged(real) if s.loss == "relativistic" else on_real
        loss = loss_g(against, judged(made))
        self._update("generator", loss)
        self.d.requires_grad_(True)
        self._follow(len(real), signs)
        return {
            "loss D": float(adversarial.detach()), "loss G": float(loss.detach()),
            "D(real)": float(on_real.detach().mean()), "D(fake)": float(on_fake.detach().mean()),
            "R1": self.memory["R1"], "R2": self.memory["R2"], "augmentation": float(chance),
        }  # fmt: skip

    def _update(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def _follow(self, batch: int, signs: float) -> None:
        """signs: E[sign D(x)]; relativistic logits have no zero of their own, the middle of real and fake stands for it."""
        self.memory["images"] += batch
        self.memory["steps"] += 1
        decay = averages.decay_of(self.settings.half_life, self.memory["images"], batch)
        averages.follow(self.average, self.g, decay)
        if self.settings.chance < 0:
            self.memory["chance"] = augment.next_chance(self.memory["chance"], signs, batch)

    def fixed(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Noise and labels of `count` pictures that are the same at every step."""
        rng = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % max(1, self.classes)
        return torch.randn(count, int(self.g.z_dim), generator=rng), labels if self.classes else None

    @torch.no_grad()
    def generated(self, count: int, chunk: int = 64) -> Tensor:
        """[count, 3, R, R] in 0..1 of the average, in evaluation."""
        z, labels = self.fixed(count)
        parts = []
        for start in range(0, count, chunk):
            self.check()
            some = slice(start, start + chunk)
            these = None if labels is None else labels[some].to(self.device)
            made = self.average(z[some].to(self.device), these, noise="const")
            parts.append(((made.float().cpu() + 1) / 2).clamp(0, 1))
        return torch.cat(parts)

    def examine(self) -> Terms:
        found = dict(self.distance(self.generated(EXAMINED)))
        real, labels = self.held_out
        if len(real):
            self.d.eval()
            says = [
                self.d(x.to(self.device), self.labels(y)) for x, y in zip(real.split(64), labels.split(64), strict=True)
            ]
            self.d.train()
            found["D(held-out)"] = float(torch.cat(says).mean())
        return found

    def pictures(self, count: int) -> Tensor:
        return self.generated(count).movedim(1, -1)


EXAMINED = 256


def kid_distance(real: Sequence[Tensor], points: Callable[[Tensor], Tensor]) -> Distance:
    """KID of pictures against `real` (batches [B, 3, H, W] in 0..1) by a feature net `points`; of up to 64 the MMD of all."""
    from ..score import sets

    with torch.no_grad():
        there = torch.cat([points(x).float().cpu() for x in real])

    def distance(pictures: Tensor) -> Terms:
        here = torch.cat([points(x).float().cpu() for x in pictures.split(32)])
        mean, _ = sets.kid(there, here, subset=sets.subset_of(min(len(there), len(here))))
        return {"score": mean, "KID": mean}

    return distance
