"""A latent diffusion model of captions: flow matching, v or epsilon; a text encoder that learns to name captions first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from . import averages, denoisers, losses
from .gan import Distance
from .objective import Check, Terms, unchecked
from .tokenizing import padded, tokens

Tensor = torch.Tensor
OBJECTIVES = ("flow", "v", "epsilon")
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the examination
NAMING_WARM_UP, REMEMBERED_BYTES = 100, 1 << 30


@dataclass(frozen=True)
class Settings:
    """objective: of OBJECTIVES. shift: flow's levels are moved towards noise by it. min_snr: the cap of the weights of v and
    epsilon, 0 for none. caption_dropout: the share of pictures that are shown without their caption.

    naming: steps in which the text encoder alone learns to name captions; it stays as it is after that. 0: it is trained along
    with the denoiser. separator: between the captions of one picture, of which each visit draws one. rate: AdamW's.
    naming_rate: the text encoder's. half_life: of the average, in pictures. guidance, sample_steps: of the samples on view.
    samples: how many the KID is of; kid_every: examinations between two. bfloat16: the denoiser computes in it.
    """

    objective: str = "flow"
    shift: float = 2.5
    min_snr: float = 5.0
    caption_dropout: float = 0.1
    naming: int = 1000
    separator: str = "|"
    rate: float = 1e-3
    naming_rate: float = 1.5e-3
    half_life: float = 8_000.0
    guidance: float = 3.0
    sample_steps: int = 12
    samples: int = 64
    kid_every: int = 4
    bfloat16: bool = False

    def known(self) -> dict[str, Any]:
        return asdict(self)


class Encoded(NamedTuple):
    """latents [B, C, H, W], scaled to unit variance; what is known of each; number: its class in each place, [B, places]."""

    latents: Tensor
    captions: tuple[str, ...]
    number: Tensor


class Pair(NamedTuple):
    """What a denoiser is shown and asked at a level, and the weight [B] of its squared error."""

    x: Tensor
    timestep: Tensor
    target: Tensor
    weight: Tensor


def pair(x0: Tensor, noise: Tensor, level: Tensor, s: Settings) -> Pair:
    """At level [B] in 0..1: of noise for a flow, of the schedule's 1000 steps for v and epsilon."""
    if s.objective == "flow":
        x, target = losses.flow_pair(x0, noise, level)
        return Pair(x, level * denoisers.TRAIN_STEPS, target, torch.ones_like(level))
    step = (level * denoisers.TRAIN_STEPS).long().clamp(0, denoisers.TRAIN_STEPS - 1)
    alpha, sigma = (known[step.cpu()].to(x0) for known in denoisers.alphas_sigmas())
    x = losses.noised(x0, noise, alpha, sigma)
    kind, target = (
        ("v_prediction", losses.velocity(x0, noise, alpha, sigma)) if s.objective == "v" else ("epsilon", noise)
    )
    weight = losses.min_snr((alpha / sigma).square(), kind, s.min_snr) if s.min_snr else torch.ones_like(alpha)
    return Pair(x, step, target, weight)


def stratified(count: int, rng: torch.Generator) -> Tensor:
    """[count] in 0..1, one in each of `count` equal parts: a batch covers all levels."""
    return (torch.arange(count) + torch.rand(count, generator=rng)) / count


class Networks(nn.Module):
    """What is sampled with: the denoiser and the text encoder."""

    def __init__(self, denoiser: Any, text: Any) -> None:
        super().__init__()
        self.denoiser, self.text = denoiser, text


class DiffusionObjective:
    """denoiser, text, tokenizer: as `denoisers.build` makes them. classes: how many there are to name in each place.

    held_out: latents to examine with. distance: of generated pictures to held-out ones, None for none. prompts: of the
    pictures on view; held_prompts: of those whose distance is measured. pipeline: from (denoiser, text) to a pipeline.
    """

    def __init__(
        self,
        denoiser: Any,
        text: Any,
        tokenizer: Any,
        settings: Settings,
        *,
        classes: tuple[int, ...],
        held_out: Encoded,
        distance: Distance | None,
        prompts: Sequence[str],
        held_prompts: Sequence[str],
        pipeline: Callable[[Any, Any], Any],
        kind: denoisers.Kind = denoisers.KINDS["unet"],
        device: Any = "cpu",
        check: Check = unchecked,
    ) -> None:
        self.both: Any = Networks(denoiser, text).to(device).train()
        self.average: Any = averages.averaged(self.both)
        self.tokenizer, self.settings, self.held_out, self.device = tokenizer, settings, held_out, device
        self.distance, self.prompts, self.held_prompts, self.pipeline = distance, prompts, held_prompts, pipeline
        self.check, self.kind, self.classes = check, kind, classes
        self.networks: dict[str, nn.Module] = {"both": self.both, "average": self.average}
        along = [] if settings.naming else list(text.parameters())
        self.learned = [*self.both.denoiser.parameters(), *along]
        self.optimizers = {"denoiser": _adam(self.learned, settings.rate)}
        self.rates = {"denoiser": settings.rate}
        self.memory: dict[str, Any] = {"steps": 0, "images": 0, "examinations": 0}
        self._said: dict[str, Tensor] = {}
        if settings.naming:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.namer: Any = nn.Linear(text.config.hidden_size, sum(classes)).to(device)
            self.networks["namer"] = self.namer
            self.optimizers["text"] = _adam(
                [*self.both.text.parameters(), *self.namer.parameters()], settings.naming_rate
            )
            self.rates["text"] = settings.naming_rate

    def said(self, text: Any, texts: Sequence[str]) -> Tensor:
        """What an encoder says of captions, as the denoiser's pipeline passes it on."""
        found = padded(self.tokenizer, list(texts)).to(self.device)
        return self.kind.said(text, found["input_ids"], found["attention_mask"])

    def hidden(self, texts: Sequence[str]) -> Tensor:
        """What the text encoder says of captions, [B, length, width]; remembered once it does not learn any more."""
        if not self.settings.naming:
            return self.said(self.both.text, texts)
        one = next(iter(self._said.values()), None)
        if one is not None and len(self._said) * one.nbytes > REMEMBERED_BYTES:
            self._said.clear()
        with torch.no_grad():
            for text in dict.fromkeys(texts):
                if text not in self._said:
                    self._said[text] = self.said(self.both.text, [text])[0]  # alone: it depends on itself only
        return torch.stack([self._said[text] for text in texts])

    def spoken(self, captions: Sequence[str], rng: torch.Generator, dropout: float) -> list[str]:
        """One caption of each picture; "" with the chance of `dropout`."""
        draws, out = torch.rand(len(captions), 2, generator=rng).tolist(), []
        for caption, (drop, which) in zip(captions, draws):
            said = (
                [part.strip() for part in caption.split(self.settings.separator)]
                if self.settings.separator
                else [caption]
            )
            out.append("" if drop < dropout else said[int(which * len(said))])
        return out

    def step(self, shown: Encoded, rng: torch.Generator) -> Terms:
        """Of naming while its steps last, then of denoising."""
        naming = self.memory["steps"] < self.settings.naming
        terms = self._name(shown, rng) if naming else self._denoise(shown, rng)
        self.memory["steps"] += 1
        return terms

    def _name(self, shown: Encoded, rng: torch.Generator) -> Terms:
        """Cross-entropy of each place of the class at the last token: captions of one thing land on one another."""
        ids = tokens(self.tokenizer, self.spoken(shown.captions, rng, 0.0)).to(self.device)
        last = (ids == self.tokenizer.eos_token_id).int().argmax(1)
        hidden = self.both.text(ids).last_hidden_state[torch.arange(len(ids)), last]
        number = shown.number.to(self.device)
        told = self.namer(hidden).split(self.classes, 1)
        loss = torch.stack([F.cross_entropy(logits, number[:, place]) for place, logits in enumerate(told)]).mean()
        self._update("text", loss, list(self.both.text.parameters()))
        averages.follow(self.average.text, self.both.text, 0.0)
        return {"naming": float(loss.detach())}

    def _denoise(self, shown: Encoded, rng: torch.Generator) -> Terms:
        s, x0 = self.settings, shown.latents.to(self.device)
        level = stratified(len(x0), rng)
        level = (losses.shifted(level, s.shift) if s.objective == "flow" else level).to(self.device)
        noise = torch.randn(x0.shape, generator=rng).to(self.device)
        texts = self.spoken(shown.captions, rng, s.caption_dropout)
        p, hidden = pair(x0, noise, level, s), self.hidden(texts)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=s.bfloat16):
            said = self.kind.call(self.both.denoiser, p.x, p.timestep, hidden)
        errors = (said.float() - p.target).square().flatten(1).mean(1)
        loss = (p.weight * errors).mean()
        warm = min(1.0, (self.memory["steps"] - s.naming + 1) / NAMING_WARM_UP) if s.naming else 1.0
        for group in self.optimizers["denoiser"].param_groups:
            group["lr"] *= warm  # the run's own warm-up went by while the text encoder learned
        self._update("denoiser", loss, self.learned)
        self.memory["images"] += len(x0)
        averages.follow(self.average, self.both, averages.decay_of(s.half_life, self.memory["images"], len(x0)))
        return {"loss": float(loss.detach())}

    def _update(self, name: str, loss: Tensor, parameters: list[Any]) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    @torch.no_grad()
    def examine(self) -> Terms:
        """The mean squared error at fixed levels of fixed noise, of the average; the KID of samples now and then."""
        s, rng = self.settings, torch.Generator().manual_seed(0)
        texts = self.spoken(self.held_out.captions, rng, 0.0)
        found: list[Tensor] = []
        for level in LEVELS:
            noise = torch.randn(self.held_out.latents.shape, generator=rng)
            for start in range(0, len(texts), 32):
                self.check()
                some = slice(start, start + 32)
                x0 = self.held_out.latents[some].to(self.device)
                p = pair(x0, noise[some].to(self.device), torch.full((len(x0),), level, device=self.device), s)
                hidden = self.said(self.average.text, texts[some])
                said = self.kind.call(self.average.denoiser, p.x, p.timestep, hidden)
                found.append((said - p.target).square().flatten(1).mean(1))
        score = float(torch.cat(found).mean())
        examined = {"score": score, "denoising loss": score}
        denoising = self.memory["steps"] > s.naming
        if self.distance and denoising and s.kid_every and self.memory["examinations"] % s.kid_every == 0:
            made = self.generated([self.held_prompts[i % len(self.held_prompts)] for i in range(s.samples)])
            examined["KID"] = self.distance(made)["KID"]
        self.memory["examinations"] += int(denoising)
        return examined

    @torch.no_grad()
    def generated(self, prompts: Sequence[str], chunk: int = 16) -> Tensor:
        """[N, 3, H, W] in 0..1 of the average: picture i from seed i."""
        s, parts = self.settings, []
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            pipe = self.pipeline(self.average.denoiser, self.average.text)
            side = self.held_out.latents.shape[-1] * pipe.vae_scale_factor
            for start in range(0, len(prompts), chunk):
                some = list(prompts[start : start + chunk])
                seeds = [torch.Generator().manual_seed(start + i) for i in range(len(some))]
                made = pipe(
                    some,
                    height=side,
                    width=side,
                    num_inference_steps=s.sample_steps,
                    guidance_scale=s.guidance,
                    generator=seeds,
                    callback_on_step_end=self._checked,
                    output_type="pt",
                )
                parts.append(made.images.float().cpu())
        return torch.cat(parts).clamp(0, 1)

    def _checked(self, pipe: Any, step: int, timestep: Any, known: dict[str, Any]) -> dict[str, Any]:
        self.check()
        return known

    def pictures(self, count: int) -> Tensor:
        """[count, H, W, 3] of fixed captions and seeds."""
        return self.generated([self.prompts[i % len(self.prompts)] for i in range(count)]).movedim(1, -1)


def _adam(parameters: list[Any], rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
