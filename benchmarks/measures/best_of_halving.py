"""Best of 8 on the shipped model with its judge: what halving keeps of the gain, and at what share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..figures import Absent, Figure
from ..models import pictogram

# None of them was looked at when the shares were chosen.
PROMPTS = ("yellow dolphin", "purple bus", "green crab", "blue tomato", "pink robot", "a bird")
SEEDS = (100, 200)
STEPS = 30
CANDIDATES = 8


def measure() -> Iterator[Figure]:
    folder = pictogram()
    if folder is None:
        raise Absent("models/pictogram has no weights here")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _measured(folder)
    finally:
        torch.set_num_threads(threads)


def _measured(folder: Any) -> Iterator[Figure]:
    from pipelines import search, stages
    from pipelines.loading import Roots, open_model
    from pipelines.runtime import Runtime
    from pipelines.score import judges

    runtime = Runtime("cpu")
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    judge = judges.open_discriminator(str(folder.parent / "judges" / "pictogram.safetensors"), roots=Roots())
    latents = stages.empty_latents(model)
    plans = {"full": search.OFF, "estimates": search.plan_of("auto"), "drafts": search.plan_of("auto", "drafts")}
    singles: list[float] = []
    best: dict[str, list[float]] = {name: [] for name in (*plans, "best of 4", "steered")}
    spent = dict.fromkeys(best, 0.0)

    def timed(name: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = call()
        spent[name] += time.process_time() - began
        best[name].append(found.scores.values[0])
        return found

    for prompt in PROMPTS:
        conditioning = stages.encode_prompt(model, [prompt], [""], guided=True, runtime=runtime)
        for seed in SEEDS:
            sampler = search.Sampler(model, conditioning, runtime, seed, STEPS, 3.0)
            for name, plan in plans.items():
                found = timed(
                    name, lambda plan=plan, sampler=sampler: search.best_of(sampler, latents, judge, plan=plan)
                )
                if name == "full":
                    singles.append(_mean(found.all_scores.values))
            noisy = replace(sampler, steps=STEPS // 2, scheduler="dpmpp_2m_sde")
            timed("best of 4", lambda s=noisy: search.best_of(s, latents, judge, candidates=4, plan=search.OFF))
            timed("steered", lambda s=noisy: search.steer_particles(s, latents, judge, particles=4))
    yield from _figures(singles, best, spent)


def _figures(singles: Sequence[float], best: dict[str, list[float]], spent: dict[str, float]) -> Iterator[Figure]:
    one, full = _mean(singles), _mean(best["full"])
    about = f"{len(singles)} pairs of prompt and seed, best of {CANDIDATES}, {STEPS} steps, one thread"
    raw = f"mean score of one {one:.3f}, of the best {full:.3f}"
    for name, bars in (("estimates", (95.0, 0.55)), ("drafts", (None, None))):
        mean = _mean(best[name])
        same = sum(a == b for a, b in zip(best[name], best["full"]))
        kept = 100 * (mean - one) / (full - one)
        yield Figure(
            f"best of 8 by {name}: gain kept", kept, "%", bar=bars[0], at_least=True,
            detail=f"{raw}, by {name} {mean:.3f}; the very best in {same} of {len(singles)}; {about}",
        )  # fmt: skip
        yield Figure(
            f"best of 8 by {name}: time", spent[name] / spent["full"], bar=bars[1],
            detail=f"CPU {spent[name]:.0f} s against {spent['full']:.0f} s, paired",
        )  # fmt: skip
    wins = sum(a > b for a, b in zip(best["steered"], best["best of 4"]))
    yield Figure(
        "4 particles steered: score over best of 4", _mean(best["steered"]) - _mean(best["best of 4"]), "logits",
        detail=f"dpmpp_2m_sde, {STEPS // 2} steps; better in {wins} of {len(singles)}; CPU {spent['steered']:.0f} s "
        f"against {spent['best of 4']:.0f} s",
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
