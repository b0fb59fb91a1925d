"""Guiders: equal to diffusers' own numbers where a pipeline or a guider says them, off without a trace."""

from __future__ import annotations

import pytest
import torch

from pipelines import guiders, stages
from pipelines.errors import AigcError
from pipelines.guiders import Guider
from pipelines.loading import Roots, open_model
from pipelines.runtime import Runtime
from pipelines.stages import modular
from pipelines.stages.guided import guided_by

from . import staged

SMALL = {"steps": 4, "runtime": Runtime("cpu")}
PERTURBING = [name for name, row in guiders.TABLE.items() if row.layers]


@pytest.fixture(autouse=True)
def nothing_loaded():
    stages.release_all()
    yield
    stages.release_all()


def sampled(model, guider, *, prompts=(staged.PROMPT,), guided=True, cfg=4.0, size=32, **options):
    conditioning = stages.encode_prompt(
        model, list(prompts), [staged.NEGATIVE], guided=guided, runtime=Runtime("cpu")
    )  # fmt: skip
    latents = stages.empty_latents(model, width=size, height=size)
    return stages.sample(
        model, conditioning, latents, seed=1, cfg=cfg, guider=guider, **{**SMALL, **options}
    )["samples"]  # fmt: skip


def opened(folder):
    return open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")


@pytest.mark.parametrize("family", ("sd15", "sdxl", "sd3"))
def test_classifier_free_guidance_is_what_the_pipeline_does_itself(family, tiny_model):
    model = opened(tiny_model(family))
    own, guided = (sampled(model, guider) for guider in (None, Guider("classifier-free")))
    assert torch.allclose(own, guided, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", guiders.names())
def test_every_guider_says_something_of_its_own_and_leaves_nothing_behind(name, tiny_model):
    model = opened(tiny_model("sd15"))
    steps = {"steps": 7}  # the mix is plain guidance for its first five
    before = sampled(model, None, **steps)
    guided = sampled(model, Guider(name, perturbation=3.0), **steps)
    assert torch.isfinite(guided).all()
    assert torch.allclose(guided, before, atol=2e-6, rtol=0) is (name == "classifier-free")
    assert torch.equal(sampled(model, None, **steps), before)
    assert torch.equal(sampled(model, Guider(name, perturbation=3.0), **steps), guided), "fresh for each run"


@pytest.mark.parametrize("name", PERTURBING)
def test_a_perturbation_of_strength_0_is_plain_guidance(name, tiny_model):
    model = opened(tiny_model("sd15"))
    plain, none = (sampled(model, g) for g in (Guider("classifier-free"), Guider(name, perturbation=0.0)))
    assert torch.equal(plain, none)


def test_both_halves_of_a_guided_answer_are_the_formula(tiny_model):
    """neg + cfg (pos - neg) + s (pos - pos with self-attention switched off in the middle block)."""
    model = opened(tiny_model("sd15"))
    with stages.pipe.stage(model, "denoiser", Runtime("cpu")) as pipe:
        unet, t = pipe.unet, torch.tensor(500)
        x, text = torch.randn(2, 4, 8, 8), torch.randn(2, 7, pipe.unet.config.cross_attention_dim)
        negative, positive = unet(x, t, text).sample.chunk(2)
        (stack, index), *_ = guiders.layer_stacks(unet, ())
        attention = unet.get_submodule(stack)[index].attn1
        before = attention.processor
        attention.set_processor(lambda attn, states, *_, **__: attn.to_out[0](attn.to_v(states)))
        off = unet(x[1:], t, text[1:]).sample
        attention.set_processor(before)
        pipe.scheduler.set_timesteps(3)
        guider = Guider("perturbed attention", perturbation=3.0)
        with guided_by(pipe, model, guider, 4.0, rows=1, done=lambda: 1):
            halves = unet(x, t, text).sample.chunk(2)
    by_hand = negative + 4.0 * (positive - negative) + 3.0 * (positive - off)
    assert torch.equal(*halves) and torch.allclose(halves[0], by_hand, atol=1e-5)
    assert not torch.allclose(off, positive, atol=1e-4)


def test_a_batch_equals_its_singles(tiny_model):
    model, guider = opened(tiny_model("sd15")), Guider("skip layer")
    both = sampled(model, guider, prompts=("a cat", "a dog"))
    assert torch.allclose(both[:1], sampled(model, guider, prompts=("a cat",)), atol=1e-4, rtol=0)


def test_the_window_decides_where_it_acts(tiny_model):
    model = opened(tiny_model("sd15"))
    first, whole = (sampled(model, Guider("adaptive projected", stop=stop)) for stop in (0.5, 1.0))
    assert not torch.equal(first, whole)


def test_without_guidance_a_guider_has_no_say(tiny_model):
    model = opened(tiny_model("sd15"))
    for options in ({"cfg": 1.0}, {"guided": False}):
        assert torch.equal(sampled(model, Guider("zero star"), **options), sampled(model, None, **options))


@pytest.mark.parametrize("name", ("classifier-free", "zero star", "skip layer"))
def test_a_modular_model_takes_it_as_its_own(name, tiny_model):
    model = modular.open_folder(tiny_model("sd3"), dtype="float32", offload="keep")
    plain, guided = sampled(model, None), sampled(model, Guider(name, perturbation=3.0))
    assert torch.equal(plain, guided) is (name == "classifier-free")
    assert torch.equal(sampled(model, None), plain)


def test_blocks_and_the_classic_pipeline_agree(tiny_model):
    folder, guider = tiny_model("sd3"), Guider("skip layer", perturbation=3.0, layers=(0,))
    classic = sampled(opened(folder), guider)
    stages.release_all()
    blocks = sampled(modular.open_folder(folder, dtype="float32", offload="keep"), guider)
    assert torch.allclose(classic, blocks, atol=1e-5, rtol=0)


def test_a_family_that_guides_in_two_calls_is_refused_with_its_name(tiny_model):
    model = opened(tiny_model("wan"))
    with pytest.raises(AigcError, match="WanPipeline, which does not"):
        sampled(model, Guider("zero star"))


@pytest.mark.parametrize(
    ("guider", "says"),
    [
        (Guider("nothing"), "Expected a guider, got 'nothing': choose one of classifier-free"),
        (Guider("zero star", start=0.8, stop=0.2), "Expected 0 <= start < 1"),
        (Guider("skip layer", layers=(99,)), "Expected layers from 0 to"),
    ],
)
def test_bad_settings_say_what_was_expected(guider, says, tiny_model):
    with pytest.raises(AigcError, match=says):
        sampled(opened(tiny_model("sd15")), guider)


def test_layers_are_read_as_people_write_them():
    assert guiders.layers_of("7, 8 9") == (7, 8, 9) and guiders.layers_of("") == ()
    for wrong in ("-1", "seven", "1.5"):
        with pytest.raises(AigcError, match="Expected layers as whole numbers"):
            guiders.layers_of(wrong)
