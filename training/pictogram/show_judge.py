"""Draw what judges do on one page: sorted, marked, repaired, and guided.

python -m training.pictogram.show_judge --out docs/judge.jpg

Rows 1 to 3: pictures made in three steps at guidance 3, sorted by prompt agreement; where the judge of realism finds fault; only
that drawn anew. Rows 4 and 5: held-out prompts, the same seeds without and with guidance, scored by a judge that the sampler never
followed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors import safe_open

from pipelines import stages
from pipelines.loading import Roots, open_model
from pipelines.payloads import Guide
from pipelines.runtime import Runtime
from pipelines.score import heat, judges, scoring

HURRIED = ("red apple", "purple tiger", "snowman", "green octopus", "guitar", "blue honey pot", "rocket", "camera")
HURRY, STEPS, GUIDED_STEPS = 3, 20, 15
HURRIED_CFG, CFG = 3.0, 1.5
SHARE, DENOISE, WEIGHT = 0.6, 0.8, 4.0
PROMPTS = 32
TILE, GAP, TITLE, LABEL = 128, 8, 26, 18
COLUMNS = len(HURRIED)


@dataclass(frozen=True)
class Row:
    """title: above the row, or "". pictures: uint8 [N, 128, 128, 3]. values: one below each, or none."""

    title: str
    pictures: np.ndarray
    values: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return (TITLE if self.title else GAP) + TILE + (LABEL if self.values else GAP)


class Studio:
    """The model and the judges, open."""

    def __init__(self, model: Path) -> None:
        self.runtime, self.roots = Runtime("cpu"), Roots(judges=(model.parent / "judges",), embedded=(model.parent,))
        self.model = open_model(str(model), roots=Roots(), dtype="float32", offload="keep")

    def judge(self, name: str) -> Any:
        return judges.open_discriminator(name, roots=self.roots)

    def draw(
        self, prompts: Sequence[str], *, steps: int, seed: int, cfg: float = CFG, latents: Any = None, **options: Any
    ) -> Any:
        encoded = stages.encode_prompt(
            self.model, list(prompts), [""] * len(prompts), guided=True, runtime=self.runtime
        )
        latents = latents or stages.empty_latents(self.model, width=0, height=0, batch_size=len(prompts))
        numbers = {"steps": steps, "seed": seed, "cfg": cfg, "runtime": self.runtime}
        return stages.sample(self.model, encoded, latents, **numbers, **options)

    def shown(self, latents: Any) -> np.ndarray:
        return as_bytes(stages.decode_image(self.model, latents, runtime=self.runtime))

    def scores(self, name: str, latents: Any, prompts: Sequence[str] = ()) -> np.ndarray:
        return np.array(scoring.score(self.judge(name), latents, prompts=prompts, runtime=self.runtime).values)


def as_bytes(image: torch.Tensor) -> np.ndarray:
    return (image * 255).round().byte().numpy()


def repaired(studio: Studio) -> list[Row]:
    """Sorted by one judge, marked by another, and drawn anew there."""
    made = studio.draw(HURRIED, steps=HURRY, cfg=HURRIED_CFG, seed=3)
    image = stages.decode_image(studio.model, made, runtime=studio.runtime)
    coarse = scoring.heatmap(studio.judge("pictogram"), made, runtime=studio.runtime)
    marked, mask = heat.shown(coarse, image, SHARE)
    anew = studio.draw(HURRIED, steps=STEPS, seed=11, latents={**made, "noise_mask": mask}, denoise=DENOISE)
    before, after = (studio.scores("pictogram-agreement", x, HURRIED) for x in (made, anew))
    order = np.argsort(-before)
    return [
        Row("Made in three steps at guidance 3, sorted by a judge: how much each shows its prompt", as_bytes(image)[order],
            tuple(f"{value:.2f}" for value in before[order])),
        Row("Where another judge finds them fake", as_bytes(marked)[order]),
        Row("Only that drawn anew, and scored again", studio.shown(anew)[order],
            tuple(f"{value:.2f}" for value in after[order])),
    ]  # fmt: skip


def guided(studio: Studio, prompts: Sequence[str]) -> list[Row]:
    """The first of these prompts without and with guidance, scored by a second judge; the mean is of all of them."""
    plain = studio.draw(prompts, steps=GUIDED_STEPS, seed=1000)
    followed = Guide(studio.judge("pictogram"), WEIGHT)
    steered = studio.draw(prompts, steps=GUIDED_STEPS, seed=1000, guide=followed)
    titles = (
        f"Without guidance, the first {COLUMNS} of {len(prompts)} prompts; scored by a judge that the sampler never saw",
        f"The same seeds with guidance at weight {WEIGHT:g}",
    )
    rows = []
    for title, latents in zip(titles, (plain, steered)):
        values = studio.scores("pictogram-second", latents)
        whole = f"{title}; mean of all {len(prompts)}: {values.mean():.2f}"
        rows.append(Row(whole, studio.shown(latents)[:COLUMNS], tuple(f"{value:.1f}" for value in values[:COLUMNS])))
    return rows


def held_out(data: Path) -> list[str]:
    """Prompts of concepts that the judges never saw, drawn by seed 1."""
    with safe_open(str(data), "pt") as file:
        prompts = json.loads(file.metadata()["prompts"])
    chosen = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(1))[:PROMPTS].tolist()
    return [prompts[i] for i in chosen]


def page(rows: Sequence[Row]) -> Image.Image:
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, sum(row.height for row in rows) + GAP), "white")
    pen, y = ImageDraw.Draw(sheet), 0
    for row in rows:
        pen.text((GAP, y + GAP), row.title, fill="#222222", font_size=15)
        top = y + row.height - TILE - (LABEL if row.values else GAP)
        for i, picture in enumerate(row.pictures):
            x = GAP + i * (TILE + GAP)
            sheet.paste(Image.fromarray(picture), (x, top))
            if row.values:
                pen.text((x + TILE // 2, top + TILE + 2), row.values[i], fill="#555555", anchor="ma", font_size=12)
        y += row.height
    return sheet


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/pictogram"))
    parser.add_argument("--data", type=Path, default=Path("benchmarks/data/pictogram_held_out.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("docs/judge.jpg"))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    studio = Studio(args.model.resolve())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    page([*repaired(studio), *guided(studio, held_out(args.data))]).save(args.out, quality=88)


if __name__ == "__main__":
    main()
