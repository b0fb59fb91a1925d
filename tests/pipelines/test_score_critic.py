"""A GAN's own discriminator in a file: the network that is read off its shapes computes what the author's does, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from pipelines.errors import AigcError
from pipelines.runtime import Runtime
from pipelines.score import judges, scoring
from pipelines.sources import Roots

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_open():
    yield
    judges.release_all(CPU)


class Tutorial(nn.Module):
    """Layers under `main`, as the widely used tutorials write them; 64 pixels for four halvings."""

    def __init__(self, widths=(6, 8, 10, 12), channels=3, norm=True, wrap=lambda layer: layer, bias=False, end=4):
        super().__init__()
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(zip((channels, *widths), widths)):
            layers.append(wrap(nn.Conv2d(a, b, 4, 2, 1, bias=bias)))
            layers += [nn.BatchNorm2d(b)] if norm and i else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        layers += [wrap(nn.Conv2d(widths[-1], 1, end, 1, 0, bias=bias)), nn.Sigmoid()]
        self.main = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main[:-1](x).flatten()


def made(seed: int = 0, **options) -> Tutorial:
    """Random weights and running statistics, as after some training."""
    torch.manual_seed(seed)
    net = Tutorial(**options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net.eval()


def scored(path: Path, image: torch.Tensor) -> list[float]:
    judge = judges.open_discriminator(str(path), roots=Roots())
    return list(scoring.score(judge, image, runtime=CPU).values)


def pictures(side: int = 64, count: int = 3) -> torch.Tensor:
    return torch.rand(count, side, side, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("suffix", (".safetensors", ".pth"))
@pytest.mark.parametrize(
    "options",
    (
        {},
        {"bias": True, "widths": (4, 6)},
        {"norm": False, "wrap": spectral_norm},
        {"norm": False, "wrap": parametrizations.spectral_norm, "bias": True},
    ),
    ids=("tutorial", "16-pixels-with-bias", "spectral", "spectral-parametrised"),
)
def test_the_network_computes_what_the_authors_does_bit_for_bit(tmp_path: Path, suffix, options):
    net = made(**options)
    side = 4 * 2 ** len(options.get("widths", (6, 8, 10, 12)))
    path = tmp_path / f"d{suffix}"
    if suffix == ".pth":
        torch.save(net.state_dict(), path)
    else:
        save_file(dict(net.state_dict()), str(path))
    image = pictures(side)
    with torch.no_grad():
        expected = net(2 * image.movedim(-1, 1) - 1)
    assert torch.equal(torch.tensor(scored(path, image)), expected)
    assert f"{side} pixels, shown -1..1" in judges.describe(judges.open_discriminator(str(path), roots=Roots()))


def test_it_is_found_by_name_under_common_keys_and_from_several_devices(tmp_path: Path):
    net = made()
    parallel = {f"module.{k}": v for k, v in net.state_dict().items()}
    torch.save(
        {"epoch": 3, "netG_state_dict": {"main.0.weight": torch.zeros(1)}, "netD_state_dict": parallel},
        tmp_path / "a.pt",
    )
    plain = tmp_path / "plain.pth"
    torch.save(net.state_dict(), plain)
    roots = Roots(judges=(tmp_path,))
    assert {"a", "plain"} <= set(judges.names(roots))
    values = scoring.score(judges.open_discriminator("a", roots=roots), pictures(), runtime=CPU).values
    assert list(values) == scored(plain, pictures())


def test_grey_ones_see_the_luma_and_other_sizes_are_made_their_own(tmp_path: Path):
    save_file(dict(made(channels=1).state_dict()), str(tmp_path / "grey.safetensors"))
    save_file(dict(made().state_dict()), str(tmp_path / "rgb.safetensors"))
    grey = pictures().mean(-1, keepdim=True).expand(-1, -1, -1, 3)
    with torch.no_grad():
        expected = made(channels=1)(2 * grey[..., :1].movedim(-1, 1) - 1)
    assert scored(tmp_path / "grey.safetensors", grey) == pytest.approx(expected.tolist(), abs=1e-5)
    flat = torch.full((2, 96, 80, 3), 0.3)
    small = torch.full((2, 64, 64, 3), 0.3)
    assert scored(tmp_path / "rgb.safetensors", flat) == pytest.approx(
        scored(tmp_path / "rgb.safetensors", small), abs=1e-5
    )
    judge = judges.open_discriminator(str(tmp_path / "rgb.safetensors"), roots=Roots())
    maps = scoring.heatmap(judge, pictures(96), runtime=CPU)
    assert maps.shape == (3, 96, 96) and bool(maps.any())


@pytest.mark.parametrize(
    ("net", "says"),
    (
        (nn.Sequential(nn.Conv2d(9, 4, 4), nn.Conv2d(4, 4, 4), nn.Conv2d(4, 1, 4)), "it takes 9 channels"),
        (nn.Sequential(nn.Conv2d(3, 4, 7), nn.Conv2d(4, 4, 4), nn.Conv2d(4, 1, 4)), "not 3, 4 or 5 wide"),
        (nn.Sequential(nn.Conv2d(3, 4, 4), nn.Conv2d(4, 4, 4), nn.Conv2d(4, 2, 4)), "single logit"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 4), nn.Dropout(), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 4), nn.Conv2d(4, 1, 4)),
            "at once",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 4), nn.Linear(4, 4), nn.Linear(4, 1)), "not a row of convolutions"),
    ),
)
def test_another_architecture_is_refused_with_the_reason(tmp_path: Path, net, says):
    save_file(dict(net.state_dict()), str(tmp_path / "d.safetensors"))
    with pytest.raises(AigcError, match=says):
        judges.open_discriminator(str(tmp_path / "d.safetensors"), roots=Roots())


class Running:
    def __reduce__(self):
        return os.mkdir, (Running.place,)

    place = ""


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path):
    Running.place = str(tmp_path / "ran")
    torch.save({"main.0.weight": torch.zeros(1), "x": Running()}, tmp_path / "evil.pth")
    with pytest.raises(AigcError, match="a pickle that holds more"):
        judges.open_discriminator(str(tmp_path / "evil.pth"), roots=Roots())
    assert not (tmp_path / "ran").exists()


def test_a_torn_file_is_said_to_be_damaged(tmp_path: Path):
    torch.save(made().state_dict(), tmp_path / "d.pth")
    (tmp_path / "d.pth").write_bytes((tmp_path / "d.pth").read_bytes()[:500])
    with pytest.raises(AigcError, match="damaged"):
        judges.open_discriminator(str(tmp_path / "d.pth"), roots=Roots())
