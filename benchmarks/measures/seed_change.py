"""What a change of seed costs: loads and encodings beyond those of the first run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.pipelines import tiny

from ..child import CFG, NEGATIVE, PROMPT
from ..figures import Figure
from ..models import built


def measure() -> Iterator[Figure]:
    from pipelines import loading, stages
    from pipelines.loading import Roots, open_model

    loads: Counter[str] = Counter()
    original = loading.load_part

    def counted(model, name, **options):
        part = original(model, name, **options)
        if hasattr(part, "parameters"):
            loads[name] += 1
        return part

    loading.load_part = counted
    try:
        with built(lambda: tiny.pipeline("sd15")) as folder:
            model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
            cond = stages.encode_prompt(model, [PROMPT], [NEGATIVE])
            for seed in range(5):
                empty = stages.empty_latents(model, width=32, height=32)
                made = stages.sample(model, cond, empty, seed=seed, steps=2, cfg=CFG)
                stages.decode_image(model, made)
            stages.release_all()
    finally:
        loading.load_part = original
    yield Figure(
        "loads of a part over 5 seeds", max(loads.values()), bar=1,
        detail=", ".join(f"{name} {count}" for name, count in sorted(loads.items())),
    )  # fmt: skip
