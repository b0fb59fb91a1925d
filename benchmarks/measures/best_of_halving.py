"""Best of 8 on the shipped model with its judges: what halving keeps of score and gain, and at what share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from ..figures import Absent, Figure
from ..models import pictogram

# None of them was looked at when the shares were chosen: two things at once, or words and colours that are rare or unknown.
PROMPTS = (
    "a green bus and a star", "a blue tomato", "a red whale with a crown", "a lighthouse", "a pink robot and a bird",
    "a violet crab",
)  # fmt: skip
SEEDS = (100, 200)
STEPS = 20
CANDIDATES = 8
EARLY = "0.1, 0.15"  # two of eight go on from there; chosen on other prompts


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
    from pipelines.score import judges, scoring

    runtime, roots = Runtime("cpu"), Roots(embedded=(folder.parent,))
    model = open_model(str(folder), roots=roots, dtype="float32", offload="keep")
    shows, looks = (
        judges.open_discriminator(str(folder.parent / "judges" / f"{name}.safetensors"), roots=roots)
        for name in ("pictogram-agreement", "pictogram")
    )
    latents = stages.empty_latents(model)
    early, late = search.plan_of(EARLY), search.plan_of("auto")
    pairs: list[float] = []
    singles: dict[str, list[float]] = {"early": [], "late": []}
    best: dict[str, list[float]] = {n: [] for n in ("full", "early", "late full", "late", "best of 4", "steered")}
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
            sampler = search.Sampler(model, conditioning, runtime, seed, STEPS, 1.5)
            found = timed("full", lambda s=sampler: search.best_of(s, latents, shows, plan=search.OFF))
            singles["early"].append(_mean(found.all_scores.values))
            pairs.append(_mean([max(two) for two in combinations(found.all_scores.values, 2)]))
            timed("early", lambda s=sampler: search.best_of(s, latents, shows, plan=early))
            # The same eight, so that they are sampled once for both judges.
            values = scoring.score(looks, found.all_latents, prompts=[prompt] * CANDIDATES, runtime=runtime).values
            singles["late"].append(_mean(values))
            best["late full"].append(max(values))
            timed("late", lambda s=sampler: search.best_of(s, latents, looks, plan=late))
            noisy = replace(sampler, steps=STEPS // 2, scheduler="dpmpp_2m_sde")
            timed("best of 4", lambda s=noisy: search.best_of(s, latents, looks, candidates=4, plan=search.OFF))
            timed("steered", lambda s=noisy: search.steer_particles(s, latents, looks, particles=4))
    spent["late full"] = spent["full"]
    yield from _halved("agreement, early", singles["early"], best["full"], best["early"], early, bars=True)
    one, best_mean = _mean(singles["early"]), _mean(best["full"])
    yield Figure(
        "best of 2, agreement: gain kept", 100 * (_mean(pairs) - one) / (best_mean - one), "%",
        detail="what two of the eight keep that are taken blindly: halving has to beat this",
    )  # fmt: skip
    yield _time("agreement, early", spent["early"], spent["full"], bar=0.55)
    yield from _halved("realism, late", singles["late"], best["late full"], best["late"], late, bars=False)
    yield _time("realism, late", spent["late"], spent["late full"], bar=None)
    wins = sum(a > b for a, b in zip(best["steered"], best["best of 4"]))
    yield Figure(
        "4 particles steered: score over best of 4", _mean(best["steered"]) - _mean(best["best of 4"]), "logits",
        detail=f"dpmpp_2m_sde, {STEPS // 2} steps; better in {wins} of {len(best['steered'])}; CPU {spent['steered']:.0f} s "
        f"against {spent['best of 4']:.0f} s",
    )  # fmt: skip


def _halved(
    name: str, singles: Sequence[float], full: Sequence[float], halved: Sequence[float], plan: Any, bars: bool
) -> Iterator[Figure]:
    """The share of the mean score, where the scores are of one sign, and of the gain over a single candidate."""
    one, best, mean = _mean(singles), _mean(full), _mean(halved)
    same = sum(a == b for a, b in zip(halved, full))
    about = (
        f"one {one:.4f}, the best {best:.4f}, by halving {mean:.4f}; the very best in {same} of {len(full)} pairs of prompt and "
        f"seed; best of {CANDIDATES}, {STEPS} steps, judged after {', '.join(map(str, plan.shares))}"
    )
    if bars:
        yield Figure(
            f"best of 8, {name}: mean score kept", mean / best, bar=0.95, at_least=True,
            detail=f"a single candidate has {one / best:.3f} of it, so this bar tells little: see the gain; {about}",
        )  # fmt: skip
    yield Figure(f"best of 8, {name}: gain kept", 100 * (mean - one) / (best - one), "%", detail=about)


def _time(name: str, halved: float, full: float, bar: float | None) -> Figure:
    detail = f"CPU {halved:.0f} s against {full:.0f} s, paired, one thread"
    return Figure(f"best of 8, {name}: time", halved / full, bar=bar, detail=detail)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
