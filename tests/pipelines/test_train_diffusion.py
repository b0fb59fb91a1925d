"""Diffusion: identities of its objectives, naming, stopped and resumed, learning, the folder in plain diffusers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.payloads import Dataset, Design, Item, Run
from pipelines.train import (
    autoencoders,
    checkpoint,
    denoisers,
    diffusion,
    losses,
    making,
    making_diffusion,
    run,
    tokenizing,
)
from pipelines.train.diffusion import DiffusionObjective, Encoded, Settings
from pipelines.train.objective import Course
from pipelines.train.tokenizing import tokens

from . import trainings
from .trainings import CPU, stop_at

SMALL = {
    "resolution": 16,
    "widths": [8, 16],
    "heads": 2,
    "text_width": 8,
    "text_layers": 1,
    "vocabulary": 300,
    "length": 8,
}
DESIGN = Design("diffusion", "unet", SMALL)
DIT = Design("diffusion", "dit", {**SMALL, "widths": [16], "layers": 2})
KINDS = pytest.mark.parametrize("design", [DESIGN, DIT], ids=["unet", "dit"])
QUICK = Settings(naming=3, samples=8, sample_steps=2, kid_every=1, half_life=100.0)
COURSE = Course(steps=8, batch=4, seed=3, warm_up=2, anneal=0.5, examine_every=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    """Without classes: captions are named. Each picture has two."""
    found = trainings.pictures(tmp_path_factory.mktemp("pictures"))
    items = (replace(item, caption=f"{item.caption} | thing {i}", label=-1) for i, item in enumerate(found.items))
    return Dataset(tuple(items))


@pytest.fixture(scope="module")
def vae(tmp_path_factory) -> Path:
    options = {"resolution": 16, "factor": 4, "width": 4, "hidden": 8, "latent_channels": 3}
    net = autoencoders.build(Design("vae", "tiny", options), seed=0)
    return autoencoders.save(tmp_path_factory.mktemp("vae") / "vae", {"": net})


def test_flow_v_and_epsilon_give_the_clean_sample_back() -> None:
    from diffusers import DDPMScheduler

    rng = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(3, 2, 4, 4, generator=rng), torch.randn(3, 2, 4, 4, generator=rng)
    level = torch.tensor([0.05, 0.5, 0.9])
    p = diffusion.pair(x0, noise, level, Settings(objective="flow"))
    assert torch.allclose(p.x - losses.along(level, x0) * p.target, x0, atol=1e-5)
    assert torch.equal(p.timestep, level * 1000) and torch.equal(p.weight, torch.ones(3))
    for objective in ("v", "epsilon"):
        p = diffusion.pair(x0, noise, level, Settings(objective=objective))
        reference = DDPMScheduler.from_config(dict(denoisers.scheduler(objective, 1.0).config))
        assert torch.equal(p.timestep, torch.tensor([50, 500, 900]))
        assert torch.allclose(reference.add_noise(x0, noise, p.timestep), p.x, atol=1e-5)
        alpha, sigma = (losses.along(known[p.timestep], x0) for known in denoisers.alphas_sigmas())
        clean = alpha * p.x - sigma * p.target if objective == "v" else (p.x - sigma * p.target) / alpha
        assert torch.allclose(clean, x0, atol=1e-3)
        snr = (alpha / sigma).square().flatten()
        expected = snr.clamp(max=5) / (snr + 1 if objective == "v" else snr)
        assert torch.allclose(p.weight, expected, rtol=1e-4)
        flat = diffusion.pair(x0, noise, level, Settings(objective=objective, min_snr=0.0))
        assert torch.equal(flat.weight, torch.ones(3))


def test_min_snr_and_the_shift_by_hand() -> None:
    snr = torch.tensor([0.5, 5.0, 20.0])
    assert torch.allclose(losses.min_snr(snr, "epsilon"), torch.tensor([1.0, 1.0, 0.25]))
    assert torch.allclose(losses.min_snr(snr, "v_prediction"), torch.tensor([0.5 / 1.5, 5 / 6, 5 / 21]))
    assert torch.allclose(losses.min_snr(snr, "sample"), torch.tensor([0.5, 5.0, 5.0]))
    level = torch.tensor([0.0, 0.25, 1.0])
    assert torch.allclose(losses.shifted(level, 3.0), torch.tensor([0.0, 0.5, 1.0]))
    assert torch.equal(losses.shifted(level, 1.0), level)


def test_levels_are_one_in_each_part() -> None:
    level = diffusion.stratified(16, torch.Generator().manual_seed(0))
    assert (level * 16).long().tolist() == list(range(16))


def test_captions_are_drawn_named_and_dropped(tmp_path: Path) -> None:
    objective = tiny(tmp_path, Settings(naming=1))
    rng = torch.Generator().manual_seed(0)
    said = [objective.spoken(("a cat | kitty", "dog"), rng, 0.25) for _ in range(400)]
    firsts, seconds = zip(*said)
    assert set(firsts) == {"a cat", "kitty", ""} and set(seconds) == {"dog", ""}
    assert 0.2 < seconds.count("") / 400 < 0.3 and 0.6 < firsts.count("kitty") / firsts.count("a cat") < 1.6
    assert objective.spoken(("dog",), rng, 0.0) == ["dog"]


def tiny(folder: Path, settings: Settings, classes: tuple[int, ...] = (4,), kind: str = "unet") -> DiffusionObjective:
    from transformers import PreTrainedTokenizerFast

    given = {"unet": DESIGN, "dit": DIT}[kind]
    length = denoisers.length_of(given)
    tokenizing.train_tokenizer(["a cat", "kitty", "dog", "bird"], folder / "t", vocabulary=300, length=length)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "t")
    design = replace(given, options={**given.options, "latent_channels": 3, "latent_side": 4})
    held = Encoded(torch.randn(4, 3, 4, 4), ("a cat", "kitty", "dog", "bird"), torch.arange(4)[:, None])
    nets = denoisers.build(design, tokenizer, seed=0)
    return DiffusionObjective(
        *nets, tokenizer, settings, classes=classes, held_out=held, distance=None, prompts=["dog"], held_prompts=["dog"],
        pipeline=lambda *_: None, kind=denoisers.KINDS[kind],
    )  # fmt: skip


def test_naming_trains_the_text_encoder_alone_and_denoising_leaves_it(tmp_path: Path) -> None:
    objective = tiny(tmp_path, Settings(naming=60, naming_rate=1e-2))
    shown = Encoded(
        torch.randn(4, 3, 4, 4), ("a cat | kitty", "kitty", "dog", "bird"), torch.tensor([[0], [0], [1], [2]])
    )

    def weights(part: str) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in getattr(objective.both, part).parameters()])

    text, denoiser = weights("text"), weights("denoiser")
    terms = [objective.step(shown, torch.Generator().manual_seed(k)) for k in range(60)]
    assert terms[-1]["naming"] < 0.3 * terms[0]["naming"]
    assert not torch.equal(text, weights("text")) and torch.equal(denoiser, weights("denoiser"))
    text = weights("text")
    assert "loss" in objective.step(shown, torch.Generator().manual_seed(99))
    assert torch.equal(text, weights("text")) and not torch.equal(denoiser, weights("denoiser"))
    averaged = torch.cat([p.flatten() for p in objective.average.text.parameters()])
    assert torch.equal(averaged, text)
    along = tiny(tmp_path, Settings(naming=0))
    before = [p.detach().clone() for p in along.both.text.parameters()]
    along.step(shown, torch.Generator().manual_seed(0))
    assert not all(torch.equal(a, b) for a, b in zip(before, along.both.text.parameters()))


def test_a_class_of_two_names_is_named_apart(tmp_path: Path) -> None:
    names = ["cat, blue", "cat", "dog, red", "dog, blue"]
    sizes, rows = making_diffusion.numbers(names)
    assert sizes == (2, 3) and rows == [[0, 0], [0, 1], [1, 2], [1, 0]], "no colour is a name, too"
    assert making_diffusion.numbers(["cat", "dog", "cat"]) == ((2,), [[0], [1], [0]])
    labelled = Dataset(tuple(Item(Path(f"{k}.png"), 8, 8, label=k - 1) for k in range(5)), (), tuple(names))
    assert making_diffusion.to_name(labelled) == ((3, 3), [[0, 0], [1, 1], [1, 0], [2, 2], [2, 1]]), "one has no class"
    told = replace(labelled, labels=(), items=tuple(replace(item, caption="a, b", label=-1) for item in labelled.items))
    assert making_diffusion.to_name(told) == ((1,), [[0]] * 5), "captions are whole"

    objective = tiny(tmp_path, Settings(naming=150, naming_rate=1e-2), classes=(2, 3))
    said, number = ("cat a", "cat", "dog i", "dog a"), torch.tensor([[0, 0], [0, 1], [1, 2], [1, 0]])
    shown = Encoded(torch.randn(4, 3, 4, 4), said, number)
    for k in range(150):
        objective.step(shown, torch.Generator().manual_seed(k))
    ids = tokens(objective.tokenizer, list(said))
    last = (ids == objective.tokenizer.eos_token_id).int().argmax(1)
    told = objective.namer(objective.both.text(ids).last_hidden_state[torch.arange(4), last]).split((2, 3), 1)
    assert [logits.argmax(1).tolist() for logits in told] == number.T.tolist()


def test_latents_lie_in_the_datasets_order_and_batches_take_theirs(data: Dataset, vae: Path) -> None:
    from pipelines.data import batches

    net, view = autoencoders.load(vae), batches.View((16, 16), mirror=True)
    feed = making_diffusion.Latents(data, 5, 4, view, net, CPU, range(len(data.items)))
    shown = feed(3)
    places = batches.indices(data, 5, 3, 4, view)
    assert shown.captions == tuple(data.items[place].caption for place in places) and shown.number.tolist() == list(
        places
    )
    x = making_diffusion.in_order(data, 0, 40, view)[torch.tensor(places)]
    straight, mirrored = (feed.encoded(some) for some in (x, x.flip(-1)))
    for row in range(4):
        same = [torch.allclose(shown.latents[row], way[row], atol=1e-5) for way in (straight, mirrored)]
        assert sum(same) == 1
    again = making_diffusion.Latents(data, 5, 4, view, net, CPU, range(len(data.items)))
    assert torch.equal(again(3).latents, shown.latents)


def test_a_set_too_large_to_keep_is_encoded_as_it_is_shown(data: Dataset, vae: Path, monkeypatch) -> None:
    from pipelines.data import batches

    net, view = autoencoders.load(vae), batches.View((16, 16))
    kept = making_diffusion.Latents(data, 5, 4, view, net, CPU, range(len(data.items)))
    monkeypatch.setattr(making_diffusion, "KEPT_BYTES", 100)
    fresh = making_diffusion.Latents(data, 5, 4, view, net, CPU, range(len(data.items)))
    assert fresh.kept is None and kept.kept is not None
    a, b = kept(7), fresh(7)
    fresh.close()
    assert torch.allclose(a.latents, b.latents, atol=1e-5) and a.captions == b.captions


@pytest.mark.parametrize(
    ("design", "naming"), [(DESIGN, 3), (DESIGN, 0), (DIT, 3)], ids=["named first", "trained along", "dit"]
)
def test_stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path, data: Dataset, vae: Path, design: Design, naming: int
) -> None:
    settings = replace(QUICK, naming=naming)

    def train(folder: Path, **host) -> making_diffusion.MadeModel:
        return making_diffusion.train_diffusion(
            data, design, settings, COURSE, folder, autoencoder=vae, mirror=True, **host
        )

    with trainings.one_thread():
        whole = train(tmp_path / "whole", runtime=CPU)
        for at in (2, 5):
            torch.manual_seed(at)
            stopped = train(tmp_path / "parts", **stop_at(at))
            assert stopped.sitting.stopped and stopped.sitting.step == at
        done = making.resume(tmp_path / "parts", data, 0, 9.0, runtime=CPU)
    trainings.same(tmp_path / "whole", tmp_path / "parts")
    a, b = (trainings.tensors(made.model.path) for made in (whole, done))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert "held-out denoising loss" in making.told(done) and "held-out KID" in making.told(done)


def test_a_training_on_every_picture_goes_on_with_every_picture(tmp_path: Path, data: Dataset, vae: Path) -> None:
    def train(folder: Path, **host) -> making_diffusion.MadeModel:
        given = {"autoencoder": vae, "mirror": False, "held_out": 0.0, **host}
        return making_diffusion.train_diffusion(data, DESIGN, QUICK, COURSE, folder, **given)

    with trainings.one_thread():
        train(tmp_path / "whole", runtime=CPU)
        train(tmp_path / "parts", **trainings.stop_at(2))
        done = making.resume(tmp_path / "parts", data, 0, 9.0, runtime=CPU)
    trainings.same(tmp_path / "whole", tmp_path / "parts")
    assert run.about(tmp_path / "parts")["about"]["pictures"] == len(data.items)
    assert "trained pictures' denoising loss" in making.told(done)


def test_a_dit_reads_a_prompt_as_its_pipeline_does_and_steps_alike(tmp_path: Path) -> None:
    """What the trainer shows the denoiser of a caption is what AuraFlowPipeline encodes, and its call is the pipeline's."""
    from diffusers import AuraFlowPipeline

    objective = tiny(tmp_path, Settings(naming=1), kind="dit")
    tokenizer, both = objective.tokenizer, objective.both
    pipe = AuraFlowPipeline(tokenizer, both.text, None, both.denoiser, denoisers.scheduler("flow", 2.5, "dit"))
    with torch.no_grad():
        told, *_ = pipe.encode_prompt(["a cat", "dog"], do_classifier_free_guidance=False)
        said = objective.said(both.text, ["a cat", "dog"])
        assert told.shape[1] == denoisers.AURA_LENGTH and torch.equal(told, said)
        mask = tokenizing.padded(tokenizer, ["a cat", "dog"])["attention_mask"].bool()
        assert not said[~mask].any() and said[mask].abs().sum(-1).min() > 0
        x, level = torch.randn(2, 3, 4, 4), torch.tensor([0.7, 0.7])
        ours = objective.kind.call(both.denoiser, x, level * denoisers.TRAIN_STEPS, said)
        theirs = both.denoiser(x, encoder_hidden_states=told, timestep=level, return_dict=False)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("objective", diffusion.OBJECTIVES)
def test_it_learns_a_few_pictures(tmp_path: Path, data: Dataset, vae: Path, objective: str) -> None:
    settings = Settings(objective=objective, naming=5, kid_every=0, half_life=50.0, rate=2e-2)
    course = Course(steps=60, batch=8, warm_up=5, examine_every=60)
    made = making_diffusion.train_diffusion(data, DESIGN, settings, course, tmp_path, autoencoder=vae, runtime=CPU)
    scores = [row["examined"]["score"] for row in made.sitting.log.rows if "examined" in row]
    assert scores[-1] < 0.9 * scores[0], scores


@KINDS
def test_the_folder_gives_in_plain_diffusers_what_the_trainer_shows(
    tmp_path: Path, data: Dataset, vae: Path, design: Design
) -> None:
    from diffusers import DiffusionPipeline

    made = making_diffusion.train_diffusion(data, design, QUICK, COURSE, tmp_path, autoencoder=vae, runtime=CPU)
    objective = made.sitting.objective
    assert isinstance(objective, DiffusionObjective)
    assert made.model.pipeline_class == denoisers.KINDS[design.kind].pipeline
    pipe = DiffusionPipeline.from_pretrained(made.model.path)
    pipe.set_progress_bar_config(disable=True)
    seeds = [torch.Generator().manual_seed(i) for i in range(4)]
    again = pipe(
        list(objective.prompts[:4]), height=16, width=16, num_inference_steps=2, guidance_scale=3.0, generator=seeds,
        output_type="pt",
    )  # fmt: skip
    with checkpoint.best(tmp_path / run.BEST, {"average": objective.average}):
        assert torch.allclose(again.images.movedim(1, -1), objective.pictures(4), atol=1e-5)
    assert "picture" in objective.prompts[0] and "|" not in objective.prompts[0]


@KINDS
def test_the_whole_pack_samples_it(tmp_path: Path, data: Dataset, vae: Path, design: Design) -> None:
    from pipelines import stages

    made = making_diffusion.train_diffusion(data, design, QUICK, COURSE, tmp_path, autoencoder=vae, runtime=CPU)
    told = stages.encode_prompt(made.model, ["picture 3"], [""], guided=True, runtime=CPU)
    latents = stages.empty_latents(made.model, width=16, height=16)
    latents = stages.sample(
        made.model, told, latents, seed=0, steps=2, cfg=3.0, scheduler="model default", denoise=1.0, guider=None, guide=None,
        on_step=None, runtime=CPU,
    )  # fmt: skip
    assert stages.decode_image(made.model, latents, runtime=CPU).shape == (1, 16, 16, 3)


def test_what_does_not_fit_is_refused(tmp_path: Path, data: Dataset, vae: Path) -> None:
    def train(dataset: Dataset = data, design: Design = DESIGN, autoencoder: Path = vae, **host) -> None:
        making_diffusion.train_diffusion(
            dataset, design, QUICK, COURSE, tmp_path / "run", autoencoder=autoencoder, **{"runtime": CPU, **host}
        )

    bare = Dataset(tuple(replace(item, caption="") for item in data.items))
    with pytest.raises(AigcError, match="pictures with captions"):
        train(bare)
    with pytest.raises(AigcError, match="resolution that 8 divides"):
        train(design=replace(DESIGN, options={**SMALL, "resolution": 20}))
    with pytest.raises(AigcError, match="multiple of 4"):
        train(design=replace(DESIGN, options={**SMALL, "widths": [6, 16]}))
    with pytest.raises(AigcError, match="Expected an autoencoder"):
        train(autoencoder=tmp_path)
    with pytest.raises(AigcError, match="run of a VAE"):
        making_diffusion.autoencoder_of(Run(tmp_path, DESIGN), vae)
    assert making_diffusion.autoencoder_of(None, vae) == vae
    train(**stop_at(1))
    other = autoencoders.save(tmp_path / "vae", {"": autoencoders.build(
        Design("vae", "tiny", {"resolution": 16, "factor": 4, "width": 4, "hidden": 8, "latent_channels": 3}), seed=1
    )})  # fmt: skip
    with pytest.raises(AigcError, match="about autoencoder"):
        train(autoencoder=other)
    assert run.about(tmp_path / "run")["design"]["options"]["latent_side"] == 4
