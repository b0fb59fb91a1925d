"""A DCGAN-class network as its file's shapes describe it: transposed convolutions and batch norms under any names.

Radford et al. 2016, arXiv 1511.06434. What a state dict does not hold (strides, paddings, ReLU, tanh) is that paper's; what
does not fit it is refused with the shapes that were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from ..score import critic
from . import network
from .network import one_hot

# kernel of a layer that doubles the size -> stride, padding, output padding
DOUBLES = {2: (2, 0, 0), 4: (2, 1, 0), 5: (2, 2, 1)}
USUAL = (512, 256, 200, 128, 100, 64, 62)  # sizes of z; a first layer a little wider than one has classes beside it
MOST_CLASSES = 26
JOINS = ("", "one-hot", "concatenated", "product")


@dataclass(frozen=True)
class Row:
    """kind: "deconv", "linear" or "norm"; shape: of its weight."""

    kind: str
    shape: tuple[int, ...]
    bias: bool


@dataclass(frozen=True)
class Options:
    """rows: the layers in their order. join: how a class meets z: a one-hot vector behind it, an embedding behind it, or
    an embedding times z. embedding: size of that; 0 for none. critic: rows of the discriminator."""

    rows: tuple[Row, ...]
    z_dim: int
    classes: int = 0
    join: str = ""
    embedding: int = 0
    critic: tuple[Row, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rows", "critic"):  # as JSON gives them
            rows = (row if isinstance(row, Row) else Row(**row) for row in getattr(self, name))
            object.__setattr__(self, name, tuple(replace(row, shape=tuple(row.shape)) for row in rows))
        if self.join not in JOINS:
            raise AigcError(f"Expected a join of {', '.join(JOINS[1:])}, got '{self.join}': leave it out.")

    @property
    def resolution(self) -> int:
        return side(self.rows)


def side(rows: tuple[Row, ...]) -> int:
    """Pixels a side of what the layers make."""
    weighted = [row for row in rows if row.kind != "norm"]
    first, doublings = weighted[0], len(weighted) - 1
    if first.kind == "deconv":
        return first.shape[2] * 2**doublings
    return round((first.shape[0] / weighted[1].shape[0]) ** 0.5) * 2**doublings


class Generator(network.Generator):
    def __init__(self, options: Options) -> None:
        super().__init__()
        self.z_dim, self.classes, self.resolution = options.z_dim, options.classes, options.resolution
        self.join = options.join
        self.embedding = nn.Embedding(options.classes, options.embedding) if options.embedding else None
        modules: list[nn.Module] = []
        weighted = [row for row in options.rows if row.kind != "norm"]
        for place, row in enumerate(options.rows):
            last = place == len(options.rows) - 1
            modules.append(_layer(row, row is weighted[0]))
            if row.kind == "linear":
                modules.append(nn.Unflatten(1, (weighted[1].shape[0], *_square(row, weighted[1]))))
            if not last and options.rows[place + 1].kind != "norm":
                modules.append(nn.ReLU())
        self.main = nn.Sequential(*modules, nn.Tanh())
        self.flat = weighted[0].kind == "linear"

    def forward(
        self, z: torch.Tensor, labels: torch.Tensor | None = None, *, noise: str = "random", rng: network.Rng = None
    ) -> torch.Tensor:
        if self.classes:
            about = one_hot(labels, self.classes, z)
            if self.embedding is not None:
                about = about @ self.embedding.weight
            z = z * about if self.join == "product" else torch.cat([z, about], dim=1)
        x = self.main(z if self.flat else z[:, :, None, None])
        return x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)


class Discriminator(network.Discriminator):
    """The row of strided convolutions that `score.critic` knows; without one in the file it has no layers and refuses."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        found = [critic.Layer(row.kind, f"{i}", row.shape, row.bias) for i, row in enumerate(options.critic)]
        self.resolution = critic.side(found) if found else options.resolution
        self.grey = bool(found) and found[0].shape[1] == 1
        self.main = critic.network({}, found).requires_grad_(True) if found else None

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        if self.main is None:
            raise AigcError(
                "Expected a discriminator, got a GAN's file that has only its generator: train a judge instead."
            )
        return self.main(critic.luma(x) if self.grey else x).flatten(1).mean(1)


def _layer(row: Row, first: bool) -> nn.Module:
    if row.kind == "linear":
        return nn.Linear(row.shape[1], row.shape[0], bias=row.bias)
    if row.kind == "norm":
        return nn.BatchNorm2d(row.shape[0])
    into, out, kernel = row.shape[:3]
    stride, padding, extra = (1, 0, 0) if first else DOUBLES[kernel]
    return nn.ConvTranspose2d(into, out, kernel, stride, padding, extra, bias=row.bias)


def _square(linear: Row, after: Row) -> tuple[int, int]:
    wide = round((linear.shape[0] / after.shape[0]) ** 0.5)
    return wide, wide


def problem(rows: list[Row]) -> str:
    """Why these layers are no DCGAN's generator; "" when they are."""
    weighted = [row for row in rows if row.kind != "norm"]
    if len(weighted) < 3 or any(row.kind != "deconv" for row in weighted[1:]):
        return "its layers are not a row of transposed convolutions"
    first, rest = weighted[0], weighted[1:]
    if any(row.shape[2] != row.shape[3] or row.shape[2] not in DOUBLES for row in rest):
        return f"its kernels are not {', '.join(map(str, DOUBLES))} wide"
    if first.kind == "linear":
        cells = first.shape[0] / rest[0].shape[0]
        if cells != int(cells) or int(cells**0.5) ** 2 != cells:
            return "its first layer makes no square picture"
    elif first.shape[2] != first.shape[3] or first.shape[1] != rest[0].shape[0]:
        return "its widths do not follow one another"
    if any(a.shape[1] != b.shape[0] for a, b in pairwise(rest)):
        return "its widths do not follow one another"
    if rest[-1].shape[1] not in (1, 3) or rows[-1].kind == "norm":
        return f"it ends in {rest[-1].shape[1]} channels, not in a picture of 1 or 3"
    for before, row in pairwise(rows):
        if row.kind == "norm" and (before.kind != "deconv" or before.shape[1] != row.shape[0]):
            return "a norm does not follow its convolution"
    return ""


def read(state: Mapping[str, torch.Tensor], classes: int = -1) -> tuple[dict[str, Any], dict[str, torch.Tensor], str]:
    """(options, weights under our names, what was inferred) of a generator's state dict.

    classes: how many of the first layer's inputs are a class, -1 to infer it. Raises AigcError for another architecture.
    """
    state = critic.plain(state)
    found = critic.layers(state)
    embedding, body = _split(found)
    orders = (body, sorted(body, key=lambda layer: list(state).index(f"{layer.name}.weight")))
    reasons = [problem([_row(layer) for layer in order]) for order in orders]
    if all(reasons):
        seen = ", ".join(f"{layer.name} {list(layer.shape)}" for layer in body[:12]) or "no layers"
        raise AigcError(
            f"Expected a DCGAN's or StyleGAN2's generator, but {reasons[0]}: its layers are {seen}. Convert it to one of "
            "these, or train one of your own."
        )
    order = orders[0 if not reasons[0] else 1]
    rows = [_row(layer) for layer in order]
    inputs = rows[0].shape[1] if rows[0].kind == "linear" else rows[0].shape[0]
    z_dim, count, join, size, note = _classes(inputs, embedding, classes)
    weights: dict[str, torch.Tensor] = {}
    made = Generator(Options(tuple(rows), z_dim, count, join, size))
    modules = [(i, m) for i, m in enumerate(made.main) if list(m.parameters())]
    for (i, module), layer in zip(modules, order):
        for name in module.state_dict():
            if (value := state.get(f"{layer.name}.{name}")) is not None:
                weights[f"main.{i}.{name}"] = value
    if embedding is not None and join != "one-hot":
        weights["embedding.weight"] = state[f"{embedding.name}.weight"]
    return asdict(Options(tuple(rows), z_dim, count, join, size)), weights, note


def _row(layer: critic.Layer) -> Row:
    return Row("deconv" if layer.kind == "conv" else layer.kind, layer.shape, layer.bias)


def _split(found: list[critic.Layer]) -> tuple[critic.Layer | None, list[critic.Layer]]:
    """A class embedding, if there is one, and the other layers: it is a matrix without bias that no layer follows."""
    flat = [layer for layer in found if layer.kind == "linear"]
    convs = [layer for layer in found if layer.kind == "conv"]
    tables = [layer for layer in flat if not layer.bias and not (convs and layer.shape[0] % convs[0].shape[0] == 0)]
    table = tables[0] if len(tables) == 1 else None
    return table, [layer for layer in found if layer is not table]


def _classes(inputs: int, embedding: critic.Layer | None, asked: int) -> tuple[int, int, str, int, str]:
    """(z_dim, classes, join, size of the embedding, a note)."""
    if embedding is not None:
        count, size = embedding.shape[:2]
        if size == inputs:
            return inputs, count, "product", size, f"{count} classes by an embedding that z is multiplied with"
        if size < inputs:
            note = f"{count} classes by an embedding that stands behind z"
            return inputs - size, count, "concatenated", size, note
        raise AigcError(
            f"Expected a class embedding of at most {inputs} numbers, got {size}: this GAN cannot be inferred."
        )
    if asked >= inputs:
        raise AigcError(f"Expected fewer classes than the {inputs} inputs of the first layer, got {asked}: set fewer.")
    if asked > 0:
        return inputs - asked, asked, "one-hot", 0, f"{asked} of its {inputs} inputs are a class, as you set"
    usual = next((n for n in USUAL if 1 < inputs - n <= MOST_CLASSES), 0) if asked < 0 and inputs not in USUAL else 0
    if usual:
        count = inputs - usual
        note = f"{inputs} inputs taken for {usual} of noise and {count} classes, as sizes are usual; set classes to 0 if not"
        return usual, count, "one-hot", 0, note
    return inputs, 0, "", 0, ""
