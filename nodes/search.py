"""Search with a judge: best of N with early stopping, particles, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _host
from ._api import Node, inp, io, schema
from ._sockets import AIGC_CONDITIONING, AIGC_DISCRIMINATOR, AIGC_MODEL, AIGC_SCORES

if TYPE_CHECKING:
    from ..pipelines.search import Sampler

CONDITIONING = "The encoded prompt, made with the same model; of several prompts each is searched for."
LATENTS = "Their size: one row, or one for each prompt. A noise mask is kept."
JUDGE = "From Load Discriminator. Judges of pictures or sound see the work decoded, those of latents as it is."
SEED = "The number that fixes the noise: candidate i has the noise of seed + i, as row i of a batch."
STEPS = "How many times the denoiser runs for each candidate that is finished."
CFG = "How strongly to follow the prompt. 1 switches guidance off and halves the time."


def _asked() -> list[io.Input]:
    return [
        inp(AIGC_MODEL.Input, "model", tooltip="The model to sample with."),
        inp(AIGC_CONDITIONING.Input, "conditioning", tooltip=CONDITIONING),
        inp(io.Latent.Input, "latents", tooltip=LATENTS),
        inp(AIGC_DISCRIMINATOR.Input, "discriminator", tooltip=JUDGE),
        inp(io.Int.Input, "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip=SEED),
    ]


def _walk() -> list[io.Input]:
    return [
        inp(io.Int.Input, "steps", default=20, min=1, max=10000, tooltip=STEPS),
        inp(io.Float.Input, "cfg", default=3.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip=CFG),
    ]


def _scheduler() -> io.Input:
    from ..pipelines import schedulers

    return inp(
        io.Combo.Input,
        "scheduler",
        options=schedulers.names(),
        default=schedulers.DEFAULT,
        tooltip="The method that walks from noise to the result. The model's own one is always safe.",
    )


def _sampler(model: Any, conditioning: Any, seed: int, steps: int, cfg: float, scheduler: str) -> Sampler:
    from ..pipelines import search

    return search.Sampler(model, conditioning, _host.runtime(), seed, steps, cfg, scheduler, on_step=_host.reporter())


class BestOfN(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_BestOfN",
            display_name="Best of N",
            category="AIGC/sample",
            description="Samples several candidates, judges them on the way, drops the worse half each time, and keeps the best.",
            search_aliases=["best of n", "successive halving", "early stopping", "rerank", "select"],
            inputs=[
                *_asked(),
                inp(
                    io.Int.Input, "candidates", default=8, min=1, max=4096, tooltip="How many to begin with, a prompt."
                ),
                inp(
                    io.Int.Input, "keep", default=1, min=1, max=4096, tooltip="How many to keep, a prompt, best first."
                ),
                *_walk(),
                _scheduler(),
                inp(
                    io.String.Input,
                    "halvings",
                    default="auto",
                    tooltip="After which shares of the steps to judge and drop the worse half, such as 0.5, 0.75. off: all are "
                    "finished. auto: what was measured on the embedded model.",
                ),
                inp(
                    io.Combo.Input,
                    "judge_on",
                    options=list(menus.JUDGE_ON),
                    default="estimates",
                    tooltip="drafts: the same noise sampled in fewer steps. estimates: what each looks to become at that step; "
                    "nothing is sampled twice, but little can be told early.",
                ),
                inp(
                    io.Int.Input,
                    "at_once",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="How many are sampled at a time: fewer need less memory. 0: all.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "out_latents", display_name="latents", tooltip="The kept ones, best first, prompt by prompt."
                ),
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="Their scores and seeds."),
                io.String.Output("out_report", display_name="report", tooltip="Who was dropped when, and the scores."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        conditioning: Any,
        latents: dict[str, Any],
        discriminator: Any,
        seed: int,
        candidates: int,
        keep: int,
        steps: int,
        cfg: float,
        scheduler: str,
        halvings: str,
        judge_on: str,
        at_once: int,
    ) -> io.NodeOutput:
        from ..pipelines import search

        sampler = _sampler(model, conditioning, seed, steps, cfg, scheduler)
        plan = search.plan_of(halvings, judge_on)
        options = {"candidates": candidates, "keep": keep, "plan": plan, "at_once": at_once}
        found = search.best_of(sampler, latents, discriminator, **options)
        return io.NodeOutput(found.latents, found.scores, found.report)


class SteerParticles(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus, schedulers

        return schema(
            node_id="AIGC_SteerParticles",
            display_name="Steer Particles",
            category="AIGC/sample",
            description="Samples particles that draw noise at every step, and on the way copies those that the judge takes for "
            "better in the place of the others.",
            search_aliases=["feynman-kac", "fk steering", "smc", "sequential monte carlo", "resample"],
            inputs=[
                *_asked(),
                inp(io.Int.Input, "particles", default=4, min=1, max=1024, tooltip="How many a prompt."),
                *_walk(),
                inp(
                    io.Combo.Input,
                    "scheduler",
                    options=schedulers.names(),
                    default="dpmpp_2m_sde",
                    tooltip="It has to draw noise at its steps: ancestral or SDE. With others copies would stay the same.",
                ),
                inp(
                    io.Float.Input,
                    "strength",
                    default=2.0,
                    min=0.0,
                    max=1000.0,
                    step=0.1,
                    tooltip="How strongly the score counts, the paper's lambda: 0 never chooses, 1 is Bayes' rule for a judge "
                    "whose score is a logit.",
                ),
                inp(
                    io.Combo.Input,
                    "potential",
                    options=list(menus.POTENTIALS),
                    default="difference",
                    tooltip="What counts on the way: the rise of the score since the last judging, the highest score so far, or "
                    "the sum of all.",
                ),
                inp(
                    io.String.Input,
                    "resample_at",
                    default="0.2, 0.4, 0.6, 0.8",
                    tooltip="After which shares of the steps to judge and resample.",
                ),
                inp(
                    io.Float.Input,
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Resample when the effective number of particles falls below this share of them.",
                ),
            ],
            outputs=[
                io.Latent.Output("out_latents", display_name="latents", tooltip="The best particle of each prompt."),
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="Their scores."),
                io.Latent.Output("out_all_latents", display_name="all latents", tooltip="Every particle."),
                AIGC_SCORES.Output(
                    "out_all_scores", display_name="all scores", tooltip="The scores of every particle."
                ),
                io.String.Output(
                    "out_report",
                    display_name="report",
                    tooltip="At every judging the effective number of particles, and how many ancestors are left.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        conditioning: Any,
        latents: dict[str, Any],
        discriminator: Any,
        seed: int,
        particles: int,
        steps: int,
        cfg: float,
        scheduler: str,
        strength: float,
        potential: str,
        resample_at: str,
        threshold: float,
    ) -> io.NodeOutput:
        from ..pipelines import search

        sampler = _sampler(model, conditioning, seed, steps, cfg, scheduler)
        options = {"strength": strength, "potential": potential, "threshold": threshold}
        shares = search.shares_of(resample_at)
        found = search.steer_particles(sampler, latents, discriminator, particles=particles, shares=shares, **options)
        return io.NodeOutput(found.latents, found.scores, found.all_latents, found.all_scores, found.report)


class SearchNoise(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..pipelines import menus

        return schema(
            node_id="AIGC_SearchNoise",
            display_name="Search Noise",
            category="AIGC/sample",
            description="Looks for the noise whose result the judge takes for best: from scratch, or near the best so far.",
            search_aliases=["noise search", "zero order", "inference time scaling", "optimise seed"],
            inputs=[
                *_asked(),
                inp(
                    io.Combo.Input,
                    "method",
                    options=list(menus.METHODS),
                    default="zero-order",
                    tooltip="zero-order: neighbours of the best noise so far. random: new noise each time.",
                ),
                inp(io.Int.Input, "budget", default=16, min=1, max=4096, tooltip="How many whole runs a prompt."),
                inp(
                    io.Int.Input,
                    "each_round",
                    default=4,
                    min=1,
                    max=1024,
                    tooltip="How many runs before the next look at the best; they are sampled together.",
                ),
                inp(
                    io.Float.Input,
                    "radius",
                    default=0.3,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="How far neighbours lie from the best noise: the share that is new. 1 is all new.",
                ),
                *_walk(),
                _scheduler(),
            ],
            outputs=[
                io.Latent.Output("out_latents", display_name="latents", tooltip="The best of each prompt."),
                AIGC_SCORES.Output("out_scores", display_name="scores", tooltip="Their scores."),
                io.String.Output("out_report", display_name="report", tooltip="The best score after every round."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        conditioning: Any,
        latents: dict[str, Any],
        discriminator: Any,
        seed: int,
        method: str,
        budget: int,
        each_round: int,
        radius: float,
        steps: int,
        cfg: float,
        scheduler: str,
    ) -> io.NodeOutput:
        from ..pipelines import search

        sampler = _sampler(model, conditioning, seed, steps, cfg, scheduler)
        options = {"method": method, "budget": budget, "each": each_round, "radius": radius}
        found = search.search_noise(sampler, latents, discriminator, **options)
        return io.NodeOutput(found.latents, found.scores, found.report)
