"""Modular pipelines in stages: equal to the classic pipeline where there is one, else to the whole ModularPipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.coverage import blocks
from pipelines import stages
from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.stages import modular
from pipelines.stages import pipe as pipes
from pipelines.stages.modular import folder as folders

from . import staged, tiny_modular

BOTH = ("sd3", "flux", "zimage", "wan")  # families with a classic pipeline and blocks
ONLY = ("anima", "flux3")  # families with blocks alone
CFG = 5.0
SIZE = {"width": 32, "height": 32}
# Blocks guide in another order of operations than the classic call: a few units of float32 in the picture.
TOLERANCE = {"sd3": 2e-6, "flux": 0.0, "zimage": 2e-6, "wan": 0.0}


@pytest.fixture(scope="module")
def folder_of(tiny_model, tmp_path_factory):
    built: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family in BOTH:
            return tiny_model(family)
        if family not in built:
            built[family] = tiny_modular.build(family, tmp_path_factory.mktemp(family) / family)
        return built[family]

    return get


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Matrices this small run faster on one thread, many times so beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def nothing_loaded():
    stages.release_all()
    yield
    stages.release_all()


def opened(folder: Path, offload: str = "keep"):
    return modular.open_folder(folder, dtype="float32", offload=offload)


def encoded(model, prompts, guided=True, runtime=None):
    return stages.encode_prompt(
        model, prompts, [staged.NEGATIVE], guided=guided, runtime=runtime or Runtime("cpu")
    )  # fmt: skip


def sampled(model, conditioning, latents, seed=42, cfg=CFG, **options):
    options = {"steps": staged.STEPS, "runtime": Runtime("cpu"), **options}
    return stages.sample(model, conditioning, latents, seed=seed, cfg=cfg, **options)


def decoded(model, latents):
    return stages.decode_image(model, latents, runtime=Runtime("cpu")).permute(0, 3, 1, 2)


@pytest.mark.parametrize("family", BOTH)
def test_blocks_in_stages_equal_the_classic_pipeline(family, folder_of):
    folder, case = folder_of(family), staged.CASES[family]
    model = opened(folder)
    latents = stages.empty_latents(model, **case["size"])
    out = sampled(model, encoded(model, [staged.PROMPT]), latents, cfg=case["cfg"])
    difference = (decoded(model, out) - staged.monolithic(folder, family)).abs().max()
    assert float(difference) <= TOLERANCE[family]


@pytest.mark.parametrize("family", ONLY)
def test_stages_equal_the_whole_modular_pipeline_bit_for_bit(family, folder_of):
    folder = folder_of(family)
    call = {"prompt": staged.PROMPT, "negative_prompt": staged.NEGATIVE, "num_inference_steps": staged.STEPS, **SIZE}
    for cfg in (CFG, 1.0):
        model = opened(folder)
        out = sampled(model, encoded(model, [staged.PROMPT]), stages.empty_latents(model, **SIZE), cfg=cfg)
        assert torch.equal(decoded(model, out), blocks.run(folder, cfg, call))


def test_guidance_reaches_a_guider_that_comes_switched_off(folder_of):
    model = opened(folder_of("zimage"))
    conditioning, latents = encoded(model, [staged.PROMPT]), stages.empty_latents(model, **SIZE)
    weak, strong = (sampled(model, conditioning, latents, cfg=cfg)["samples"] for cfg in (0.0, 5.0))
    assert not torch.allclose(weak, strong, atol=1e-2)
    unguided = encoded(model, [staged.PROMPT], guided=False)
    assert torch.equal(sampled(model, unguided, latents, cfg=5.0)["samples"], weak)


@pytest.mark.parametrize("family", ("wan", "anima"))
def test_each_stage_holds_only_its_own_parts(family, folder_of):
    model = opened(folder_of(family), offload="stage")
    seen = {}
    conditioning = encoded(model, [staged.PROMPT])
    seen["encode"] = sorted(staged.loaded_parts())
    latents = sampled(
        model, conditioning, stages.empty_latents(model, **staged.CASES.get(family, {"size": SIZE})["size"])
    )
    seen["sample"] = sorted(staged.loaded_parts())
    decoded(model, latents)
    seen["decode"] = sorted(staged.loaded_parts())
    conditioner = ["text_conditioner"] if family == "anima" else []
    assert seen == {"encode": ["text_encoder"], "sample": [*conditioner, "transformer"], "decode": ["vae"]}


@pytest.mark.parametrize("family", ("flux", "anima"))
def test_what_a_stage_does_not_hold_has_no_memory(family, folder_of):
    model = opened(folder_of(family))
    with pipes.stage(model, "denoiser", Runtime("cpu")) as pipe:
        assert {p.device.type for p in pipe.vae.parameters()} == {"meta"}
        assert {p.device.type for p in pipe.transformer.parameters()} == {"cpu"}
        assert pipe.text_encoder is None


@pytest.mark.parametrize("family", ("flux", "anima"))
def test_an_interrupt_acts_within_a_step_and_the_rerun_is_bit_exact(family, folder_of):
    model = opened(folder_of(family))
    conditioning, latents = encoded(model, [staged.PROMPT]), stages.empty_latents(model, **SIZE)
    before = sampled(model, conditioning, latents, seed=7)["samples"]
    runtime = staged.StopAfter(2)
    with pytest.raises(staged.Stopped):
        sampled(model, conditioning, latents, seed=7, runtime=runtime)
    assert runtime.steps == 2
    assert torch.equal(sampled(model, conditioning, latents, seed=7)["samples"], before)


@pytest.mark.parametrize("family", ("zimage", "anima"))
def test_a_batch_of_prompts_equals_its_singles_by_seed(family, folder_of):
    model = opened(folder_of(family))
    latents = stages.empty_latents(model, **SIZE)
    pair = {**latents, "samples": torch.cat([latents["samples"]] * 2)}
    prompts = ["a cat on mars", "a dog on mars"]
    both = sampled(model, encoded(model, prompts), pair, seed=5)["samples"]
    one = sampled(model, encoded(model, prompts[1:]), latents, seed=6)["samples"]
    assert torch.allclose(both[1:], one, atol=1e-5 * float(one.std()), rtol=1e-4)
    filled = sampled(model, encoded(model, prompts[1:]), pair, seed=6)["samples"]
    assert torch.allclose(filled[:1], one, atol=1e-5 * float(one.std()), rtol=1e-4)
    assert not torch.allclose(filled[1:], one, atol=1e-2)


@pytest.mark.parametrize("family", ("wan", "anima", "flux3"))
def test_partial_denoising_moves_less_the_smaller_denoise_is_and_not_at_all_at_zero(family, folder_of):
    model = opened(folder_of(family))
    conditioning = encoded(model, [staged.PROMPT])
    size = staged.CASES.get(family, {"size": SIZE})["size"]
    start = sampled(model, conditioning, stages.empty_latents(model, **size), seed=1)
    change = []
    for denoise in (0.0, 0.01, 0.9):
        out = sampled(model, conditioning, start, seed=2, denoise=denoise, steps=1)
        change.append(float((out["samples"] - start["samples"]).abs().mean()))
    assert change[0] == 0.0
    assert change[0] < change[1] < change[2]


def test_steps_are_reported_one_by_one_each_with_a_preview(folder_of):
    model, seen = opened(folder_of("anima")), []
    sampled(
        model, encoded(model, [staged.PROMPT]), stages.empty_latents(model, **SIZE),
        on_step=lambda i, n, preview: seen.append((i, n, preview().size)),
    )  # fmt: skip
    assert [s[:2] for s in seen] == [(i + 1, staged.STEPS) for i in range(staged.STEPS)]
    assert all(min(size) >= 64 for _, _, size in seen)


@pytest.mark.parametrize("family", ("anima", "flux3"))
def test_a_picture_becomes_a_latent_that_decodes_and_can_be_sampled_from(family, folder_of):
    model = opened(folder_of(family))
    picture = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    latents = stages.encode_image(model, picture, runtime=Runtime("cpu"))
    assert latents["samples"].shape == stages.empty_latents(model, **SIZE)["samples"].shape
    assert decoded(model, latents).shape == (1, 3, 32, 32)
    out = sampled(model, encoded(model, [staged.PROMPT]), latents, denoise=0.5, steps=2)
    assert torch.isfinite(out["samples"]).all()


def test_a_folder_is_modular_by_its_index_and_others_are_refused_in_one_sentence(folder_of, tmp_path):
    assert modular.is_modular(folder_of("anima"))
    assert not modular.is_modular(folder_of("wan"))
    for name, index, message in (
        ("unknown", {"_class_name": "NoSuchModularPipeline"}, "Expected a modular pipeline of this diffusers"),
        ("code", {"_class_name": "AnimaModularPipeline", "auto_map": {"x": "y"}}, "runs no model code"),
        (
            "foreign",
            {"_class_name": "AnimaModularPipeline", "vae": ["os", "system", {"type_hint": ["os", "system"]}]},
            "Expected a class of diffusers or transformers",
        ),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "modular_model_index.json").write_text(json.dumps(index), "utf-8")
        with pytest.raises(AigcError, match=message):
            modular.open_folder(folder)


def test_blocks_that_do_not_decode_are_refused(folder_of):
    made = blocks.blocks_of("AnimaModularPipeline")
    made.sub_blocks.pop("decode")
    with pytest.raises(
        AigcError, match=r"split into stages, got AnimaModularPipeline: its blocks are .*denoise, without"
    ):
        folders._check_stages(made.init_pipeline(str(folder_of("anima"))))


def test_what_a_block_refuses_is_told_in_its_own_words(folder_of):
    model = opened(folder_of("flux3"))
    with pytest.raises(AigcError, match="batched prompts are not supported"):
        encoded(model, ["a cat", "a dog"])
