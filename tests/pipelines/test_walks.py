"""Walks: their ends are the prompts and seeds themselves, loops close, and pieces are the whole."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pipelines import stages, walks
from pipelines.errors import AigcError
from pipelines.payloads import Conditioning, Recorded
from pipelines.runtime import Runtime

from . import staged

CPU = Runtime("cpu")
FAMILIES = ("sd15", "sdxl", "sd3", "flux", "zimage", "stableaudio")
PAIR = ["a cat", "a dog"]


@pytest.mark.parametrize(("keys", "frames"), ((2, 2), (2, 9), (3, 7), (3, 8), (5, 48)))
@pytest.mark.parametrize("middle", (1.0, 2.5))
def test_a_way_begins_and_ends_on_its_keys_and_is_the_same_backwards(keys, frames, middle):
    found = walks.way(keys, frames=frames, loop=False, middle=middle)
    at = [a + share for a, share in zip(found.starts, found.shares)]
    assert at[0] == 0 and at[-1] == keys - 1 and found.shares[-1] == 0 and len(found) == frames
    assert at == sorted(at) and all(
        b == a + 1 or not share for a, b, share in zip(found.starts, found.ends, found.shares)
    )
    assert all(x + y == pytest.approx(keys - 1) for x, y in zip(at, reversed(at)))


@pytest.mark.parametrize(("keys", "frames"), ((2, 4), (3, 36), (3, 10)))
def test_a_loops_next_frame_would_be_its_first(keys, frames):
    found = walks.way(keys, frames=frames, loop=True)
    at = [a + share for a, share in zip(found.starts, found.shares)]
    steps = [b - a for a, b in zip(at, [*at[1:], float(keys)])]
    assert all(step == pytest.approx(keys / frames) for step in steps), "also across the seam"
    assert found.ends[-1] == 0


def test_a_slow_middle_has_its_speed_and_the_same_ends():
    even, slow = (walks.way(2, frames=101, loop=False, middle=middle).shares for middle in (1, 2))
    assert slow[50] == 0.5 and slow[0] == 0
    assert slow[51] - slow[50] == pytest.approx((even[51] - even[50]) / 2, rel=0.05)
    with pytest.raises(AigcError, match="between 1 and 10"):
        walks.way(2, frames=5, loop=False, middle=0)
    with pytest.raises(AigcError, match="two frames"):
        walks.way(2, frames=1, loop=False)


def test_a_sphere_keeps_the_length_of_noise_and_its_ends():
    a, b = torch.randn(2, 4096, generator=torch.Generator().manual_seed(0))
    middle = walks.slerp(a, b, 0.5)
    assert float(middle.norm()) == pytest.approx(float((a.norm() + b.norm()) / 2), rel=1e-5)
    assert walks.slerp(a, b, 0) is a and walks.slerp(a, b, 1) is b
    assert torch.allclose(walks.slerp(a, 2 * a, 0.5), 1.5 * a), "parallel ones go straight"
    assert torch.equal(walks.slerp(0 * a, 0 * a, 0.5), 0 * a)
    rows = walks.slerp(torch.stack([a, b]), torch.stack([b, a]), 0.25)
    assert torch.allclose(rows[0], walks.slerp(a, b, 0.25), atol=1e-6), "each row by itself"


def walked(model, family: str, prompts: list[str], **more):
    settings = {"frames": 3, "loop": False, **more}
    return stages.walk_prompts(staged.conditioning(model, family, prompts), **settings)


def run(model, family: str, cond, latents, **more) -> dict:
    settings = {"seed": 5, "steps": staged.STEPS, "cfg": staged.CASES[family]["cfg"], "runtime": CPU, **more}
    return stages.sample(model, cond, latents, **settings)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=2e-5 * max(1.0, float(b.std())), rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ends_of_a_walk_between_prompts_are_the_prompts_and_its_middle_is_neither(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    both = staged.conditioning(model, family, PAIR)
    before = torch.cat([latents["samples"]] * 2)
    plain = run(model, family, both, {**latents, "samples": before, "batch_index": [0, 0]})["samples"]
    cond = stages.walk_prompts(both, frames=3, loop=False, at_once=2)
    out = run(model, family, cond, latents)
    assert out["samples"].shape[0] == 3
    assert close(out["samples"][:1], plain[:1]) and close(out["samples"][2:], plain[1:])
    for end in (plain[:1], plain[1:]):
        assert float((out["samples"][1:2] - end).abs().max()) > 1e-3
    assert cond.prompts == ("a cat", "a cat > a dog 50%", "a dog") and len(both.prompts) == 2


@pytest.mark.parametrize("family", ("sd15", "flux"))
def test_pieces_of_a_walk_are_the_whole_and_progress_is_one(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    seen: list[tuple[int, int]] = []
    whole = run(model, family, walked(model, family, PAIR, frames=5, loop=True), latents)
    pieces = run(
        model, family, walked(model, family, PAIR, frames=5, loop=True, at_once=2), latents,
        on_step=lambda done, total, _: seen.append((done, total)),
    )  # fmt: skip
    assert close(pieces["samples"], whole["samples"]) and len(pieces["samples"]) == 5
    assert seen == [(i + 1, 3 * staged.STEPS) for i in range(3 * staged.STEPS)]
    assert close(staged.decoded(model, family, pieces), staged.decoded(model, family, whole))
    assert torch.equal(
        whole["samples"], run(model, family, walked(model, family, PAIR, frames=5, loop=True), latents)["samples"]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_ends_of_a_walk_between_noises_are_the_seeds_and_its_middle_is_noise(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    cond = staged.conditioning(model, family, ["a cat"])
    batch = {**latents, "samples": torch.cat([latents["samples"]] * 3)}
    plain = run(model, family, cond, batch)["samples"]
    given = stages.walk_latents(model, latents, [0, 2], frames=3, loop=False, runtime=CPU)
    out = run(model, family, cond, given)["samples"]
    assert close(out[:1], plain[:1]) and close(out[2:], plain[2:])
    assert float((out[1:2] - plain[:1]).abs().max()) > 1e-3
    still = stages.walk_latents(model, latents, [1], frames=2, loop=False, at_once=1, runtime=CPU)
    same = run(model, family, cond, still)["samples"]
    assert torch.equal(same[:1], same[1:]) and close(same[:1], plain[1:2])


def test_prompts_and_noises_walk_together_and_a_second_pass_keeps_the_walk(tiny_model):
    model, latents = staged.opened(tiny_model("sd15"), "sd15")
    cond = walked(model, "sd15", PAIR, frames=4, loop=True)
    noise = stages.walk_latents(model, latents, [0, 1], frames=4, loop=True, at_once=3, runtime=CPU)
    first = run(model, "sd15", cond, noise)
    again = run(model, "sd15", cond, first, denoise=0.5, seed=9)
    assert len(again["samples"]) == 4
    one = {"samples": first["samples"][2:3], "batch_index": [1]}
    alone = run(model, "sd15", staged.conditioning(model, "sd15", ["a dog"]), one, denoise=0.5, seed=9)
    assert close(again["samples"][2:3], alone["samples"]), "the second key's own frame"
    with pytest.raises(AigcError, match="the same number of frames"):
        run(model, "sd15", walked(model, "sd15", PAIR, frames=3), noise)


def test_latents_of_one_a_key_are_walked_between_and_a_mask_is_kept(tiny_model):
    model, latents = staged.opened(tiny_model("sd15"), "sd15")
    generator = torch.Generator().manual_seed(0)
    pair = {
        "samples": torch.randn(2, *latents["samples"].shape[1:], generator=generator),
        "noise_mask": torch.ones(1, 32, 32),
    }
    out = stages.walk_latents(model, pair, [3, 4], frames=3, loop=False, runtime=CPU)
    assert torch.equal(out["samples"][[0, 2]], pair["samples"]) and out["noise_mask"].shape == (3, 1, 32, 32)
    lengths = out["samples"].flatten(1).norm(dim=1)
    assert float(lengths[1]) == pytest.approx(float(lengths[[0, 2]].mean()), rel=1e-4)
    assert out["batch_index"] == [3, 3, 4] and pair["samples"].shape[0] == 2


def test_what_has_no_middle_is_refused_by_name(tiny_model):
    model, latents = staged.opened(tiny_model("sd15"), "sd15")
    cond = staged.conditioning(model, "sd15", ["a cat"])
    with pytest.raises(AigcError, match="one_per_line"):
        stages.walk_prompts(cond, frames=3, loop=False)
    with pytest.raises(AigcError, match="walks already"):
        stages.walk_prompts(walked(model, "sd15", PAIR), frames=3, loop=False)
    with pytest.raises(AigcError, match="0 or more as keys"):
        stages.walk_latents(model, latents, [-1, 0], frames=3, loop=False, runtime=CPU)
    between = stages.walk_latents(model, latents, [0, 1], frames=3, loop=False, runtime=CPU)
    with pytest.raises(AigcError, match="draws no noise of its own"):
        run(model, "sd15", cond, between, scheduler="ddpm")
    still = stages.walk_latents(model, latents, [0], frames=3, loop=False, runtime=CPU)
    assert len(run(model, "sd15", cond, still, scheduler="ddpm")["samples"]) == 3
    video, frames = staged.opened(tiny_model("wan"), "wan")
    with pytest.raises(AigcError, match="whole video of each frame"):
        run(video, "wan", walked(video, "wan", PAIR), frames)
    with pytest.raises(AigcError, match="whole video of each frame"):
        stages.walk_latents(video, frames, [0, 1], frames=3, loop=False, runtime=CPU)


def test_encodings_of_different_lengths_are_refused_where_a_model_keeps_them(tiny_model):
    model, _ = staged.opened(tiny_model("zimage"), "zimage")
    with pytest.raises(AigcError, match="same number of words"):
        walked(model, "zimage", ["a cat", "a photo of an astronaut riding horse"])


def recorded(*results, prompts: tuple[str, ...] = ("a", "b")) -> Conditioning:
    calls = [Recorded("encode_prompt", list(prompts), result) for result in results]
    return Conditioning("StableDiffusionPipeline", tuple(calls), prompts, ("", ""), True)


def test_masks_are_joined_words_go_with_the_nearer_and_the_rest_must_be_equal():
    long, short = [1, 1, 1, 0], [1, 1, 0, 0]
    mask = torch.tensor([long, short])
    found = stages.walk_prompts(recorded({"mask": mask, "words": ["x", "y"], "size": 3}), frames=5, loop=False).calls[0]
    assert found.result["mask"].tolist() == [long] * 4 + [short]
    assert found.result["words"] == ["x", "x", "y", "y", "y"] and found.result["size"] == 3
    assert found.prompt == ["a", "a > b 25%", "a > b 50%", "a > b 75%", "b"]
    with pytest.raises(AigcError, match="whole numbers that differ"):
        stages.walk_prompts(recorded(torch.tensor([[3, 4], [5, 4]])), frames=3, loop=False)
    with pytest.raises(AigcError, match="one row a prompt"):
        stages.walk_prompts(recorded(torch.zeros(7, 3)), frames=3, loop=False)


def test_encodings_that_were_recorded_one_by_one_are_walked_between_call_by_call():
    pair = recorded()
    calls = [Recorded("encode_prompt", p, {"x": torch.full((1, 2), float(i)), "n": 4}) for i, p in enumerate("ab")]
    found = stages.walk_prompts(replace(pair, calls=tuple(calls)), frames=5, loop=False, method="straight")
    assert [float(c.result["x"][0, 0]) for c in found.calls] == [0, 0.25, 0.5, 0.75, 1]
    assert [c.prompt for c in found.calls] == list(found.prompts)


def test_half_precision_is_walked_in_full():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).half()
    found = stages.walk_prompts(recorded(x), frames=3, loop=False, method="sphere").calls[0].result
    assert found.dtype == torch.float16
    assert torch.allclose(found[1].float(), torch.full((2,), math.sqrt(0.5)), atol=1e-3)


def test_a_walk_is_never_encoded_anew():
    from pipelines.stages import replay, walked

    made = stages.walk_prompts(recorded(torch.eye(2)), frames=3, loop=False)
    with pytest.raises(AigcError, match="cannot be walked between"):
        walked.check_recorded(made, "encode_prompt")
    walked.check_recorded(made, replay.ENCODE)  # a picture has the size that it has
    walked.check_recorded(recorded(torch.eye(2)), "encode_prompt")
