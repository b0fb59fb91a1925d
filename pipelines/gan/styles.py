"""What a GAN draws from: drawn, mapped, truncated, mixed, walked. Styles live on the CPU; row i is made from seed + i."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from ..errors import AigcError
from ..payloads import Gan, Style
from ..runtime import Runtime
from ..walks import slerp
from . import opening, stylegan2

CHUNK = 256  # rows that are mapped at once
PROBES = 16  # points of each leg of a walk where its length is measured


def is_mapped(gan: Gan) -> bool:
    """Whether the GAN has a mapping network, and with it w, truncation and layers."""
    return gan.kind == "stylegan2"


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def sample(gan: Gan, *, seed: int, count: int, label: int = -1) -> Style:
    """z of `count` rows. label: the class of all, -1 to draw each from its seed. Raises AigcError for a class that is none."""
    classes = int(gan.options.get("classes", 0))
    if label >= classes:
        has = f"classes from 0 to {classes - 1}" if classes else "no classes"
        raise AigcError(
            f"Expected a class of {gan.path.name}, which has {has}, got {label}: set it to -1, or to one of them."
        )
    seeds = tuple((seed + i) % 2**64 for i in range(count))
    draws = generators(seeds)
    z = torch.stack([torch.randn(int(gan.options["z_dim"]), generator=draw) for draw in draws])
    drawn = [int(torch.randint(classes, (1,), generator=draw)) if classes else -1 for draw in draws]
    return Style(z, labels=tuple(drawn if label < 0 else [label] * count), seeds=seeds)


def labels_of(gan: Gan, style: Style, rows: slice = slice(None)) -> torch.Tensor | None:
    """[B], or None for a GAN without classes."""
    return torch.tensor(style.labels[rows]) if gan.options.get("classes") else None


def checked(gan: Gan, style: Style) -> None:
    """Raises AigcError when a style was made for another GAN."""
    z_dim, layers = int(gan.options["z_dim"]), layer_count(gan)
    if style.w is not None and tuple(style.w.shape[1:]) != (layers, gan.options.get("w_dim")):
        mine = f"w of {layers} layers and {gan.options.get('w_dim')} numbers" if layers else "no w"
        raise AigcError(
            f"Expected styles of {gan.path.name} ({mine}), got w {list(style.w.shape[1:])}: they are another GAN's."
        )
    if style.w is None and style.z.shape[1] != z_dim:
        raise AigcError(
            f"Expected z of {z_dim} numbers for {gan.path.name}, got {style.z.shape[1]}: they are another GAN's."
        )


def layer_count(gan: Gan) -> int:
    return 2 * (int(gan.options["resolution"]).bit_length() - 2) if is_mapped(gan) else 0


def mapped(gan: Gan, style: Style, *, truncation: float = 1.0, cutoff: int = 0, runtime: Runtime) -> Style:
    """With w, pulled towards its average: w' = average + truncation (w - average), in the first `cutoff` layers, 0 for all.

    Karras et al. 2019, arXiv 1812.04948, section B. truncation: 1 leaves w, 0 is the average for every seed, bit for bit;
    any real number. Raises AigcError for a GAN without a mapping network, unless there is nothing to do.
    """
    if not is_mapped(gan):
        if truncation != 1:
            raise AigcError(
                f"Expected a GAN with a mapping network for a truncation of {truncation:g}, got {gan.path.name} ({gan.kind}): "
                "scaling its z is not truncation, it leaves what the generator was trained on. Set truncation to 1; to get "
                "more likely pictures use Reject By Discriminator."
            )
        return style
    checked(gan, style)
    with opening.generating(gan, runtime) as g, torch.no_grad():
        assert isinstance(g, stylegan2.Generator)
        w = _mapped(g, gan, style, runtime) if style.w is None else style.w
        if truncation != 1:
            average = g.w_average.cpu()
            pulled = average + truncation * (w - average)
            upto = cutoff or g.layers
            w = torch.cat([pulled[:, :upto], w[:, upto:]], dim=1)
    return replace(style, w=w)


def _mapped(g: stylegan2.Generator, gan: Gan, style: Style, runtime: Runtime) -> torch.Tensor:
    out = []
    for start in range(0, len(style.z), CHUNK):
        runtime.check_interrupt()
        rows = slice(start, start + CHUNK)
        labels = labels_of(gan, style, rows)
        out.append(g.map(style.z[rows].to(runtime.device), labels).cpu())
    return torch.cat(out).contiguous()


def layer_strengths(text: str, layers: int) -> torch.Tensor:
    """[layers] of strengths, from words such as "0-3", "4-", "0, 2, 5-7:0.5"; 0 where a layer is not named, empty for all 1.

    Raises AigcError for what cannot be read, and for layers that there are not.
    """
    out = torch.zeros(layers) if text.strip() else torch.ones(layers)
    for item in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(\d+)\s*(-\s*(\d*))?\s*(?::\s*(-?\d+(?:\.\d+)?))?", item)
        if not found:
            raise AigcError(
                f"Expected layers such as 0-3, 4-, or 5-7:0.5, got '{item}': write them so, with commas between."
            )
        first = int(found[1])
        last = first if found[2] is None else int(found[3]) if found[3] else layers - 1
        none = first == layers and item.rstrip().endswith("-")  # a crossover behind the last layer
        if not none and not first <= last < layers:
            raise AigcError(f"Expected layers from 0 to {layers - 1}, got '{item}': this GAN has {layers} of them.")
        out[first : last + 1] = float(found[4] or 1)
    return out


def mix(gan: Gan, a: Style, b: Style, *, layers: str = "", strength: float = 1.0, runtime: Runtime) -> Style:
    """a with b's w in the named layers, `strength` of the way: 0 is a, 1 is b there, bit for bit.

    A GAN without a mapping network has no layers: its z turns from a's to b's. Raises AigcError for counts that do not match.
    """
    a, b = _paired(a, b)
    if not is_mapped(gan):
        if layers.strip():
            raise AigcError(
                f"Expected no layers for {gan.path.name} ({gan.kind}), got '{layers}': it has no mapping network."
            )
        checked(gan, a)
        checked(gan, b)
        z = torch.stack([slerp(x, y, strength) for x, y in zip(a.z, b.z)])
        return replace(a, z=z, labels=b.labels if strength > 0.5 else a.labels)
    a, b = (mapped(gan, style, runtime=runtime) for style in (a, b))
    share = (strength * layer_strengths(layers, layer_count(gan)))[:, None]
    return replace(a, w=_lerp(a.w, b.w, share))


def _paired(a: Style, b: Style) -> tuple[Style, Style]:
    count = max(len(a.z), len(b.z))
    if {len(a.z), len(b.z)} - {1, count}:
        raise AigcError(f"Expected as many styles on both sides, or one on one of them, got {len(a.z)} and {len(b.z)}.")
    return _repeated(a, count), _repeated(b, count)


def _repeated(style: Style, count: int) -> Style:
    if len(style.z) == count:
        return style
    w = None if style.w is None else style.w.expand(count, -1, -1)
    return Style(style.z.expand(count, -1), w, style.labels * count, style.seeds * count)


def _lerp(a: torch.Tensor, b: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Exactly a at 0 and exactly b at 1."""
    return torch.where(share == 1, b, torch.where(share == 0, a, a + share * (b - a)))


def walk(
    gan: Gan, keys: Style, *, frames: int, loop: bool, distance: Callable[[Style], torch.Tensor] | None = None
) -> Style:
    """`frames` styles along the keys at one speed: along spheres in z, straight lines in w where the keys are mapped.

    loop: from the last key back to the first, so that the step from the last frame to the first is like every other;
    otherwise the last frame is the last key. distance: how far each row of a style is from the row before, [B] with 0 first,
    when the speed is to be even in that (see `generate.seen`) and not in z or w.
    Raises AigcError for fewer than two keys, or for keys of several classes in z.
    """
    checked(gan, keys)
    if len(keys.z) < 2:
        raise AigcError(f"Expected two key styles or more to walk between, got {len(keys.z)}: sample more.")
    if frames < 2:
        raise AigcError(f"Expected two frames or more, got {frames}.")
    if keys.w is None and len(set(keys.labels)) > 1:
        remedy = "map them first, w has no classes" if is_mapped(gan) else "sample them with one class"
        raise AigcError(
            f"Expected key styles of one class for a walk in z, got classes {sorted(set(keys.labels))}: {remedy}."
        )
    points = keys.z if keys.w is None else keys.w
    ends = torch.cat([points, points[:1]]) if loop else points
    between = slerp if keys.w is None else _straight
    shares = torch.linspace(0, 1, PROBES + 1).tolist()
    tried = torch.stack([between(a, b, share) for a, b in pairwise(ends) for share in shares[:-1]] + [ends[-1]])
    gone = _apart(tried) if distance is None else distance(_at(keys, tried, [0] * len(tried)))
    sums = gone.double().cumsum(0)  # the way up to each of the tried points
    if float(sums[-1]) == 0:
        raise AigcError(
            "Expected key styles that differ, got the same one again and again: sample others, or truncate less."
        )
    ways = torch.linspace(0, 1, frames + 1).double()[:-1] if loop else torch.linspace(0, 1, frames).double()
    rows, nearest = [], []
    for way in (ways * sums[-1]).tolist():
        place = _place(sums, way)
        leg = min(int(place // PROBES), len(ends) - 2)
        share = place / PROBES - leg
        rows.append(between(ends[leg], ends[leg + 1], share))
        nearest.append((leg + (share > 0.5)) % len(keys.z))
    return _at(keys, torch.stack(rows), nearest)


def _at(keys: Style, points: torch.Tensor, nearest: list[int]) -> Style:
    """Points as a style that is mapped where the keys are, with the rest of the nearest key."""
    z, w = (points, None) if keys.w is None else (keys.z[nearest], points)
    seeds = tuple(keys.seeds[n] for n in nearest) if keys.seeds else ()
    return Style(z, w, tuple(keys.labels[n] for n in nearest), seeds)


def _apart(points: torch.Tensor) -> torch.Tensor:
    """[N], how far each point is from the one before; 0 for the first."""
    return torch.cat([torch.zeros(1), (points[1:] - points[:-1]).flatten(1).norm(dim=1)])


def _place(sums: torch.Tensor, way: float) -> float:
    """Where the way has been gone: a number of a point, with a fraction; sums: the way up to each point, from 0 on."""
    before = min(max(int(torch.searchsorted(sums, way, right=True)) - 1, 0), len(sums) - 2)
    size = float(sums[before + 1] - sums[before])
    return before + (min(max((way - float(sums[before])) / size, 0.0), 1.0) if size else 0.0)


def _straight(a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
    return _lerp(a, b, torch.tensor(share))


def joined(*several: Style) -> Style:
    """All rows one after another. Raises AigcError when some are mapped and some are not."""
    if len({style.w is None for style in several}) > 1:
        raise AigcError(
            "Expected styles that are all mapped or none, got both: put Map Styles before those that are not."
        )
    w = None if several[0].w is None else torch.cat([style.w for style in several])
    labels = tuple(label for style in several for label in style.labels)
    return Style(
        torch.cat([style.z for style in several]), w, labels, tuple(s for style in several for s in style.seeds)
    )
