"""A denoiser that learns from pictures and captions: its LoRA or all its weights, by its own call and its own noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..payloads import Item
from ..runtime import Runtime
from . import adapters, averages
from .objective import Terms
from .prepared import Material, Shown, Size, size_of

Tensor = torch.Tensor
Sampler = Callable[[int], Tensor]  # pictures [N, H, W, 3] in 0..1 with the weights as they are
LEVELS = 4  # at which each held-out picture is examined


@dataclass(frozen=True)
class Settings:
    """rank, alpha, targets: of the LoRA; full: all weights instead. learning_rate, weight_decay: AdamW's.

    caption_dropout: the share of pictures shown without their caption. min_snr: the cap of the weight of a squared error,
    0: off; flows have none. density: of `menus.LEVEL_DENSITIES`, how levels are drawn. half_life: of the average of the
    weights, in pictures; 0: none. accumulate: passes that a step's batch is shown in. checkpointing: compute activations
    again instead of keeping them. clip: the longest gradient. samples, sample_steps, sample_cfg: of the pictures that show
    how far it is.
    """

    rank: int = 16
    alpha: float = 16.0
    targets: str = "attention"
    full: bool = False
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    caption_dropout: float = 0.1
    min_snr: float = 0.0
    density: str = "uniform"
    half_life: float = 0.0
    accumulate: int = 1
    checkpointing: bool = False
    clip: float = 1.0
    samples: int = 4
    sample_steps: int = 12
    sample_cfg: float = 3.0

    def known(self) -> dict[str, Any]:
        return asdict(self)


class TuningObjective:
    """The denoising loss of a model's own prediction at levels of its own schedule.

    held_out: pictures to examine with; they may be those that are trained on, when there are too few to hold any out.
    """

    def __init__(
        self,
        material: Material,
        weights: adapters.Weights,
        settings: Settings,
        *,
        held_out: Sequence[Item],
        sampler: Sampler | None = None,
        runtime: Runtime,
    ) -> None:
        self.material, self.weights, self.settings, self.runtime = material, weights, settings, runtime
        self.module, self.way, self.held_out, self.sampler = material.module, material.way, held_out, sampler
        self.average: Any = averages.averaged(weights) if settings.half_life else None
        self.networks = {"weights": weights, **({"average": self.average} if self.average is not None else {})}
        self.optimizers = {
            "weights": torch.optim.AdamW(
                weights.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
        }
        self.rates = {"weights": settings.learning_rate}
        self.memory: dict[str, Any] = {"images": 0}
        self._samples: Tensor | None = None
        self._examined: list[tuple[Tensor, str, Size]] | None = None

    def losses(self, x0: Tensor, captions: Sequence[str], size: Size, share: Tensor, noise: Tensor) -> Tensor:
        """The mean squared error of each row [B], unweighted, of x0 and noise [B, ...] at shares [B] of the levels."""
        levels = self.material.levels[size]
        alpha, sigma, t = levels.at(share)
        x, target = levels.pair(x0, noise, alpha, sigma)
        calls = [self.material.calls[caption, size] for caption in captions]
        device = self.runtime.device
        answer = self.way(self.module, calls, x.to(device), t)
        return (answer.float() - target.to(device)).square().flatten(1).mean(1)

    def step(self, shown: Shown, rng: torch.Generator) -> Terms:
        s, count = self.settings, len(shown.latents)
        draw = torch.randn(count, generator=rng).sigmoid() if s.density == "logit-normal" else None
        share = torch.rand(count, generator=rng) if draw is None else draw
        noise = torch.randn(shown.latents.shape, generator=rng)
        dropped = torch.rand(count, generator=rng) < s.caption_dropout
        captions = ["" if drop else caption for caption, drop in zip(shown.captions, dropped.tolist())]
        alpha, sigma, _ = self.material.levels[shown.size].at(share)
        weight = self.material.levels[shown.size].weight(alpha, sigma, s.min_snr).to(self.runtime.device)
        optimizer, total = self.optimizers["weights"], 0.0
        optimizer.zero_grad(set_to_none=True)
        with self.runtime.placed([self.module]):
            for rows in torch.arange(count).chunk(max(1, min(s.accumulate, count))):
                part = slice(int(rows[0]), int(rows[-1]) + 1)
                found = self.losses(shown.latents[part], captions[part], shown.size, share[part], noise[part])
                loss = (weight[part] * found).sum() / count
                loss.backward()
                total += float(loss.detach())
            length = torch.nn.utils.clip_grad_norm_(self.weights.parameters(), s.clip)
            optimizer.step()
        self.memory["images"] += count
        if self.average is not None:
            averages.follow(self.average, self.weights, averages.decay_of(s.half_life, self.memory["images"], count))
        return {"loss": total, "gradient": float(length)}

    def examine(self) -> Terms:
        """The mean loss at fixed levels and noise, and fresh samples for `pictures`."""
        if self._examined is None:
            self._examined = [(self.material.x0([item]), item.caption, size_of(item)) for item in self.held_out]
        share = (torch.arange(LEVELS) + 0.5) / LEVELS
        found = []
        with adapters.standing_in(self.weights, self.average), self.runtime.placed([self.module]):
            for number, (x0, caption, size) in enumerate(self._examined):
                self.runtime.check_interrupt()
                rng = torch.Generator().manual_seed(number)
                noise = torch.randn(LEVELS, *x0.shape[1:], generator=rng)
                rows = x0.expand(LEVELS, *x0.shape[1:])
                found.append(self.losses(rows, [caption] * LEVELS, size, share, noise))
        self._draw()
        score = float(torch.cat(found).double().mean())
        return {"score": score, "loss": score}

    def _draw(self) -> None:
        if self.sampler is not None and self.settings.samples:
            with adapters.standing_in(self.weights, self.average):
                self._samples = self.sampler(self.settings.samples)

    def pictures(self, count: int) -> Tensor:
        """Those of the last examination: of a large model they take minutes."""
        if self._samples is None:
            self._draw()
        return torch.zeros(1, 8, 8, 3) if self._samples is None else self._samples[:count]
