"""A judge trained from what a user has: what it learns, what is kept when it is stopped, where it works."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import stages
from pipelines.errors import AigcError
from pipelines.loading import Roots, open_model
from pipelines.payloads import JudgeSpec
from pipelines.runtime import Runtime
from pipelines.score import curve, judges, learned, learning, material, scoring
from pipelines.stages import own

from . import staged

CPU = Runtime("cpu")
SPEC = JudgeSpec("mine", modality="latent", space="latent:test")


@pytest.fixture(autouse=True)
def nothing_loaded():
    yield
    stages.release_all()
    judges.release_all(CPU)


def sides(count: int = 60, shift: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and generated latents that differ in their mean."""
    x = torch.randn(2, count, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return x[0] + shift, x[1]


def course(**values) -> learning.Course:
    return learning.Course(**{"steps": 60, "minutes": 5, "batch": 16, **values})


def test_it_learns_and_the_file_scores_as_the_report_says(tmp_path: Path):
    path = tmp_path / "mine.safetensors"
    judge, report = learning.learn(SPEC, *sides(), course(noise_aware=True), path)
    assert report.auc[0][1] > 0.95 and report.auc[-1][1] < report.auc[0][1] and judge.spec.sigma_range
    assert sum(report.counts[::2]) == 60 and min(report.counts) > 4
    real, fake = (scoring.score(judge, {"samples": x}, runtime=CPU).values for x in sides())
    assert sum(real) > sum(fake) and learned.read_header(path)[0] == judge
    assert f"{report.auc[0][1]:.3f}" in learning.told(judge, report)


def test_a_stop_keeps_what_was_learned_and_one_at_once_leaves_no_file(tmp_path: Path):
    def stopping(at: int):
        def on_step(done: int, total: int, report) -> None:
            if done == at:
                raise KeyboardInterrupt

        return on_step

    for at, kept in ((40, True), (3, False)):
        path = tmp_path / f"{at}.safetensors"
        with pytest.raises(KeyboardInterrupt):
            learning.learn(SPEC, *sides(), course(), path, on_step=stopping(at))
        assert path.exists() == kept
    judge = learned.read_header(tmp_path / "40.safetensors")[0]
    assert judge.calibrated and len(scoring.score(judge, {"samples": sides()[0]}, runtime=CPU).values) == 60


def test_equal_seeds_give_equal_judges_and_what_came_in_stays_as_it_was(tmp_path: Path):
    given = sides()
    before = [x.clone() for x in given]
    with torch.inference_mode():  # as a host runs nodes
        made = [learning.learn(SPEC, *given, course(), tmp_path / f"{i}.safetensors")[0] for i in range(2)]
    first, second = (learned.open_file(judge).net.state_dict() for judge in made)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert all(torch.equal(a, b) for a, b in zip(given, before))


def test_the_course_ends_with_its_minutes(tmp_path: Path):
    _, report = learning.learn(SPEC, *sides(), course(steps=10**9, minutes=0.02), tmp_path / "a.safetensors")
    assert 1 <= report.seconds < 30 and report.steps >= 1


@pytest.mark.parametrize(
    ("real", "fake", "says"),
    (
        (torch.zeros(8, 4, 8, 8), torch.zeros(60, 4, 8, 8), "at least"),
        (torch.zeros(60, 4, 8, 8), torch.zeros(60, 4, 16, 16), "of one shape"),
        (torch.zeros(60, 4, 8), torch.zeros(60, 4, 8), "a judge of sound cannot be trained"),
    ),
)
def test_too_few_other_shapes_and_sound_are_refused(real, fake, says, tmp_path: Path):
    with pytest.raises(AigcError, match=says):
        learning.learn(SPEC, real, fake, course(), tmp_path / "a.safetensors")


def test_a_name_that_is_taken_gets_a_number_and_a_bad_one_is_refused(tmp_path: Path):
    names = []
    for _ in range(3):
        path = learning.free_path(tmp_path, " mine ")
        path.touch()
        names.append(path.name)
    assert names == ["mine.safetensors", "mine 2.safetensors", "mine 3.safetensors"]
    for bad in ("", "../mine", "a/b", ".hidden", "x" * 101):
        with pytest.raises(AigcError, match="Expected a name"):
            learning.free_path(tmp_path, bad)


def test_a_space_is_read_off_the_way_into_it():
    scale, shift = torch.tensor([2.0, 0.5, 3.0]).view(1, 3, 1, 1), torch.tensor([0.1, 0.0, -1.0]).view(1, 3, 1, 1)
    found = learning.affine(lambda z: (z - shift) * scale, torch.zeros(1, 3, 4, 4), "latent:x")
    assert found.scale == pytest.approx((2.0, 0.5, 3.0)) and found.shift == pytest.approx((0.1, 0.0, -1.0))
    assert learning.affine(lambda z: 0.5 * z, torch.zeros(1, 3, 4, 4), "latent:x").scale == 0.5
    with pytest.raises(AigcError, match="by channel"):
        learning.affine(lambda z: z * torch.arange(1.0, 5), torch.zeros(1, 3, 4, 4), "latent:x")
    z = 7 + 3 * torch.randn(50, 4, 8, 8)
    whitened = scoring.to_space(
        JudgeSpec("", **{k: getattr(learning.own_space(z, ""), k) for k in ("scale", "shift")}), z
    )
    assert float(whitened.std()) == pytest.approx(1, abs=1e-3) and abs(float(whitened.mean())) < 1e-3


def conditioned(family: str, folder: Path):
    model = open_model(str(folder), roots=Roots(), dtype="float32", offload="keep")
    texts = ([staged.PROMPT, "a dog"], [staged.NEGATIVE] * 2)
    return model, stages.encode_prompt(model, *texts, guided=True, runtime=CPU)


@pytest.mark.parametrize("family", ("sd15", "flux"))
def test_a_models_space_is_that_of_its_autoencoders_config(family, tiny_model):
    model, conditioning = conditioned(family, tiny_model(family))
    config = json.loads((model.path / "vae" / "config.json").read_text())
    space = own.space_of(model, conditioning, stages.empty_latents(model, width=64, height=64), runtime=CPU)
    assert space.scale == pytest.approx(config["scaling_factor"], rel=1e-4)
    assert space.shift == pytest.approx(config.get("shift_factor") or 0.0, abs=1e-4)


def test_a_model_encodes_the_folder_and_makes_its_own_with_seeds_that_go_on(tiny_model, tmp_path: Path):
    model, conditioning = conditioned("sd15", tiny_model("sd15"))
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 255, (70 + index, 90, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    told = []
    sources = material.Sources(str(tmp_path), model=model, conditioning=conditioning, size=64, count=3, steps=2, seed=5)
    found = material.gathered(sources, on_item=lambda *args: told.append(args), runtime=CPU)
    assert found.real.shape[0] == found.fake.shape[0] == 3 and found.real.shape[1:] == found.fake.shape[1:]
    assert len(found.skipped) == 1 and "broken.png" in found.skipped[0] and told[-1] == (2, 3)
    alone = stages.sample(
        model,
        conditioning,
        stages.empty_latents(model, width=64, height=64, batch_size=2),
        seed=7,
        steps=2,
        cfg=3.0,
        runtime=CPU,
    )["samples"]
    assert torch.allclose(found.fake[2:], alone[:1] * found.space.scale, atol=1e-5)


def test_pictures_alone_make_a_judge_of_pictures_and_what_is_missing_is_said(tmp_path: Path):
    real, fake = torch.rand(30, 40, 56, 3), torch.rand(30, 64, 48, 3)
    found = material.gathered(material.Sources(real_image=real, image=fake, size=32), on_item=print, runtime=CPU)
    assert found.space.name == "rgb01" and found.real.shape == found.fake.shape == (30, 3, 32, 32)
    cases = {
        "image, latents, or a model": material.Sources(real_image=real),
        "name a folder": material.Sources(image=fake),
        "which is not there": material.Sources(str(tmp_path / "none"), image=fake),
        "a model to encode": material.Sources(real_image=real, latents={"samples": torch.zeros(3, 4, 8, 8)}),
        "one shape": material.Sources(
            real_latents={"samples": torch.zeros(3, 4, 4, 4)}, latents={"samples": torch.zeros(3, 4, 8, 8)}
        ),
    }
    for says, sources in cases.items():
        with pytest.raises(AigcError, match=says):
            material.gathered(sources, on_item=print, runtime=CPU)


def test_the_curve_is_a_picture_that_changes_with_the_report(tmp_path: Path):
    _, report = learning.learn(SPEC, *sides(), course(noise_aware=True), tmp_path / "a.safetensors")
    whole = curve.image(report)
    report.auc = ()
    assert whole.shape == (1, 360, 640, 3) and not torch.equal(whole, curve.image(report))
