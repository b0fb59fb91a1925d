"""An autoencoder: the evidence lower bound, or reconstruction alone where nothing is drawn; edges, patches, averages."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from . import autoencoders, averages, losses
from .objective import Check, Shown, Terms, unchecked
from .patch_critic import PatchCritic

Tensor = torch.Tensor
USED = 0.01  # the variance over pictures of a used channel's mean (Burda et al. 2015, arXiv 1509.00519, section 5.2)


@dataclass(frozen=True)
class Settings:
    """beta: the weight of the KL. edges, squares: of the slopes' and of the squared error, beside the absolute one.

    adversarial: the patch critic's weight, times the adaptive one, from step `adversarial_from` on; 0 for none. noise: where
    nothing is drawn, each picture's latents get up to this share of their deviation, so that a decoder forgives a sampler.
    rate: AdamW's. half_life: of the average, in pictures.
    """

    beta: float = 1.0
    edges: float = 0.5
    squares: float = 1.0
    adversarial: float = 0.0
    adversarial_from: int = 1000
    noise: float = 0.0
    rate: float = 1e-3
    half_life: float = 5_000.0

    def known(self) -> dict[str, Any]:
        return asdict(self)


class Coded(NamedTuple):
    """z: what is decoded. mean, log_variance: of the posterior, None where there is none."""

    z: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None


class Coder(nn.Module):
    """A diffusers autoencoder, and the scale of what it leaves: log b of a Laplace distribution of pixels in -1..1."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.2)))
        self.variational = hasattr(net, "quant_conv") and net.__class__.__name__ == "AutoencoderKL"

    def code(self, x: Tensor, rng: torch.Generator) -> Coded:
        found = self.net.encode(x)
        if not self.variational:
            return Coded(found.latents)
        mean, log_variance = found.latent_dist.mean, found.latent_dist.logvar
        noise = torch.randn(mean.shape, generator=rng).to(mean)
        return Coded(mean + (0.5 * log_variance).exp() * noise, mean, log_variance)

    def decode(self, z: Tensor) -> Tensor:
        return self.net.decode(z).sample

    @property
    def last(self) -> Tensor:
        """The weights whose slopes balance two losses."""
        return self.net.decoder.conv_out.weight if self.variational else self.net.decoder.layers[-1].weight


def reconstruction_nats(x: Tensor, y: Tensor, log_scale: Tensor) -> Tensor:
    """-log p(x | y) in nats of 8-bit pixels, [B]: the Laplace density's, and log 127.5 for each dimension."""
    return losses.laplace_nats(x, y, log_scale) + x[0].numel() * math.log(losses.LEVELS)


class VaeObjective:
    """net: an AutoencoderKL or AutoencoderTiny. frozen_encoder: only the decoder is trained.

    held_out: pictures [N, 3, H, W] in -1..1 to examine with. The score is bits per dimension for a KL one, else -PSNR.
    """

    def __init__(
        self,
        net: Any,
        settings: Settings,
        *,
        held_out: Tensor,
        frozen_encoder: bool = False,
        device: Any = "cpu",
        check: Check = unchecked,
    ) -> None:
        self.coder: Any = Coder(net).to(device).train()
        if frozen_encoder:
            self.coder.net.encoder.requires_grad_(False)
        self.average: Any = averages.averaged(self.coder)
        self.settings, self.held_out, self.device, self.check = settings, held_out, device, check
        self.networks: dict[str, nn.Module] = {"coder": self.coder, "average": self.average}
        learned = [p for p in self.coder.parameters() if p.requires_grad]
        self.optimizers = {"coder": torch.optim.AdamW(learned, lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.0)}
        self.rates = {"coder": settings.rate}
        self.memory: dict[str, Any] = {"steps": 0, "images": 0}
        self.learned = learned
        if settings.adversarial > 0:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.critic: Any = PatchCritic().to(device)
            self.networks["critic"] = self.critic
            self.optimizers["critic"] = torch.optim.AdamW(
                self.critic.parameters(), lr=settings.rate / 2, betas=(0.5, 0.9), weight_decay=0.0
            )
            self.rates["critic"] = settings.rate / 2

    def step(self, shown: Shown, rng: torch.Generator) -> Terms:
        s, x = self.settings, shown.pixels.to(self.device)
        coded = self.coder.code(x, rng)
        y = self.coder.decode(coded.z if self.coder.variational else self._noised(coded.z, rng))
        loss, terms = self.loss(x, y, coded)
        judged = s.adversarial > 0 and self.memory["steps"] >= s.adversarial_from
        if judged:
            self.critic.requires_grad_(False)
            fooling = losses.non_saturating_generator(y, self.critic(y))
            weight = losses.adaptive_weight(loss, fooling, self.coder.last)
            loss = loss + s.adversarial * weight * fooling
            self.critic.requires_grad_(True)
            terms |= {"adversarial": float(fooling.detach()), "adaptive weight": float(weight)}
        self._update("coder", loss, self.learned)
        if judged:
            on_real, on_fake = self.critic(x), self.critic(y.detach())
            loss_d = losses.plain_discriminator(on_real, on_fake)
            self._update("critic", loss_d, list(self.critic.parameters()))
            terms |= {"loss D": float(loss_d.detach())}
            terms |= {"D(real)": float(on_real.detach().mean()), "D(fake)": float(on_fake.detach().mean())}
        self.memory["steps"] += 1
        self.memory["images"] += len(x)
        decay = averages.decay_of(s.half_life, self.memory["images"], len(x))
        averages.follow(self.average, self.coder, decay)
        return {"loss": float(loss.detach()), **terms}

    def loss(self, x: Tensor, y: Tensor, coded: Coded) -> tuple[Tensor, Terms]:
        """What is minimised, without the critic, and its terms.

        A KL one: (reconstruction + beta KL) / D in nats, and the edges over b, as the absolute error is. Else plain errors.
        """
        s, difference = self.settings, x - y
        if coded.mean is None or coded.log_variance is None:
            absolute, square = difference.abs().mean(), difference.square().mean()
            loss = absolute + s.edges * losses.edges(x, y) + s.squares * square
            return loss, {"absolute": float(absolute.detach()), "PSNR": psnr(float(square.detach()))}
        dimensions = x[0].numel()
        nats = reconstruction_nats(x, y, self.coder.log_scale).mean()
        kl = losses.kl_divergence(coded.mean, coded.log_variance).mean()
        slopes = losses.edges(x, y) * (-self.coder.log_scale).exp().detach()
        loss = (nats + s.beta * kl) / dimensions + s.edges * slopes
        bits = float((nats + kl).detach()) / (dimensions * math.log(2))
        terms = {"reconstruction": float(nats.detach()), "KL": float(kl.detach()), "bits per dimension": bits}
        return loss, {**terms, "PSNR": psnr(float(difference.detach().square().mean()))}

    def _noised(self, z: Tensor, rng: torch.Generator) -> Tensor:
        if self.settings.noise <= 0:
            return z
        level = self.settings.noise * torch.rand(len(z), 1, 1, 1, generator=rng).to(z) * z.detach().std()
        return z + level * torch.randn(z.shape, generator=rng).to(z)

    def _update(self, name: str, loss: Tensor, parameters: list[Any]) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    @torch.no_grad()
    def examine(self) -> dict[str, Any]:
        """Of the average. "KL per channel" in nats a picture, and the share of channels whose means vary over pictures."""
        rng, coder = torch.Generator().manual_seed(0), self.average
        squares, nats, kls, means = [], [], [], []
        for part in self.held_out.split(32):
            self.check()
            x = part.to(self.device)
            coded = coder.code(x, rng)
            y = coder.decode(coded.z)
            squares.append((x - y).square().flatten(1).mean(1))
            if coded.mean is not None and coded.log_variance is not None:
                nats.append(reconstruction_nats(x, y, coder.log_scale))
                each = 0.5 * (coded.mean.square() + coded.log_variance.exp() - 1 - coded.log_variance)
                kls.append(each.flatten(2).sum(2))
                means.append(coded.mean)
        decibels = psnr(float(torch.cat(squares).mean()))
        if not nats:
            return {"score": -decibels, "PSNR": decibels}
        reconstruction, kl = float(torch.cat(nats).mean()), torch.cat(kls).mean(0)
        bits = (reconstruction + float(kl.sum())) / (self.held_out[0].numel() * math.log(2))
        used = torch.cat(means).var(0).flatten(1).mean(1) > USED
        return {
            "score": bits, "bits per dimension": bits, "reconstruction": reconstruction, "KL": float(kl.sum()),
            "PSNR": decibels, "used channels": float(used.float().mean()), "KL per channel": kl.tolist(),
        }  # fmt: skip

    @torch.no_grad()
    def pictures(self, count: int) -> Tensor:
        """[count, H, W, 3] in 0..1: held-out pictures, each followed by what becomes of it."""
        with torch.inference_mode(False):
            x = self.held_out[: max(1, count // 2)].to(self.device)
            y = torch.cat([self.average.decode(autoencoders.encoded(self.average.net, part)) for part in x.split(32)])
        both = torch.stack([x, y], 1).flatten(0, 1)[:count]
        return ((both.float().cpu() + 1) / 2).clamp(0, 1).movedim(1, -1)


def psnr(square: float) -> float:
    """In dB, from the mean squared error of pixels in -1..1."""
    return -10 * math.log10(max(square, 1e-12) / 4)


@torch.no_grad()
def scaling_factor(net: Any, pixels: Tensor, device: Any = "cpu") -> float:
    """1 over the deviation of the latents of pictures [N, 3, H, W]: times it they have unit variance."""
    latents = torch.cat([autoencoders.encoded(net, part.to(device)).float().cpu() for part in pixels.split(32)])
    return 1.0 / max(float(latents.double().std()), 1e-6)
