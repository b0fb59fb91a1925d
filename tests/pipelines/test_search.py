"""Searches: the kept are the best of what was tried, what is reported is what happened, and the bounds hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from pipelines import search, stages
from pipelines.errors import AigcError
from pipelines.payloads import Discriminator
from pipelines.score import closed_form, judges, scoring
from pipelines.search import noise, steer, stochastic
from pipelines.search.best_of import survivors

from .judges import judge_file, spec
from .test_particles import CPU, at_once, made


@pytest.fixture(autouse=True)
def nothing_loaded():
    yield
    stages.release_all()
    judges.release_all(CPU)


def setting(tiny_model, tmp_path, family="sd15", prompts=("a cat",), noise_aware=True, **options):
    sampler, batch, _ = made(tiny_model, family, prompts, 1, **options)
    latents = {k: v for k, v in batch.items() if k != "batch_index"} | {"samples": batch["samples"][:1]}
    channels = batch["samples"].shape[1]
    return sampler, latents, judge_file(tmp_path / "a.safetensors", channels=channels, noise_aware=noise_aware)


def estimates(*shares: float) -> search.Plan:
    return search.Plan(shares, 2, drafts=False)


def every(sampler, latents, judge, count: int):
    """What a plain batch of that many would be, and its scores."""
    batch = {**latents, "samples": latents["samples"].repeat(count, 1, 1, 1)}
    samples = at_once(sampler, batch)
    return samples, torch.tensor(scoring.score(judge, {"samples": samples}, runtime=CPU).values)


def test_without_halvings_it_is_sample_then_score_then_rank(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path, prompts=("a cat", "a dog"))
    samples, scores = every(sampler, latents, judge, 8)
    found = search.best_of(sampler, latents, judge, candidates=4, keep=2, plan=search.OFF)
    order = [sorted(part, key=lambda i: -float(scores[i])) for part in (range(4), range(4, 8))]
    best = [i for part in order for i in part[:2]]
    assert torch.equal(found.latents["samples"], samples[best])
    assert found.latents["batch_index"] == best and list(found.scores.seeds) == [3 + i for i in best]
    assert list(found.scores.values) == pytest.approx([float(scores[i]) for i in best], abs=1e-5)
    assert found.scores.prompts == ("a cat", "a cat", "a dog", "a dog")
    assert stages.decode_image(sampler.model, found.latents, runtime=CPU).shape[0] == 4


@pytest.mark.parametrize("noise_aware", (True, False))
def test_halving_drops_the_worse_half_and_finishes_the_rest_as_they_would_have_been(noise_aware, tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path, noise_aware=noise_aware)
    samples, _ = every(sampler, latents, judge, 8)
    found = search.best_of(sampler, latents, judge, candidates=8, keep=1, plan=estimates(0.4, 0.8))
    lines = found.report.splitlines()
    assert "after 2 of 5 steps" in lines[1] and "after 4 of 5 steps" in lines[2] and "finished" in lines[3]
    assert [line.partition("; out: ")[0].count("(") for line in lines[1:4]] == [4, 2, 1]
    assert lines[4].startswith("26 steps of a row in place of 40")  # 8 * 2 + 4 * 2 + 2 * 1
    assert len(found.all_scores.values) == 2 and len(found.latents["samples"]) == 1
    place = found.latents["batch_index"][0]
    whole = samples[place : place + 1]
    assert torch.allclose(found.latents["samples"], whole, atol=2e-5 * float(whole.std()), rtol=1e-4)


def test_a_few_at_a_time_finds_the_same(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path, prompts=("a cat", "a dog"))
    together = search.best_of(sampler, latents, judge, candidates=4, plan=estimates(0.4))
    apart = search.best_of(sampler, latents, judge, candidates=4, plan=estimates(0.4), at_once=3)
    assert together.latents["batch_index"] == apart.latents["batch_index"]
    a, b = together.latents["samples"], apart.latents["samples"]
    assert torch.allclose(a, b, atol=2e-5 * float(a.std()), rtol=1e-4)


def test_a_judge_of_pictures_sees_the_estimate_decoded(tiny_model, tmp_path):
    sampler, latents, _ = setting(tiny_model, tmp_path, "flux")
    sharp = Discriminator(closed_form.spec("sharpness"), "sharpness")
    found = search.best_of(sampler, latents, sharp, candidates=4, plan=estimates(0.6))
    picture = stages.decode_image(sampler.model, found.latents, runtime=CPU)
    assert found.scores.values == pytest.approx(scoring.score(sharp, picture, runtime=CPU).values, abs=1e-5)


def test_frames_of_a_video_count_with_their_mean(tiny_model, tmp_path):
    sampler, batch, _ = made(tiny_model, "wan", each=1)
    sharp = Discriminator(closed_form.spec("sharpness"), "sharpness")
    found = search.best_of(sampler, batch, sharp, candidates=2, plan=estimates(0.6))
    frames = stages.decode_image(sampler.model, found.latents, runtime=CPU)
    values = scoring.score(sharp, frames, runtime=CPU).values
    assert len(values) == 5 and found.scores.values[0] == pytest.approx(sum(values) / 5, rel=1e-4)


def test_progress_counts_all_the_work_once_and_an_interrupt_ends_it_within_a_step(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path)
    seen: list[tuple[int, int]] = []
    told = replace(sampler, on_step=lambda done, total, _: seen.append((done, total)))
    search.best_of(told, latents, judge, candidates=4, plan=estimates(0.4))
    assert seen == sorted(seen) and {total for _, total in seen} == {14} and seen[-1][0] == 14 and len(seen) == 5

    class Stop(Exception):
        pass

    def stop(done, *_):
        if done >= 10:
            raise Stop

    with pytest.raises(Stop):
        search.best_of(replace(sampler, on_step=stop), latents, judge, candidates=4, plan=estimates(0.4))
    again = search.best_of(sampler, latents, judge, candidates=4, plan=estimates(0.4))
    assert len(again.latents["samples"]) == 1


def test_drafts_are_the_same_noise_in_fewer_steps_and_the_chosen_are_sampled_whole(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path, prompts=("a cat", "a dog"))
    samples, _ = every(sampler, latents, judge, 8)
    _, drafts = every(replace(sampler, steps=2), latents, judge, 8)
    found = search.best_of(sampler, latents, judge, candidates=4, plan=search.Plan((0.4,), 4))
    best = [int(drafts[:4].argmax()), 4 + int(drafts[4:].argmax())]
    assert found.latents["batch_index"] == best
    assert torch.allclose(found.latents["samples"], samples[best], atol=2e-5 * float(samples.std()), rtol=1e-4)
    lines = found.report.splitlines()
    assert lines[1].startswith("a cat, drafts of 2 steps: seeds ") and lines[-1].startswith(
        "26 steps of a row in place of 40"
    )


def test_halvings_are_words_or_numbers():
    auto, off = search.plan_of("auto", "drafts"), search.plan_of(" off ")
    assert auto.drafts and auto.shares and not search.plan_of("").drafts and off.shares == ()
    assert search.plan_of("0.3, 0.6", "estimates") == estimates(0.3, 0.6)
    assert search.plan_of("0.5", "drafts") == search.Plan((0.5,), 2, True)


@pytest.mark.parametrize("text", ("0.6, 0.3", "1", "0", "soon", "0.3, 0.3"))
def test_other_halvings_are_refused(text):
    with pytest.raises(AigcError, match="auto, off, or rising shares"):
        search.plan_of(text)


@pytest.mark.parametrize(
    ("candidates", "keep", "plan", "rounds"),
    (
        (8, 1, estimates(0.3, 0.6), [(0.3, 4), (0.6, 2)]),
        (16, 4, search.Plan((0.4,), 8), [(0.4, 4)]),
        (5, 3, estimates(0.3, 0.6), [(0.3, 3)]),
        (3, 3, estimates(0.3), []),
        (8, 1, search.OFF, []),
    ),
)
def test_never_fewer_go_on_than_are_kept_and_nothing_is_judged_for_nothing(candidates, keep, plan, rounds):
    assert survivors(candidates, keep, plan) == rounds
    assert not plan.drafts or survivors(candidates, keep, plan, steps=1) == []


def test_what_a_search_cannot_use_is_said_before_the_first_step(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path)
    sampler = replace(sampler, on_step=lambda *_: pytest.fail("it ran"))
    with pytest.raises(AigcError, match="keep between 1 and all 4"):
        search.best_of(sampler, latents, judge, candidates=4, keep=5)
    with pytest.raises(AigcError, match="needs no reference"):
        search.best_of(sampler, latents, Discriminator(spec(needs_reference=True), "x"))
    with pytest.raises(AigcError, match="Expected 16 channels"):
        search.best_of(sampler, latents, judge_file(tmp_path / "b.safetensors", channels=16))
    with pytest.raises(AigcError, match=r"got 'model default', with which copies.*euler_ancestral"):
        search.steer_particles(sampler, latents, judge)
    with pytest.raises(AigcError, match="Expected a potential"):
        search.steer_particles(sampler, latents, judge, potential="x")
    with pytest.raises(AigcError, match="Expected a method of search"):
        search.search_noise(sampler, latents, judge, method="x")
    with pytest.raises(AigcError, match="radius above 0"):
        search.search_noise(sampler, latents, judge, radius=0)


def test_a_scheduler_without_an_exact_estimate_judges_finished_work_only(tiny_model, tmp_path):
    sampler, batch, _ = made(tiny_model, "stableaudio", each=1)
    loud = Discriminator(replace(closed_form.spec("sharpness"), modality="audio", space="wav@4"), "sharpness")
    with pytest.raises(AigcError, match="whose estimate part-way is known, got EDMDPMSolverMultistepScheduler"):
        search.best_of(sampler, batch, loud, candidates=2, plan=estimates(0.5))


@pytest.mark.parametrize("potential", search.POTENTIALS)
def test_with_strength_0_nothing_is_chosen_and_the_particles_are_those_of_a_batch(potential, tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path, scheduler="euler_ancestral")
    samples, scores = every(sampler, latents, judge, 4)
    found = search.steer_particles(
        sampler, latents, judge, particles=4, strength=0.0, potential=potential, shares=(0.4, 0.8)
    )
    assert torch.equal(found.all_latents["samples"], samples)
    assert found.latents["batch_index"] == [int(scores.argmax())]
    assert "4.0 effective, 4 different ancestors left" in found.report


def test_a_strong_judge_leaves_few_ancestors_whose_copies_part_again(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path, "sd3", prompts=("a cat", "a dog"), scheduler="dpmpp_2m_sde")
    options = {"particles": 4, "strength": 1e6, "shares": (0.4,)}
    found = search.steer_particles(sampler, latents, judge, **options)
    assert "1.0 effective, 1 different ancestors left" in found.report
    ends = found.all_latents["samples"]
    assert len(ends) == 8 and len({tuple(x.flatten().tolist()) for x in ends}) == 8
    assert torch.equal(search.steer_particles(sampler, latents, judge, **options).all_latents["samples"], ends)
    values = found.all_scores.values
    assert found.scores.values == (max(values[:4]), max(values[4:]))


@pytest.mark.parametrize("potential", search.POTENTIALS)
def test_the_potentials_of_a_path_multiply_to_what_the_end_is_worth(potential):
    rewards = torch.tensor([[0.5, -1.0], [0.2, 0.3], [1.5, -0.4]]).double()
    history = steer.History.new(potential, 3.0, 2)
    for reward in rewards[:2]:
        history.meet(reward)
    history.end(rewards[2])
    assert torch.allclose(history.spent, 3.0 * rewards[2]) and torch.allclose(history.log_weight, history.spent)


def test_drawing_by_weight_keeps_the_expected_numbers_and_the_effective_number_its_bounds():
    even, one = torch.zeros(8), torch.tensor([0.0] * 7 + [100.0])
    dice = torch.Generator().manual_seed(0)
    assert steer.effective(even) == pytest.approx(8) and steer.effective(one) == pytest.approx(1)
    assert steer.systematic(even, dice) == list(range(8)) and steer.systematic(one, dice) == [7] * 8
    weights = torch.tensor([1.0, 2.0, 5.0]).log()
    drawn = torch.tensor([steer.systematic(weights, dice) for _ in range(4000)])
    counts = torch.stack([(drawn == i).float().sum(1).mean() for i in range(3)])
    assert torch.allclose(counts, torch.tensor([3 / 8, 6 / 8, 15 / 8]), atol=0.03)


def test_which_schedulers_draw_noise(tiny_model):
    import diffusers

    for family in ("sd15", "flux"):
        own = diffusers.DiffusionPipeline.from_pretrained(tiny_model(family)).scheduler
        assert stochastic.draws(own, "dpmpp_2m_sde") and not stochastic.draws(own, "dpmpp_2m")
    assert not stochastic.draws(own, "flow_euler") and not stochastic.draws(own, "flow_heun")


def test_random_search_is_best_of_n_and_a_radius_of_1_as_well(tiny_model, tmp_path):
    sampler, latents, judge = setting(tiny_model, tmp_path)
    samples, scores = every(sampler, latents, judge, 5)
    for method in ("random", "zero-order"):
        found = search.search_noise(sampler, latents, judge, budget=5, each=2, method=method, radius=1.0)
        assert found.latents["batch_index"] == [int(scores.argmax())] and len(found.all_scores.values) == 5
        assert torch.allclose(found.all_latents["samples"], samples, atol=2e-5 * float(samples.std()), rtol=1e-4)
    assert found.report.splitlines()[-1].startswith("round 3 of 3")


def test_neighbours_lie_on_the_sphere_and_the_best_so_far_never_falls(tiny_model, tmp_path):
    fresh = torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    pivots = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(1))
    near = noise.Neighbours(pivots, [0, 0], 0.3)
    changed = fresh.clone()
    near(changed)
    assert near.began is not None and torch.equal(near.began, changed)
    assert float(changed.std()) == pytest.approx(1.0, abs=0.02)
    along = torch.stack([(row * pivots[0]).mean() for row in changed])
    assert torch.allclose(along, torch.full((2,), (1 - 0.09) ** 0.5), atol=0.03)

    sampler, latents, judge = setting(tiny_model, tmp_path, prompts=("a cat", "a dog"))
    found = search.search_noise(sampler, latents, judge, budget=6, each=2, radius=0.5)
    best = [[float(x) for x in line.split("so far ")[1].split(", ")] for line in found.report.splitlines()[1:]]
    assert all(b >= a for before, after in itertools.pairwise(best) for a, b in zip(before, after))
    assert list(found.scores.values) == pytest.approx(best[-1], rel=1e-3)
    again = search.search_noise(sampler, latents, judge, budget=6, each=2, radius=0.5)
    assert torch.equal(again.all_latents["samples"], found.all_latents["samples"])
