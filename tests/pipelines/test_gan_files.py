"""Files of GANs: whole or not at all, the same when read, and read for tensors only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipelines import gan
from pipelines.errors import AigcError
from pipelines.gan import files, opening
from pipelines.payloads import Design, Gan
from pipelines.runtime import Runtime
from pipelines.score import judges, scoring
from pipelines.sources import Roots, find_gan, list_gans

from .gans import design, latents, networks

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    opening.release_all(CPU)
    judges.release_all(CPU)


def saved(path: Path, kind: str = "stylegan2", licence: str = "CC0", **options) -> Gan:
    g, d = networks(kind, **options)
    average, _ = networks(kind, seed=1, **options)
    parts = {"generator": g, "average": average, "discriminator": d}
    return files.save(path, design(kind, **options), parts, licence=licence)


@pytest.mark.parametrize("kind", tuple(gan.KINDS))
def test_save_load_save_is_identical_and_the_parts_are_the_networks(tmp_path: Path, kind):
    made = saved(tmp_path / "a.safetensors", kind, classes=2)
    found, notes = files.describe(tmp_path / "a.safetensors")
    assert found == made and not notes and found.licence == "CC0" and found.parts == files.PARTS
    again = files.save(
        tmp_path / "b.safetensors", Design("gan", found.kind, found.options), files.weights(found), licence="CC0"
    )
    one, two = (safe_open(str(tmp_path / name), "pt") for name in ("a.safetensors", "b.safetensors"))
    assert one.metadata() == two.metadata() and list(one.keys()) == list(two.keys())
    assert all(torch.equal(one.get_tensor(name), two.get_tensor(name)) for name in one.keys())
    assert again.options == found.options
    g, d = networks(kind, classes=2)
    z, labels = latents(g)
    with torch.no_grad():
        expected = g(z, labels, noise="const")
        assert torch.equal(files.network(found, "generator")(z, labels, noise="const"), expected)
        assert torch.equal(files.network(found, "discriminator")(expected, labels), d(expected, labels))
        assert not torch.equal(files.network(found, "average")(z, labels, noise="const"), expected)


def test_a_failed_save_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch):
    saved(tmp_path / "a.safetensors")
    before = (tmp_path / "a.safetensors").read_bytes()

    def full(tensors, name, metadata=None):
        Path(name).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        saved(tmp_path / "a.safetensors", licence="other")
    assert (tmp_path / "a.safetensors").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_open_networks_stay_open_until_their_file_changes(tmp_path: Path):
    made = saved(tmp_path / "a.safetensors")
    with opening.generating(made, CPU) as one, opening.generating(made, CPU) as two:
        assert one is two and not one.training
        with torch.inference_mode():
            z, _ = latents(one)
        w = one.map(z.clone()).detach().clone().requires_grad_()
        one.synthesize(w, noise="const").square().sum().backward()
        assert w.grad is not None and bool(w.grad.any())
    os.utime(made.path, (1, 1))
    with opening.generating(made, CPU) as three:
        assert three is not one
    made.path.unlink()
    with pytest.raises(AigcError, match="not there any more"), opening.generating(made, CPU):
        pass


def test_its_discriminator_is_a_judge_like_any_other(tmp_path: Path):
    saved(tmp_path / "cond.safetensors", classes=3)
    saved(tmp_path / "plain.safetensors", "r3gan")
    roots = Roots(judges=(tmp_path,))
    image = torch.rand(4, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    x = 2 * image.movedim(-1, 1) - 1
    _, d = networks("stylegan2", classes=3)
    with torch.no_grad():
        every = torch.stack([d(x, torch.full((4,), c), group=1) for c in range(3)])
        expected = every.exp().mean(0).log()
        values = scoring.score(judges.open_discriminator("cond", roots=roots), image, runtime=CPU).values
        assert list(values) == pytest.approx(expected.tolist(), abs=1e-4)
        _, d = networks("r3gan")
        values = scoring.score(judges.open_discriminator("plain", roots=roots), image, runtime=CPU).values
        assert list(values) == pytest.approx(d(x).tolist(), abs=1e-4)
    g, _ = networks("dcgan")
    files.save(tmp_path / "none.safetensors", design("dcgan"), {"generator": g})
    with pytest.raises(AigcError, match=r"got none\.safetensors with generator only"):
        judges.open_discriminator("none", roots=roots)


class Running:
    place = ""

    def __reduce__(self):
        return os.mkdir, (Running.place,)


def test_a_torch_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path):
    Running.place = str(tmp_path / "ran")
    torch.save({"netG": {"main.0.weight": torch.zeros(1)}, "x": Running()}, tmp_path / "evil.pth")
    with pytest.raises(AigcError, match="nothing of it ran"):
        files.describe(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ("a.safetensors", "a.pth"))
def test_a_torn_file_is_said_to_be_damaged(tmp_path: Path, name):
    path = tmp_path / name
    if name.endswith("pth"):
        torch.save(networks("dcgan")[0].state_dict(), path)
    else:
        saved(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(AigcError, match="damaged"):
        files.describe(path)


def test_weights_that_do_not_fit_their_design_are_refused(tmp_path: Path):
    made = saved(tmp_path / "a.safetensors")
    state = load_file(tmp_path / "a.safetensors")
    del state["generator.start"]
    import json

    header = {"format": files.FORMAT, "kind": made.kind, "options": json.dumps(made.options)}
    save_file(state, tmp_path / "b.safetensors", metadata=header)
    with pytest.raises(AigcError, match="with no start"):
        files.network(files.describe(tmp_path / "b.safetensors")[0], "generator")
    other = {**made.options, "w_dim": 4}
    save_file(load_file(made.path), tmp_path / "c.safetensors", metadata={**header, "options": json.dumps(other)})
    with pytest.raises(AigcError, match="size mismatch"):
        files.network(files.describe(tmp_path / "c.safetensors")[0], "generator")


def test_gans_are_found_by_name_the_embedded_ones_first(tmp_path: Path):
    for folder, name in (("own", "b.safetensors"), ("host", "a.pkl"), ("host", "deep/c.pth"), ("host", "notes.txt")):
        (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).touch()
    roots = Roots(gans=(tmp_path / "own", tmp_path / "host"))
    assert list_gans(roots) == ["b.safetensors", "a.pkl", "deep/c.pth"]
    assert find_gan("deep/c.pth", roots) == tmp_path / "host/deep/c.pth"
    with pytest.raises(AigcError, match=r"Did you mean b\.safetensors"):
        find_gan("b.safetensor", roots)


def test_the_shipped_faces_are_a_whole_gan_within_15_mb(repo_root: Path):
    path = repo_root / "models" / "gan" / "faces.safetensors"
    faces, notes = files.describe(path)
    assert path.stat().st_size <= 15e6 and not notes and faces.licence == "Apache-2.0"
    g, d = (files.network(faces, part) for part in ("average", "discriminator"))
    assert g.resolution == d.resolution >= 64
    z = torch.randn(8, g.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        drawn = g(z, noise="const")
        blank = torch.ones(8, 3, g.resolution, g.resolution)
        assert float((drawn[:4] - drawn[4:]).abs().mean()) > 0.05  # not one face
        assert float(d(drawn).mean()) > float(d(-blank).mean())  # it knows a face from a black square
