"""The judges of the embedded model: what a fresh critic can tell, what the shipped one can, what its guidance does by another."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from ..figures import ROOT, Absent, Figure
from ..models import pictogram

DATA = ROOT / "benchmarks" / "data" / "pictogram_held_out.safetensors"
SEEDS, PROMPTS, STEPS, CFG, WEIGHT = 5, 96, 15, 1.5, 4.0


def measure() -> Iterator[Figure]:
    folder = pictogram()
    if folder is None or not DATA.is_file():
        raise Absent("models/pictogram or the held-out latents are not here")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _figures(folder)
    finally:
        torch.set_num_threads(threads)


def _figures(folder: Any) -> Iterator[Figure]:
    import torch

    from pipelines.loading import Roots
    from pipelines.payloads import Guide
    from pipelines.runtime import Runtime
    from pipelines.score import features, judges, scoring, sets
    from pipelines.score.statistics import auc
    from training.pictogram.generated import strayed, straying

    real, prompts = held_out()
    runtime, roots = Runtime("cpu"), Roots(judges=(ROOT / "models" / "judges",))
    shipped, second = (judges.open_discriminator(name, roots=roots) for name in ("pictogram", "pictogram-second"))

    def scores(judge: Any, latents: Any) -> torch.Tensor:
        return torch.tensor(scoring.score(judge, {"samples": latents}, runtime=runtime).values)

    def far(latents: Any) -> float:
        with features.opened("", second, roots=roots, runtime=runtime) as net:
            return sets.compare({"samples": real}, {"samples": latents}, net, runtime=runtime).kid

    areas, messes, better, closer, shown = [], [], 0, 0, []
    for seed in range(SEEDS):
        chosen = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed))[:PROMPTS].tolist()
        plain, guided = (
            _made(folder, [prompts[i] for i in chosen], 1000 * seed, guide) for guide in (None, Guide(shipped, WEIGHT))
        )
        areas.append(auc(scores(shipped, real), scores(shipped, plain)))
        dice = random.Random(seed)
        stray = straying(dice)
        mess = _made(
            folder,
            [strayed(prompts[i], dice) for i in chosen],
            1000 * seed,
            None,
            steps=stray["steps"],
            cfg=stray["guidance"],
        )
        messes.append(auc(scores(shipped, real), scores(shipped, mess)))
        rise = float((scores(second, guided) - scores(second, plain)).mean())
        pair = far(plain), far(guided)
        better, closer = better + (rise > 0), closer + (pair[1] < pair[0])
        shown.append((rise, pair))
    about = f"{len(real)} real latents and {SEEDS * PROMPTS} generated ones of concepts that it never saw"
    critic = dict(second.spec.auc)[0.0]
    yield Figure(
        "pictogram: AUC of a critic trained against it", critic, "", bar=0.75,
        detail="pictogram-second, on concepts it never saw; 0.5 is fooled; its training: training/pictogram/README.md",
    )  # fmt: skip
    yield Figure(
        "judge: AUC at noise 0, real or generated", sum(areas) / SEEDS, "", bar=0.9, at_least=True,
        detail=f"the model's own bar, a critic's AUC of 0.75 at most, asks for the contrary; {about}",
    )  # fmt: skip
    yield Figure(
        "judge: AUC at noise 0, real or strayed", sum(messes) / SEEDS, "",
        detail="one in five asked in known words; 3 to 20 steps, guidance from 1 to 8; " + about,
    )  # fmt: skip
    yield Figure(
        "judge guides: seeds better by a second judge", better, f"of {SEEDS}", bar=4, at_least=True,
        detail="its mean score rises by " + ", ".join(f"{rise:.2f}" for rise, _ in shown),
    )  # fmt: skip
    yield Figure(
        "judge guides: seeds nearer to real by KID", closer, f"of {SEEDS}", bar=4, at_least=True,
        detail="; ".join(f"{a:.3f} to {b:.3f}" for _, (a, b) in shown) + f"; weight {WEIGHT:g}",
    )  # fmt: skip


def held_out() -> tuple[Any, list[str]]:
    """LATENTs [N, 40, 8, 8] of real pictures that the judge never saw, and a prompt for each."""
    from safetensors import safe_open

    with safe_open(str(DATA), "pt") as file:
        scaling = json.loads((ROOT / "models/pictogram/vae/config.json").read_text("utf-8"))["scaling_factor"]
        return file.get_tensor("latents").float() / scaling, json.loads(file.metadata()["prompts"])


def _made(folder: Any, prompts: list[str], seed: int, guide: Any, *, steps: int = STEPS, cfg: float = CFG) -> Any:
    """One LATENT a prompt, seeds from `seed` on."""
    from pipelines import stages
    from pipelines.loading import Roots, open_model
    from pipelines.runtime import Runtime

    runtime = Runtime("cpu")
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    conditioning = stages.encode_prompt(model, prompts, [""] * len(prompts), guided=True, runtime=runtime)
    empty = stages.empty_latents(model, batch_size=len(prompts))
    options = {"seed": seed, "steps": steps, "cfg": cfg, "guide": guide, "runtime": runtime}
    return stages.sample(model, conditioning, empty, **options)["samples"]
