"""Fine-tuning: the replayed call is the pipeline's own, training is that of the family, a LoRA is what others read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipelines import loading, stages
from pipelines.errors import AigcError
from pipelines.payloads import Dataset, Item, Lora, Model
from pipelines.runtime import Runtime
from pipelines.schedulers import DEFAULT
from pipelines.stages import arguments, asked
from pipelines.stages.pipe import stage
from pipelines.train import adapters, levels, losses, making, prepared, run, tuning
from pipelines.train.lora import Settings
from pipelines.train.objective import Course

from . import tiny

CPU = Runtime("cpu")
FAMILIES = ("sd15", "sdxl", "sd3", "flux", "wan", "zimage", "ltx")
CAPTIONS = ("a cat", "red dog on mars", "the horse", "blue song")
SIDE = 32
SMALL: dict[str, Any] = {"width": SIDE, "height": SIDE, "frames": 1}
FAST = Settings(rank=4, alpha=4.0, learning_rate=1e-2, caption_dropout=0.0, samples=0)
EIGHT = Course(steps=8, batch=4, warm_up=1, examine_every=8)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder, items = tmp_path_factory.mktemp("four"), []
    for i, caption in enumerate(CAPTIONS):
        pixels = np.random.RandomState(i).randint(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(folder / f"{i}.png")
        items.append(Item(folder / f"{i}.png", SIDE, SIDE, caption=caption))
    return Dataset(tuple(items))


@pytest.fixture
def model(tiny_model: Callable[[str], Path]) -> Callable[[str], Model]:
    def get(family: str) -> Model:
        folder = tiny_model(family)
        return Model(folder, folder, type(tiny.pipeline(family)).__name__, dtype="float32", offload="keep")

    return get


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    yield
    stages.release_all()


def own_first_step(folder: Path, prompt: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What diffusers' own call gives the denoiser and its scheduler at the first step: sample, time, prediction."""
    import diffusers

    class Enough(Exception):
        pass

    pipe: Any = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    own, seen = pipe.scheduler.step, []

    def step(output: torch.Tensor, t: Any, sample: torch.Tensor, *_: Any, **__: Any) -> Any:
        scale = getattr(pipe.scheduler, "scale_model_input", None)
        seen.append((sample if scale is None else scale(sample, t), torch.as_tensor(t).reshape(1), output))
        raise Enough

    step.__signature__ = inspect.signature(own)  # type: ignore[attr-defined]
    pipe.scheduler.step = step
    frames = {"num_frames": 1} if "num_frames" in arguments.accepted(pipe) else {}
    weight = arguments.guidance(pipe, arguments.without_guidance(pipe))
    with pytest.raises(Enough), torch.no_grad():
        pipe(
            prompt, width=SIDE, height=SIDE, num_inference_steps=4, generator=torch.Generator().manual_seed(5),
            **frames, **weight,
        )  # fmt: skip
    return seen[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_replayed_call_is_the_first_step_of_diffusers_own_to_the_bit(family: str, model: Any) -> None:
    m = model(family)
    sample, t, prediction = own_first_step(m.path, CAPTIONS[1])
    texts = {text: stages.encode_prompt(m, [text], guided=False, runtime=CPU) for text in CAPTIONS[:2]}
    empty = stages.empty_latents(m, **SMALL)
    with stage(m, "denoiser", CPU) as pipe:
        way = asked.way_of(m, pipe, texts[CAPTIONS[0]], empty, runtime=CPU)
        calls = [asked.record(m, pipe, text, empty, runtime=CPU).steps[0].arguments for text in texts.values()]
        module = getattr(pipe, way.part)
        assert torch.equal(way(module, [calls[1]], sample, t), prediction)
        # A batch is its singles, each with its own text and time; and the text has a say.
        other = torch.randn(sample.shape, generator=torch.Generator().manual_seed(1))
        times = torch.tensor([400.0, float(t)])
        both = way(module, calls, torch.cat([other, sample]), times)
        alone = way(module, calls[:1], other, times[:1])
        assert torch.allclose(both, torch.cat([alone, prediction.to(alone)]), atol=2e-5)
        assert not torch.allclose(way(module, calls[:1], sample, t), prediction, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_four_pictures_are_learned_and_diffusers_reads_the_lora(
    family: str, model: Any, four: Dataset, tmp_path: Path
) -> None:
    import diffusers
    from peft.utils import get_peft_model_state_dict

    m = model(family)
    course = replace(EIGHT, steps=16, examine_every=16)
    tuned = tuning.train_lora(four, m, replace(FAST, learning_rate=5e-2), course, tmp_path / "run", runtime=CPU)
    examined = [row["examined"]["loss"] for row in tuned.sitting.log.rows if "examined" in row]
    assert (
        examined[-1] < (0.99 if family in ("sd15", "sdxl") else 0.9) * examined[0]
    )  # attention is a small part of a UNet
    objective: Any = tuned.sitting.objective
    ours = adapters.lora_state(objective.weights.named(), 1.0)
    pipe = diffusers.DiffusionPipeline.from_pretrained(m.path, local_files_only=True)
    pipe.load_lora_weights(tuned.file.parent, weight_name=tuned.file.name, adapter_name="read")
    theirs = get_peft_model_state_dict(getattr(pipe, objective.way.part), adapter_name="read")
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in ours)
    assert tuned.layout == {"unet": "kohya"}.get(objective.way.part, "original_wan" if family == "wan" else "plain")


def predicted(m: Model, seed: int = 3) -> torch.Tensor:
    text = stages.encode_prompt(m, ["a cat"], runtime=CPU)
    empty = stages.empty_latents(m, **SMALL)
    return stages.sample(m, text, empty, seed=seed, steps=2, scheduler=DEFAULT, runtime=CPU)["samples"]


def test_the_lora_laid_on_at_strength_0_is_the_model_and_at_1_is_not(model: Any, four: Dataset, tmp_path: Path) -> None:
    m = model("sd15")
    publish = tmp_path / "loras" / "mine.safetensors"
    tuned = tuning.train_lora(four, m, FAST, EIGHT, tmp_path / "run", publish=publish, runtime=CPU)
    assert tuned.model.loras == (Lora(publish),) and m.loras == ()
    assert publish.read_bytes() == (tmp_path / "run" / "lora.safetensors").read_bytes()
    base = predicted(m)
    assert torch.equal(predicted(m.with_lora(Lora(publish, 0.0))), base)
    assert not torch.allclose(predicted(tuned.model), base, atol=1e-3)


def test_alpha_over_rank_is_in_the_file(model: Any, four: Dataset, tmp_path: Path) -> None:
    m = model("sd15")
    course = replace(EIGHT, steps=2)
    tuned = tuning.train_lora(four, m, replace(FAST, alpha=2.0), course, tmp_path / "run", runtime=CPU)
    objective: Any = tuned.sitting.objective
    name = next(key for key in objective.weights.named() if ".lora_B." in key)
    with stage(tuned.model, "denoiser", CPU) as pipe:
        read = loading.lora.read_lora(pipe, tuned.file)
    key = f"unet.{name.replace('.' + adapters.ADAPTER, '')}"
    assert torch.equal(read[key], objective.weights.named()[name] / 2)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / run.LAST)


@pytest.mark.parametrize("settings", (replace(FAST, half_life=20.0, caption_dropout=0.3), replace(FAST, full=True)))
def test_a_run_that_stopped_and_went_on_is_one_that_did_not_to_the_bit(
    settings: Settings, model: Any, four: Dataset, tmp_path: Path
) -> None:
    m, course = model("sd15"), Course(steps=6, batch=2, warm_up=2, examine_every=2)

    def stop_at(step: int) -> Callable[..., None]:
        def on_step(done: int, total: int, sitting: Any) -> None:
            if done == step:
                raise KeyboardInterrupt

        return on_step

    whole = tuning.train_lora(four, m, settings, course, tmp_path / "whole", runtime=CPU)
    first = tuning.train_lora(four, m, settings, course, tmp_path / "parts", runtime=CPU, on_step=stop_at(3))
    assert first.sitting.stopped and first.sitting.step == 3 and first.file.exists()
    with pytest.raises(AigcError, match="connect"):
        making.resume(tmp_path / "parts", four, 0, 9.0, runtime=CPU)
    again = making.resume(tmp_path / "parts", four, 0, 9.0, model=m, runtime=CPU)
    assert again.sitting.step == whole.sitting.step == 6
    one, two = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    kinds = {key.partition(".")[0] for key in one}
    assert kinds == {"weights", "optimizer"} | ({"average"} if settings.half_life else set())


def test_a_checkpoint_holds_the_adapter_only(model: Any, four: Dataset, tmp_path: Path) -> None:
    m = model("sd15")
    tuning.train_lora(four, m, FAST, replace(EIGHT, steps=1), tmp_path / "run", runtime=CPU)
    assert all(".lora_" in key.replace("/", ".") for key in tensors(tmp_path / "run") if key.startswith("weights."))


def test_all_weights_trained_are_a_model_of_their_own(model: Any, four: Dataset, tmp_path: Path) -> None:
    m = model("sd15")
    settings = replace(FAST, full=True, learning_rate=1e-3)
    tuned = tuning.train_lora(four, m, settings, EIGHT, tmp_path / "run", runtime=CPU)
    assert tuned.model.path == tmp_path / "run" / "model" and not tuned.model.loras
    assert not torch.allclose(predicted(tuned.model), predicted(m), atol=1e-3)
    assert torch.equal(stages.encode_prompt(tuned.model, ["a cat"], runtime=CPU).calls[0].result[0],
                       stages.encode_prompt(m, ["a cat"], runtime=CPU).calls[0].result[0])  # fmt: skip
    opened = loading.open_model(str(tuned.file), roots=loading.Roots())
    assert opened.pipeline_class == "StableDiffusionPipeline"


def test_without_captions_is_with_all_captions_dropped(model: Any, four: Dataset, tmp_path: Path) -> None:
    m, course = model("flux"), Course(steps=2, batch=2, warm_up=1, examine_every=0)
    silent = replace(four, items=tuple(replace(item, caption="") for item in four.items))
    tuning.train_lora(four, m, replace(FAST, caption_dropout=1.0), course, tmp_path / "dropped", runtime=CPU)
    tuning.train_lora(silent, m, FAST, course, tmp_path / "silent", runtime=CPU)
    one, two = tensors(tmp_path / "dropped"), tensors(tmp_path / "silent")
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_passes_checkpointing_and_latents_made_on_the_fly_change_no_step(
    model: Any, four: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m, course = model("sd15"), Course(steps=1, batch=4, warm_up=1, examine_every=0)
    plain = tuning.train_lora(four, m, FAST, course, tmp_path / "plain", runtime=CPU)
    monkeypatch.setattr(
        prepared.Latents.__init__, "__defaults__", (0, *(prepared.Latents.__init__.__defaults__ or ())[1:])
    )
    thrifty = replace(FAST, accumulate=2, checkpointing=True)
    other = tuning.train_lora(four, m, thrifty, course, tmp_path / "thrifty", runtime=CPU)
    assert other.sitting.objective.material.latents.bytes == 0  # type: ignore[attr-defined]
    a, b = (t.sitting.log.rows[-2] for t in (plain, other))
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-5) and a["gradient"] == pytest.approx(b["gradient"], rel=1e-4)


def test_samples_are_made_by_the_weights_in_training_and_leave_them_alone(
    model: Any, four: Dataset, tmp_path: Path
) -> None:
    m, course = model("sd15"), Course(steps=4, batch=2, warm_up=1, examine_every=2)
    shown = replace(FAST, samples=2, sample_steps=1, half_life=10.0)
    seen: list[torch.Tensor] = []
    tuned = tuning.train_lora(
        four, m, shown, course, tmp_path / "shown", runtime=CPU,
        on_step=lambda done, total, sitting: seen.append(sitting.objective.pictures(9)),
    )  # fmt: skip
    assert seen[0].shape == (2, SIDE, SIDE, 3) and not torch.equal(seen[0], seen[-1])
    tuning.train_lora(four, m, replace(shown, samples=0), course, tmp_path / "plain", runtime=CPU)
    one, two = tensors(tmp_path / "shown"), tensors(tmp_path / "plain")
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert "step 4" in making.told(tuned)


def test_what_cannot_be_trained_is_refused_before_anything_is(model: Any, four: Dataset, tmp_path: Path) -> None:
    def refused(m: Model, words: str, settings: Settings = FAST, dataset: Dataset = four) -> None:
        with pytest.raises(AigcError, match=words):
            tuning.train_lora(dataset, m, settings, EIGHT, tmp_path / "run", runtime=CPU)
        assert not (tmp_path / "run").exists()

    refused(model("stableaudio"), "sound")
    refused(model("sd15").with_lora(Lora(tmp_path / "other.safetensors")), "other.safetensors")
    odd = replace(four, items=tuple(replace(item, bucket=(33, 32)) for item in four.items))
    refused(model("sd15"), "multiple of 2", dataset=odd)
    mixed = replace(four, items=(*four.items[:3], replace(four.items[3], width=48)))
    refused(model("sd15"), "Bucket Images", dataset=mixed)


@pytest.mark.parametrize("words", ("changes before its step", "takes them changed", "changes from step to step"))
def test_a_denoiser_that_is_called_in_an_unknown_way_is_refused(words: str, model: Any) -> None:
    m, calls = model("sd15"), iter(range(1, 100))

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if words == "takes them changed":
            return (2 * args[0], *args[1:]), kwargs
        text = kwargs["encoder_hidden_states"]
        return args, {**kwargs, "encoder_hidden_states": text * (next(calls) if "to step" in words else 1)}

    def after(_: Any, __: Any, answer: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (3 * answer[0],) if words == "changes before its step" else answer

    text, empty = stages.encode_prompt(m, ["a cat"], guided=False, runtime=CPU), stages.empty_latents(m, **SMALL)
    with stage(m, "denoiser", CPU) as pipe:
        pipe.unet.register_forward_pre_hook(before, with_kwargs=True)
        pipe.unet.register_forward_hook(after)
        with pytest.raises(AigcError, match=words):
            asked.way_of(m, pipe, text, empty, runtime=CPU)


def test_levels_are_those_of_the_scheduler() -> None:
    import diffusers

    flow = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    flow.set_timesteps(1000)
    found = levels.levels_of(flow)
    share = torch.linspace(0, 1, 7)
    alpha, sigma, t = found.at(share)
    assert found.prediction == "flow" and torch.allclose(alpha + sigma, torch.ones(7))
    assert torch.allclose(t, sigma * 1000, atol=1e-2)
    unshifted = flow.sigma_min + (1 - flow.sigma_min) * share
    assert torch.allclose(sigma, losses.shifted(unshifted, 3.0), atol=1e-4)

    ddpm = diffusers.DDPMScheduler(prediction_type="v_prediction")
    ddpm.set_timesteps(10)
    found = levels.levels_of(ddpm)
    alpha, sigma, t = found.at(torch.tensor([0.0, 0.5, 0.9999]))
    assert t.tolist() == [0, 500, 999]
    x0, noise = torch.randn(3, 2), torch.randn(3, 2)
    x, target = found.pair(x0, noise, alpha, sigma)
    steps: Any = t.long()
    assert torch.allclose(x, ddpm.add_noise(x0, noise, steps), atol=1e-6)
    assert torch.allclose(target, ddpm.get_velocity(x0, noise, steps), atol=1e-6)
    weight = found.weight(alpha, sigma, 5.0)
    snr = (alpha / sigma).square()
    assert torch.allclose(weight, snr.clamp(max=5) / (snr + 1))
    with pytest.raises(AigcError, match="EDM"):
        levels.levels_of(diffusers.EDMEulerScheduler())


def test_targets_name_layers_of_their_kind() -> None:
    unet = tiny.unet(cross_attention_dim=32, attention_head_dim=4)
    attention, linear, every = (set(adapters.layers(unet, kind)) for kind in adapters.TARGETS)
    assert attention < linear < every
    assert all(".attn" in name for name in attention) and len(attention) == 4 * 2 * 4
    assert "conv_in" in every - linear
    with pytest.raises(AigcError, match="attention"):
        adapters.layers(torch.nn.Sequential(torch.nn.Linear(2, 2)), "attention")
