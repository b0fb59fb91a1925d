"""The judge of prompt agreement: least squares, the model's own text encoder, and the shipped one on real latents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from pipelines.errors import AigcError
from pipelines.loading import Roots
from pipelines.runtime import Runtime
from pipelines.score import agreement, judges, scoring

ROOT = Path(__file__).resolve().parents[2]
CPU = Runtime("cpu")
ROOTS = Roots(embedded=(ROOT / "models",), judges=(ROOT / "models" / "judges",))


@pytest.fixture(scope="module")
def shipped():
    yield judges.open_discriminator("pictogram-agreement", roots=ROOTS)
    judges.release_all(CPU)


@pytest.fixture(scope="module")
def real() -> tuple[torch.Tensor, list[str]]:
    """LATENTs and prompts of real pictures."""
    with safe_open(str(ROOT / "benchmarks/data/pictogram_held_out.safetensors"), "pt") as file:
        return file.get_tensor("latents")[:64].float() / 1.8, json.loads(file.metadata()["prompts"])[:64]


def test_the_map_is_that_of_least_squares_and_the_ridge_shrinks_it():
    x, y = torch.randn(2, 40, 6, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.lstsq(torch.cat([x, torch.ones(40, 1)], 1).double(), F.normalize(y, dim=1).double()).solution
    assert torch.allclose(agreement.fitted(x, y, 1e-9), exact.float(), atol=1e-5)
    assert agreement.fitted(x, y, 1e3).norm() < 0.1 * exact.norm()


def test_a_picture_agrees_with_its_own_words_and_not_with_anothers(shipped, real):
    latents, prompts = real
    own, others = (
        torch.tensor(scoring.score(shipped, {"samples": latents}, prompts=words, runtime=CPU).values)
        for words in (prompts, [*prompts[20:], *prompts[:20]])
    )
    assert own.min() > 0.5 and others.max() < 0.5 and float(own.mean() - others.mean()) > 0.7


def test_a_batch_equals_its_singles_and_the_words_of_both_languages_count(shipped, real):
    latents = real[0][:3]
    words = [real[1][0], "红色的苹果", "a red apple"]
    together = scoring.score(shipped, {"samples": latents}, prompts=words, runtime=CPU).values
    alone = [
        scoring.score(shipped, {"samples": latents[i : i + 1]}, prompts=[words[i]], runtime=CPU).values[0]
        for i in range(3)
    ]
    assert together == pytest.approx(alone, abs=1e-6)
    judge = agreement.open_file(shipped)
    english, chinese = F.normalize(judge.texts(["a red apple", "红色的苹果"]) - judge.map.middle, dim=1)
    assert float(english @ chinese) > 0.8


def test_it_is_calibrated_has_a_heatmap_and_says_what_it_needs(shipped, real, tmp_path: Path):
    latents, prompts = real
    scores = scoring.score(shipped, {"samples": latents[:2]}, prompts=prompts[:2], runtime=CPU)
    assert scores.probability is not None and min(scores.probability) > 0.9
    assert scoring.heatmap(shipped, {"samples": latents[:2]}, prompts=prompts[:2], runtime=CPU).shape == (2, 8, 8)
    with pytest.raises(AigcError, match="Expected a prompt"):
        scoring.score(shipped, {"samples": latents[:2]}, runtime=CPU)
    with pytest.raises(AigcError, match="Expected latents of 2560 values"):
        scoring.score(shipped, {"samples": torch.zeros(1, 4, 8, 8)}, prompts=["cat"], runtime=CPU)
    with pytest.raises(AigcError, match="put it into ComfyUI's models/diffusers"):
        judges.open_discriminator("pictogram-agreement", roots=Roots(judges=ROOTS.judges, embedded=(tmp_path,)))


def test_what_is_saved_is_what_is_read(shipped, tmp_path: Path):
    judge = agreement.open_file(shipped)
    agreement.save(tmp_path / "again.safetensors", shipped, judge.map.weight, judge.map.middle, "pictogram")
    again = judges.open_discriminator("again", roots=Roots(embedded=ROOTS.embedded, judges=(tmp_path,)))
    assert again.spec == shipped.spec and again.calibration == shipped.calibration
    assert torch.equal(agreement.open_file(again).map.weight, judge.map.weight)
