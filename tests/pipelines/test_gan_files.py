"""Files of GANs: ours whole or not at all, and other people's read by their shapes to the same pictures, bit for bit."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

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


class Foreign(nn.Module):
    """A generator as tutorials write it. inputs: of the first layer; names: of its layers, or none for a Sequential."""

    def __init__(self, inputs=12, widths=(10, 8, 6, 4), channels=3, bias=False, kernel=4, norm=True, named=False):
        super().__init__()
        layers: list[tuple[str, nn.Module]] = []
        for i, (a, b) in enumerate(zip((inputs, *widths), widths)):
            size, stride, padding = (4, 1, 0) if i == 0 else (kernel, 2, {4: 1, 5: 2, 2: 0}[kernel])
            extra = 1 if kernel == 5 and i else 0
            layers.append((f"deconv{i + 1}", nn.ConvTranspose2d(a, b, size, stride, padding, extra, bias=bias)))
            layers += [(f"deconv{i + 1}_bn", nn.BatchNorm2d(b))] if norm else []
            layers.append((f"act{i}", nn.ReLU()))
        size, padding, extra = kernel, {4: 1, 5: 2, 2: 0}[kernel], int(kernel == 5)
        layers.append(
            (f"deconv{len(widths) + 1}", nn.ConvTranspose2d(widths[-1], channels, size, 2, padding, extra, bias=bias))
        )
        layers.append(("tanh", nn.Tanh()))
        self.main = nn.Sequential(OrderedDict(layers)) if named else nn.Sequential(*(layer for _, layer in layers))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.main(z[:, :, None, None])


def trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that leave a picture, and running statistics as after some training."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
        elif hasattr(module, "weight"):
            nn.init.normal_(module.weight, 0, 0.2)
    return net.eval()


def same(path: Path, expected, z_dim: int, labels=None, **given) -> Gan:
    """The generator read from a file draws what `expected(z)` says, also after it was saved as ours."""
    z = torch.randn(3, z_dim, generator=torch.Generator().manual_seed(0))
    found, _ = files.describe(path, **given)
    ours = files.save(
        path.with_name("ours.safetensors"), Design("gan", found.kind, found.options), files.weights(found)
    )
    with torch.no_grad():
        for made in (found, ours, files.describe(ours.path)[0]):
            g = files.network(made, "generator")
            assert g.z_dim == z_dim
            pictures = g(z, labels)
            assert torch.equal(pictures, expected(z).expand(-1, 3, -1, -1))
            assert pictures.shape[-1] == g.resolution
    return found


@pytest.mark.parametrize(
    "options",
    (
        {},
        {"channels": 1, "bias": True},
        {"kernel": 5, "named": True},
        {"kernel": 2, "widths": (8, 4), "norm": False},
        {"named": True, "bias": True},
    ),
    ids=("tutorial", "grey-with-bias", "five-wide", "two-wide-without-norm", "named"),
)
@pytest.mark.parametrize("form", ("bare.pth", "nested.pt", "parallel.tar", "plain.safetensors"))
def test_a_dcgan_of_any_naming_draws_what_its_authors_does_bit_for_bit(tmp_path: Path, options, form):
    net = trained(Foreign(inputs=100, **options))
    state = dict(net.state_dict())
    path = tmp_path / form
    if form == "bare.pth":
        torch.save(state, path)
    elif form == "nested.pt":
        torch.save({"epoch": 3, "netG_state_dict": state, "optimizerG_state_dict": {"state": {0: torch.ones(2)}}}, path)
    elif form == "parallel.tar":
        torch.save({"models": {"g": {f"module.{k}": v for k, v in state.items()}}}, path)
    else:
        save_file(state, str(path))
    found = same(path, net, 100)
    assert found.kind == "stack" and found.parts == ("generator",) and found.options["classes"] == 0


def test_a_linear_beginning_and_its_discriminator_beside_it(tmp_path: Path):
    net = trained(
        nn.Sequential(
            nn.Linear(20, 8 * 16), nn.Unflatten(1, (8, 4, 4)), nn.ReLU(),
            nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh(),
        )
    )  # fmt: skip
    critic = trained(
        nn.Sequential(
            nn.Conv2d(3, 6, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(6, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2),
            nn.Conv2d(8, 1, 4),
        )
    )  # fmt: skip
    both = {f"G.{k}": v for k, v in net.state_dict().items()} | {f"D.{k}": v for k, v in critic.state_dict().items()}
    torch.save(both, tmp_path / "both.pth")
    found = same(tmp_path / "both.pth", net, 20)
    assert found.parts == ("generator", "discriminator")
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(files.network(found, "discriminator")(x), critic(x).flatten())
        ours = files.describe(tmp_path / "ours.safetensors")[0]
        assert torch.equal(files.network(ours, "discriminator")(x), critic(x).flatten())


@pytest.mark.parametrize("classes", (-1, 8))
def test_classes_beside_the_noise_are_inferred_or_set(tmp_path: Path, classes):
    net = trained(Foreign(inputs=108))
    torch.save(net.state_dict(), tmp_path / "eyes.pth")
    labels = torch.tensor([0, 7, 3])
    one_hot = torch.eye(8)[labels]
    same(tmp_path / "eyes.pth", lambda z: net(torch.cat([z, one_hot], 1)), 100, labels, classes=classes)
    _, notes = files.describe(tmp_path / "eyes.pth", classes)
    assert "100 of noise and 8 classes" in notes[0] if classes < 0 else "as you set" in notes[0]
    found = same(tmp_path / "eyes.pth", net, 108, classes=0)
    assert found.options["classes"] == 0


@pytest.mark.parametrize("size", (5, 12))
def test_a_class_embedding_stands_behind_z_or_is_multiplied_with_it(tmp_path: Path, size):
    net = trained(Foreign(inputs=12))
    table = trained(nn.Embedding(3, size))
    torch.save({"label_emb.weight": table.weight.data, **net.state_dict()}, tmp_path / "e.pth")
    labels = torch.tensor([0, 2, 1])
    about = torch.eye(3)[labels] @ table.weight.data
    joined = (lambda z: z * about) if size == 12 else (lambda z: torch.cat([z, about], 1))
    same(tmp_path / "e.pth", lambda z: net(joined(z)), 12 if size == 12 else 7, labels)


def rosinality(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our names of a StyleGAN2's weights -> rosinality's; written apart from the engine's own table, which it proves."""
    out = {"input.input": state["start"][None]}
    ends = {"weight": "conv.weight", "affine.weight": "conv.modulation.weight", "affine.bias": "conv.modulation.bias"}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "mapping":
            out[f"style.{int(parts[2]) + 1}.{parts[3]}"] = value
        if parts[0] != "blocks":
            continue
        block, end = int(parts[1]), ".".join(parts[3:])
        number = 2 * (block - 1) + (parts[2] == "conv")
        rgb = parts[2] == "rgb"
        place = (
            ("to_rgb1" if block == 0 else f"to_rgbs.{block - 1}")
            if rgb
            else ("conv1" if block == 0 else f"convs.{number}")
        )
        if end == "const":
            out[f"noises.noise_{0 if block == 0 else number + 1}"] = value[None, None]
        elif end == "strength":
            out[f"{place}.noise.weight"] = value[None]
        elif end == "bias":
            out[f"{place}.bias" if rgb else f"{place}.activate.bias"] = value[None, :, None, None] if rgb else value
        else:
            out[f"{place}.{ends[end]}"] = value[None] if end == "weight" else value
    out["to_rgbs.0.upsample.kernel"] = out["convs.0.conv.blur.kernel"] = torch.ones(4, 4)
    return out


def rosinality_critic(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    out = {}
    ours = {"rgb": ("convs.0.0", "convs.0.1"), "conv": ("final_conv.0", "final_conv.1")}
    ours |= {"dense": ("final_linear.0",) * 2, "out": ("final_linear.1",) * 2}
    inside = {"conv": ("conv1.0", "conv1.1"), "shrink": ("conv2.1", "conv2.2"), "skip": ("skip.1", "")}
    for name, value in state.items():
        parts = name.split(".")
        bias = parts[-1] == "bias"
        if parts[0] == "blocks":
            out[f"convs.{int(parts[1]) + 1}.{inside[parts[2]][bias]}.{parts[-1]}"] = value
        else:
            out[f"{ours[parts[0]][bias]}.{parts[-1]}"] = value
    return out


@pytest.mark.parametrize("averaged", (True, False))
def test_stylegan2_under_rosinalitys_names(tmp_path: Path, averaged):
    g, d = networks("stylegan2", channels=[8, 8, 6, 4])
    g.w_average.normal_(generator=torch.Generator().manual_seed(0))
    held = {
        "g": rosinality(g.state_dict()),
        "g_ema": rosinality(g.state_dict()),
        "d": rosinality_critic(d.state_dict()),
    }
    held |= {"latent_avg": g.w_average.clone()} if averaged else {}
    torch.save(held, tmp_path / "r.pt")
    found, notes = files.describe(tmp_path / "r.pt")
    assert found.kind == "stylegan2" and found.parts == files.PARTS and not notes
    z, _ = latents(g, 4)
    with torch.no_grad():
        expected = g(z, noise="const")
        theirs = files.network(found, "average")
        assert torch.equal(theirs(z, noise="const"), expected)
        assert torch.equal(files.network(found, "discriminator")(expected), d(expected))
        if averaged:
            assert torch.equal(theirs.w_average, g.w_average)
        else:  # it is the mean of what the mapping makes
            many = g.map(torch.randn(4000, g.z_dim, generator=torch.Generator().manual_seed(9)))[:, 0]
            assert (theirs.w_average - many.mean(0)).abs().max() < 5 * float(many.std(0).max()) / 4000**0.5


@pytest.mark.parametrize(
    ("state", "says"),
    (
        ({"a.weight": torch.zeros(4, 3, 3, 3), "b.weight": torch.zeros(3, 4, 3, 3)}, r"a \[4, 3, 3, 3\]"),
        (dict(Foreign(kernel=4, channels=5).state_dict()), "ends in 5 channels"),
        ({"lin.weight": torch.zeros(4, 3)}, "not a row of transposed convolutions"),
        ({}, "got no tensors"),
        ({"G": {"synthesis.b4.const": torch.zeros(4, 4, 4), "synthesis.input.freqs": torch.zeros(3, 2)}}, "StyleGAN3"),
    ),
)
def test_what_cannot_be_inferred_is_refused_with_the_shapes_that_were_seen(tmp_path: Path, state, says):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(AigcError, match=says):
        files.describe(tmp_path / "x.pth")


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
        torch.save(Foreign().state_dict(), path)
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
