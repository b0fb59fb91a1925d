"""NVIDIA's network pickles: every tensor bit for bit, and nothing in the file ever runs."""

from __future__ import annotations

import builtins
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch

from pipelines.errors import AigcError
from pipelines.gan import files, nvidia
from pipelines.runtime import Runtime
from pipelines.score import judges, scoring

from .gans import latents, networks
from .nvidia_pickle import BUFFERS, nvidia_discriminator, nvidia_generator, tree, write

WIDE = {"channels": [8, 8, 6, 4], "critic_mapping": 2}


def written(path: Path, classes: int = 0, clamp: float | None = None, protocol: int = 4):
    """A pickle of a small StyleGAN2 in NVIDIA's form; and our networks and the tensors in it."""
    g, d = networks("stylegan2", classes=classes, clamp=clamp or 0.0, **WIDE)
    g.w_average.normal_(generator=torch.Generator().manual_seed(4))
    theirs = nvidia_generator(g.state_dict())
    critic = nvidia_discriminator(d.state_dict(), 32)
    settings = {"z_dim": 8, "c_dim": classes, "w_dim": 8, "img_resolution": 32}
    if clamp:
        settings["synthesis_kwargs"] = {"channel_base": 128, "conv_clamp": clamp}
    made = tree("Generator", theirs, BUFFERS, **settings)
    write(path, {"G": made, "D": tree("Discriminator", critic, BUFFERS), "G_ema": made}, protocol)
    return g, d, theirs, critic


@pytest.mark.parametrize("protocol", (3, 4))
def test_tensors_are_bit_exact_and_the_settings_are_read(tmp_path: Path, protocol):
    _, _, theirs, critic = written(tmp_path / "net.pkl", protocol=protocol)
    loaded = set(sys.modules)
    found = nvidia.read(tmp_path / "net.pkl")
    assert set(found) == {"G", "D", "G_ema"}
    for name, expected in (("G", theirs), ("G_ema", theirs), ("D", critic)):
        assert found[name].tensors.keys() == expected.keys()
        assert all(torch.equal(found[name].tensors[k], v) for k, v in expected.items())
    assert found["G_ema"].settings == {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 32}
    assert found["G"].class_name == "Generator"
    assert not {name for name in set(sys.modules) - loaded if name.startswith(("torch_utils", "dnnlib"))}


@pytest.mark.parametrize("classes", (0, 3))
@pytest.mark.parametrize("clamp", (None, 0.5))
def test_the_gan_in_it_computes_what_ours_does(tmp_path: Path, classes, clamp):
    g, d, *_ = written(tmp_path / "net.pkl", classes, clamp)
    gan, notes = files.describe(tmp_path / "net.pkl")
    assert gan.parts == ("generator", "average", "discriminator") and gan.kind == "stylegan2" and not notes
    assert gan.options["classes"] == classes and gan.options["clamp"] == (clamp or 0)
    z, labels = latents(g, 4)
    with torch.no_grad():
        expected = g(z, labels, noise="const")
        assert torch.equal(files.network(gan, "average")(z, labels, noise="const"), expected)
        assert torch.equal(files.network(gan, "discriminator")(expected, labels), d(expected, labels))


def test_its_discriminator_is_a_judge_of_single_pictures(tmp_path: Path):
    _, d, *_ = written(tmp_path / "net.pkl")
    from pipelines.gan import judge

    gan, _ = files.describe(tmp_path / "net.pkl")
    image = torch.rand(3, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    values = scoring.score(judge.discriminator(gan), image, runtime=Runtime("cpu")).values
    judges.release_all(Runtime("cpu"))
    with torch.no_grad():
        assert list(values) == pytest.approx(d(2 * image.movedim(-1, 1) - 1, group=1).tolist(), abs=1e-5)


class Evil:
    """Pickles as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def evil(place: str) -> dict[str, object]:
    make = f"__import__('os').mkdir({place!r})"
    return {
        "os.system": Evil(os.system, f"mkdir {place}"),
        "eval": Evil(builtins.eval, make),
        "getattr": Evil(getattr, Evil(builtins.__import__, "os"), "mkdir"),
        "nested": {"G": {"deep": [1, {"er": Evil(os.mkdir, place)}]}},
        "in the state": tree("Generator", {"w": torch.zeros(1)}, set(), z_dim=Evil(os.mkdir, place)),
        "torch.load": Evil(torch.load, place),
        "hooks": Evil(torch._utils._rebuild_parameter, torch.zeros(1), False, Evil(os.mkdir, place)),
    }


@pytest.mark.parametrize("kind", tuple(evil("")))
def test_a_pickle_that_asks_for_anything_else_is_refused_and_nothing_ran(tmp_path: Path, kind):
    place = tmp_path / "ran"
    write(tmp_path / "evil.pkl", {"G_ema": evil(str(place))[kind]})
    with pytest.raises(AigcError, match="nothing of it ran"):
        nvidia.read(tmp_path / "evil.pkl")
    assert not place.exists()


def test_a_storage_that_hides_a_pickle_is_refused(tmp_path: Path):
    import io

    place = tmp_path / "ran"
    inner = io.BytesIO()
    torch.save(Evil(os.mkdir, str(place)), inner)
    write(tmp_path / "evil.pkl", {"G_ema": Evil(torch.storage._load_from_bytes, inner.getvalue())})
    with pytest.raises(AigcError, match="nothing of it ran"):
        nvidia.read(tmp_path / "evil.pkl")
    assert not place.exists()


def test_a_file_cannot_change_the_functions_it_is_handed(tmp_path: Path):
    """BUILD with slots sets attributes of whatever is on the stack; here of the reader's own function."""
    names = b"ctorch._utils\n_rebuild_parameter\n"
    slots = pickle.dumps({"_function": 1}, 0)[:-1]
    (tmp_path / "evil.pkl").write_bytes(names + b"(N" + slots + b"tb.")
    with pytest.raises(AigcError, match="nothing of it ran"):
        nvidia.read(tmp_path / "evil.pkl")


@pytest.mark.parametrize("offset, size", ((0, (9,)), (3, (2,)), (-1, (2,))))
def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path, offset, size):
    storage = torch.arange(4.0)._typed_storage()
    call = Evil(torch._utils._rebuild_tensor_v2, storage, offset, size, (1,), False, {})
    write(tmp_path / "torn.pkl", {"G_ema": call})
    with pytest.raises(AigcError, match="damaged"):
        nvidia.read(tmp_path / "torn.pkl")


@pytest.mark.parametrize("data", (b"", b"\x80\x04", b"no pickle at all", pickle.dumps([1, 2]), pickle.dumps({})))
def test_what_is_no_network_pickle_is_said_to_be_none(tmp_path: Path, data):
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(AigcError, match="Expected"):
        files.describe(tmp_path / "x.pkl")
