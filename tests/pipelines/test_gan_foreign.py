"""GANs in other people's files: read by their shapes, they draw the same pictures bit for bit; or the shapes are said."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipelines.errors import AigcError
from pipelines.gan import files
from pipelines.payloads import Design, Gan

from .gans import latents, networks


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
