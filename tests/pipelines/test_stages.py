"""Staged equals monolithic, bit for bit, and everything a stage touches is as it was afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from . import staged

FAMILIES = tuple(staged.CASES)


@pytest.fixture(scope="module")
def three_processes(tiny_model, tmp_path_factory):
    """Every family encoded in one fresh process, sampled in a second, decoded in a third; nothing shared but files."""
    out = tmp_path_factory.mktemp("staged")
    folders = [f"{family}={tiny_model(family)}" for family in FAMILIES]
    for stage in ("encode", "sample", "decode"):
        command = [sys.executable, "-m", "tests.pipelines.staged", stage, str(out), *folders]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", FAMILIES)
def test_staged_equals_monolithic_bit_for_bit_each_stage_in_another_process(family, tiny_model, three_processes):
    result = torch.load(three_processes / f"{family}-decode.pt", weights_only=False)
    assert torch.equal(result["output"], staged.monolithic(tiny_model(family), family))
    loaded = {stage: set(names) for stage, names in result["loaded"].items()}
    encoders = {"text_encoder", "text_encoder_2", "text_encoder_3"}
    assert loaded["encode"] & encoders and not loaded["encode"] & {"transformer", "unet", "vae"}
    assert loaded["sample"] & {"transformer", "unet"} and not loaded["sample"] & {*encoders, "vae"}
    assert loaded["decode"] == {"vae"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_prompts_equals_its_singles_by_seed(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    pair = {**latents, "samples": torch.cat([latents["samples"]] * 2)}
    both = staged.run_sample(model, family, ["a cat", "a dog"], pair, seed=5)
    single = staged.run_sample(model, family, ["a dog"], latents, seed=6)
    scale = float(single.std())
    assert torch.allclose(both[1:], single, atol=2e-5 * max(1.0, scale), rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_prompt_fills_a_batch_and_its_first_row_is_the_single_picture(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    triple = {**latents, "samples": torch.cat([latents["samples"]] * 3)}
    batch = staged.run_sample(model, family, ["a cat"], triple, seed=5)
    single = staged.run_sample(model, family, ["a cat"], latents, seed=5)
    assert batch.shape[0] == 3
    assert torch.allclose(batch[:1], single, atol=2e-5 * max(1.0, float(single.std())), rtol=1e-4)
    assert not torch.allclose(batch[1:2], single, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_can_be_left_out_after_encoding_with_it_and_equals_the_plain_call(family, tiny_model):
    folder = tiny_model(family)
    model, latents = staged.opened(folder, family)
    off = staged.unguided_strength(folder)
    guided = staged.conditioning(model, family, [staged.PROMPT])
    out = staged.sample_and_decode(model, family, guided, latents, cfg=off)
    assert torch.equal(out, staged.monolithic(folder, family, cfg=off))
    unguided = staged.conditioning(model, family, [staged.PROMPT], guided=False)
    assert torch.equal(staged.sample_and_decode(model, family, unguided, latents, cfg=off), out)


@pytest.mark.parametrize("family", FAMILIES)
def test_partial_denoising_moves_less_the_smaller_denoise_is_and_not_at_all_at_zero(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    start = staged.sampled(model, family, latents, seed=1)
    change = []
    for denoise in (0.0, 0.05, 0.75):
        out = staged.sampled(model, family, start, seed=2, denoise=denoise, steps=3)
        change.append(float((out["samples"] - start["samples"]).abs().mean()))
    assert change[0] == 0.0
    assert change[0] < change[1] < change[2]


def test_partial_denoising_equals_the_image_to_image_pipeline_of_diffusers(tiny_model):
    folder = tiny_model("sd15")
    model, latents = staged.opened(folder, "sd15")
    start = staged.sampled(model, "sd15", latents, seed=1)["samples"]
    expected = staged.image_to_image(folder, start, steps=10, strength=0.5, seed=3)
    out = staged.sampled(model, "sd15", {"samples": start}, seed=3, denoise=0.5, steps=5)["samples"]
    assert torch.allclose(out, expected, atol=1e-5 * float(expected.std()))


def right_half(height: int = 32, width: int = 32) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[..., width // 2 :] = 1
    return mask


@pytest.mark.parametrize(("denoise", "steps"), ((1.0, 5), (0.5, 5)))
def test_a_noise_mask_equals_the_inpainting_pipeline_of_diffusers(denoise, steps, tiny_model):
    folder = tiny_model("sd15")
    model, latents = staged.opened(folder, "sd15")
    start = staged.sampled(model, "sd15", latents, seed=1)["samples"]
    expected = staged.inpainted(folder, start, right_half(), int(steps / denoise), denoise, seed=3)
    given = {"samples": start, "noise_mask": right_half()}
    out = staged.sampled(model, "sd15", given, seed=3, denoise=denoise, steps=steps)["samples"]
    assert torch.allclose(out, expected, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "stableaudio"])
def test_a_noise_mask_keeps_what_it_covers_and_changes_the_rest(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    start = staged.sampled(model, family, latents, seed=1)
    masked = staged.sampled(model, family, {**start, "noise_mask": right_half()}, seed=2)["samples"]
    change = (masked - start["samples"]).abs()
    middle, scale = change.shape[-1] // 2, float(start["samples"].std())
    assert float(change[..., :middle].max()) <= 1e-5 * max(1.0, scale)
    assert float(change[..., middle:].mean()) > 0.1 * scale
    plain = staged.sampled(model, family, start, seed=2)["samples"]
    everywhere = staged.sampled(model, family, {**start, "noise_mask": torch.ones(1, 32, 32)}, seed=2)["samples"]
    assert torch.equal(everywhere, plain)


@pytest.mark.parametrize("family", ("sd15", "sd3"))
def test_a_noise_mask_works_with_every_scheduler_that_fits(family, tiny_model):
    from pipelines import schedulers

    model, latents = staged.opened(tiny_model(family), family)
    start = staged.sampled(model, family, latents, seed=1)
    for name in schedulers.fitting(staged.own_scheduler(tiny_model(family))):
        given = {**start, "noise_mask": right_half()}
        out = staged.sampled(model, family, given, seed=2, scheduler=name, steps=3, denoise=0.75)["samples"]
        change = (out - start["samples"]).abs()
        assert float(change[..., : change.shape[-1] // 2].max()) <= 1e-4, name
        assert torch.isfinite(out).all(), name


def test_sound_takes_no_noise_mask_of_a_picture(tiny_model):
    from pipelines.errors import AigcError

    model, latents = staged.opened(tiny_model("stableaudio"), "stableaudio")
    with pytest.raises(AigcError, match=r"a noise mask \[B, 1, T\] for a sound"):
        staged.sampled(model, "stableaudio", {**latents, "noise_mask": right_half()})


@pytest.mark.parametrize("family", ("sd15", "flux", "ltx"))
def test_an_interrupt_acts_within_a_step_and_the_rerun_is_bit_exact(family, tiny_model):
    model, latents = staged.opened(tiny_model(family), family)
    before = staged.sampled(model, family, latents, seed=7)["samples"]
    runtime = staged.StopAfter(2)
    with pytest.raises(staged.Stopped):
        staged.sampled(model, family, latents, seed=7, runtime=runtime)
    assert runtime.steps == 2
    assert torch.equal(staged.sampled(model, family, latents, seed=7)["samples"], before)


def test_steps_are_reported_one_by_one_each_with_a_preview(tiny_model):
    model, latents = staged.opened(tiny_model("flux"), "flux")
    seen = []
    staged.sampled(model, "flux", latents, on_step=lambda i, n, preview: seen.append((i, n, preview().size)), steps=4)
    assert [s[:2] for s in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(min(size) >= 64 for _, _, size in seen)


def test_the_noise_of_a_seed_is_the_noise_of_the_host(tiny_model):
    """ComfyUI draws `randn` from a CPU generator seeded with the seed; a model that predicts nothing shows it."""
    model, latents = staged.opened(tiny_model("sd3"), "sd3")
    noise = staged.drawn_noise(model, latents, seed=11, rows=2)
    for row, seed in enumerate((11, 12)):
        host = torch.randn(latents["samples"].shape, generator=torch.manual_seed(seed), device="cpu")
        assert torch.equal(noise[row : row + 1], host)


@pytest.mark.parametrize("family", ("sd15", "sd3", "stableaudio"))
def test_every_scheduler_that_fits_runs_and_others_are_refused_with_the_list(family, tiny_model):
    from pipelines import schedulers
    from pipelines.errors import AigcError

    model, latents = staged.opened(tiny_model(family), family)
    own = staged.own_scheduler(tiny_model(family))
    fitting = schedulers.fitting(own)
    assert len(fitting) >= {"sd15": 20, "sd3": 10, "stableaudio": 3}[family]
    needs_extra = {"dpmpp_sde": "torchsde"}
    for name in fitting:
        if name in needs_extra and not staged.installed(needs_extra[name]):
            continue
        out = staged.sampled(model, family, latents, scheduler=name, steps=3)
        assert torch.isfinite(out["samples"]).all(), name
        again = staged.sampled(model, family, out, scheduler=name, steps=2, denoise=0.5)
        assert torch.isfinite(again["samples"]).all(), name
    refused = next(n for n in schedulers.names() if n not in fitting)
    with pytest.raises(AigcError, match="choose one of"):
        staged.sampled(model, family, latents, scheduler=refused)


def test_inputs_that_do_not_fit_get_one_clear_error(tiny_model):
    from pipelines import stages
    from pipelines.errors import AigcError

    model, latents = staged.opened(tiny_model("sd15"), "sd15")
    other, _ = staged.opened(tiny_model("sd3"), "sd3")
    cond = staged.conditioning(model, "sd15", ["a cat"])
    with pytest.raises(AigcError, match="multiple of 2 for this model, got 7"):
        stages.empty_latents(model, width=7, height=32)
    with pytest.raises(AigcError, match="at least 1 step, got 0"):
        stages.sample(model, cond, latents, steps=0)
    with pytest.raises(AigcError, match="Expected latents of StableDiffusionPipeline"):
        stages.sample(model, cond, {"samples": torch.zeros(1, 16, 4, 4)})
    with pytest.raises(AigcError, match="conditioning made with this model"):
        stages.sample(other, cond, latents)
    with pytest.raises(AigcError, match="multiple of the 2 prompts, got 3"):
        two = staged.conditioning(model, "sd15", ["a", "b"])
        stages.sample(model, two, {"samples": torch.zeros(3, 4, 16, 16)})
    with pytest.raises(AigcError, match="half a character"):
        stages.encode_prompt(model, ["a \ud83d cat"])


@pytest.mark.parametrize("prompt", ("", "猫", "🐱 a cat", "word " * 20_000))
def test_any_text_is_a_prompt(prompt, tiny_model):
    model, latents = staged.opened(tiny_model("sd15"), "sd15")
    out = staged.run_sample(model, "sd15", [prompt], latents)
    assert torch.isfinite(out).all()
