"""Judges: one protocol, exact properties; what cannot be judged is refused in words."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.payloads import Discriminator, JudgeSpec
from pipelines.runtime import Runtime
from pipelines.score import combined, judges, learned, scoring
from pipelines.score.net import NetConfig
from pipelines.score.statistics import auc, platt
from pipelines.sources import Roots

from .judges import judge_file, net, spec

CPU = Runtime("cpu")
LATENTS = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    judges.release_all(CPU)


@pytest.fixture
def judge(tmp_path: Path) -> Discriminator:
    return judge_file(tmp_path / "a.safetensors")


def scored(judge: Discriminator, x=LATENTS, **options):
    return scoring.score(judge, {"samples": x}, runtime=CPU, **options)


def test_auc_counts_the_pairs_that_are_in_order_and_ties_by_half():
    real, fake = torch.tensor([0.0, 1.0, 2.0, 2.0]), torch.tensor([0.0, 2.0, -1.0])
    pairs = [(1.0 if r > f else 0.5 if r == f else 0.0) for r in real for f in fake]
    assert auc(real, fake) == pytest.approx(sum(pairs) / len(pairs))
    assert auc(real, real) == 0.5 and auc(real + 10, fake) == 1.0


def test_platt_finds_the_odds_that_scores_were_drawn_by():
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(20000, generator=generator) + mean for mean in (1.0, -1.0))
    a, b = platt(real * 3 + 5, fake * 3 + 5)  # log odds of two normals 2 apart are 2 x
    assert a == pytest.approx(2 / 3, rel=0.03) and b == pytest.approx(-10 / 3, rel=0.05)


def test_a_batch_scores_as_its_singles_and_none_at_all_is_no_error(judge):
    whole = scored(judge)
    singles = [scored(judge, LATENTS[i : i + 1]).values[0] for i in range(5)]
    assert whole.values == pytest.approx(singles, abs=1e-5) and len(set(whole.values)) == 5
    none = scored(judge, LATENTS[:0])
    assert (none.values, none.probability, none.percentile, none.prompts) == ((), (), (), ())


def test_probability_and_percentile_follow_the_score(judge):
    scores = scored(judge)
    a, b = judge.calibration or (0, 0)
    assert scores.probability == pytest.approx([1 / (1 + math.exp(-(a * v + b))) for v in scores.values])
    shares = [100 * sum(r <= v for r in judge.real) / len(judge.real) for v in scores.values]
    assert scores.percentile == pytest.approx(shares)
    assert (scores.judge, scores.licence, scores.unit) == ("test", "Apache-2.0", "logit")


def test_the_heatmap_of_a_patch_judge_averages_to_its_score(judge):
    maps = scoring.heatmap(judge, {"samples": LATENTS}, runtime=CPU)
    assert maps.shape == (5, 4, 4)
    assert maps.flatten(1).mean(1).tolist() == pytest.approx(scored(judge).values, abs=1e-5)


def test_a_latent_is_judged_in_the_space_of_the_denoiser(tmp_path: Path):
    plain = judge_file(tmp_path / "a.safetensors")
    scaled = judge_file(tmp_path / "b.safetensors", scale=(2.0, 1.0, 0.5, 4.0), shift=0.25)
    z = LATENTS / torch.tensor([2.0, 1.0, 0.5, 4.0]).view(1, 4, 1, 1) + 0.25
    assert scored(scaled, z).values == pytest.approx(scored(plain).values, abs=1e-4)


def test_a_judge_is_the_same_after_it_was_written_and_read(judge, tmp_path: Path):
    again = tmp_path / "again.safetensors"
    weights = learned.open_file(judge).net.state_dict()
    learned.save(again, judge, learned.open_file(judge).net)
    copy = learned.read_header(again)[0]
    assert replace(copy, path=judge.path) == judge
    assert all(torch.equal(v, weights[k]) for k, v in learned.open_file(copy).net.state_dict().items())
    assert judge.spec.sigma_range == (0.0, 3.0) and judge.spec.auc[1] == (1.0, 0.75)
    assert not list(tmp_path.glob("*.part"))


def test_judges_are_found_by_name_or_path(judge, tmp_path: Path):
    roots = Roots(judges=(tmp_path,))
    assert "a" in judges.names(roots)
    assert judges.open_discriminator("a", roots=roots) == judge
    assert judges.open_discriminator(str(judge.path), roots=Roots()) == judge
    with pytest.raises(AigcError, match="choose one of sharpness"):
        judges.open_discriminator("b", roots=roots)


def test_a_file_that_is_no_judge_or_damaged_is_refused(judge, tmp_path: Path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    (tmp_path / "torn.safetensors").write_bytes(judge.path.read_bytes()[:200])
    for name, says in (("other", "another kind of file"), ("torn", "damaged")):
        with pytest.raises(AigcError, match=says):
            judges.open_discriminator(name, roots=Roots(judges=(tmp_path,)))


@pytest.mark.parametrize(
    ("given", "says"),
    (
        (torch.zeros(1, 8, 8, 3), "got pictures: encode them first"),
        ({"samples": torch.zeros(1, 16, 8, 8)}, "Expected 4 channels"),
        ({"samples": torch.zeros(1, 4, 1, 8)}, "at least 2 by 2"),
        ({"samples": torch.zeros(1, 4, 8)}, "got shape"),
    ),
)
def test_what_a_judge_does_not_take_is_refused(judge, given, says):
    with pytest.raises(AigcError, match=says):
        scoring.score(judge, given, runtime=CPU)


def test_a_size_that_is_not_whole_patches_is_cut(judge):
    odd = torch.nn.functional.pad(LATENTS, (0, 1, 0, 1))
    assert scored(judge, odd).values == pytest.approx(scored(judge).values)


def test_prompts_and_references_are_one_for_all_or_one_each(judge):
    wanting = Discriminator(JudgeSpec("needs", needs_prompt=True), "x")
    with pytest.raises(AigcError, match="fill in prompt"):
        scoring.score(wanting, torch.zeros(2, 8, 8, 3), runtime=CPU)
    with pytest.raises(AigcError, match="one prompt or one a picture"):
        scored(judge, prompts=("a", "b"))
    assert scored(judge, prompts=("a",)).prompts == ("a",) * 5
    comparing = Discriminator(JudgeSpec("compares", needs_reference=True), "x")
    with pytest.raises(AigcError, match="Expected a reference"):
        scoring.score(comparing, torch.zeros(2, 8, 8, 3), runtime=CPU)


def test_judges_combine_as_weighted_log_odds(judge, tmp_path: Path):
    other = judge_file(tmp_path / "b.safetensors", seed=7)
    both = combined.combine([(judge, 1.0), (other, 0.5)], prior=-0.3)
    odds = [[0.5 * v + 0.1 for v in scored(part).values] for part in (judge, other)]
    expected = [-0.3 + a + 0.5 * b for a, b in zip(*odds)]
    assert scored(both).values == pytest.approx(expected, abs=1e-5)
    assert scored(both).probability == pytest.approx([1 / (1 + math.exp(-v)) for v in expected], abs=1e-6)
    maps = scoring.heatmap(both, {"samples": LATENTS}, runtime=CPU)
    assert maps.flatten(1).mean(1).tolist() == pytest.approx(expected, abs=1e-4)
    alone = combined.combine([(judge, 0.0)], prior=1.25)
    assert scored(alone).values == pytest.approx([1.25] * 5)


def test_judges_that_cannot_be_added_are_not_combined(judge, tmp_path: Path):
    with pytest.raises(AigcError, match="Calibrate"):
        combined.combine([(Discriminator(spec(), "learned"), 1.0)])
    elsewhere = judge_file(tmp_path / "b.safetensors", space="latent:other")
    with pytest.raises(AigcError, match="one space"):
        combined.combine([(judge, 1.0), (elsewhere, 1.0)])
    with pytest.raises(AigcError, match="at least one"):
        combined.combine([])


def test_the_interrupt_acts_between_chunks(judge):
    class Stop(BaseException):
        pass

    class Stopping(Runtime):
        asked = 0

        def check_interrupt(self) -> None:
            self.asked += 1
            if self.asked > 1:
                raise Stop

    runtime = Stopping("cpu")
    with pytest.raises(Stop):
        scoring.score(judge, {"samples": LATENTS.repeat(30, 1, 1, 1)}, runtime=runtime)
    assert runtime.asked == 2


@pytest.mark.parametrize("config", (NetConfig(4, 1, (8,), 1, True), NetConfig(3, 4, (8, 8, 8), 2, False)))
def test_a_flat_input_is_judged_alike_everywhere_inside(config):
    """Patches are translation-equivariant away from the border: the heatmap shows where, not the place in the frame."""
    made = net(config)
    side = made.stride * 24
    maps = made.patches(torch.full((1, config.channels, side, side), 0.3), torch.zeros(1))[0]
    inside = maps[10:-10, 10:-10]
    assert float(inside.max() - inside.min()) < 1e-4 * max(1.0, float(inside.abs().max()))
