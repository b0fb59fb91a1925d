"""Which style makes a given picture: gradient descent on w or z (Karras et al. 2020, arXiv 1912.04958, section 5 and D)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from ..errors import AigcError
from ..menus import SPACES as SPACES
from ..payloads import Gan, Style
from ..runtime import Runtime
from . import opening, stylegan2
from .generate import from_image, to_image
from .network import Generator
from .styles import is_mapped

if TYPE_CHECKING:
    from PIL.Image import Image

BETAS = (0.9, 0.999)
SCALES = 4
OnStep = Callable[[int, int, Callable[[], "Image"]], None]


@dataclass(frozen=True)
class Projected:
    """psnr: in dB, of each picture; steps: that were made; stopped: whether the user ended it before the last."""

    style: Style
    image: torch.Tensor
    psnr: tuple[float, ...]
    steps: int
    stopped: bool


def distance(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """[B], the mean squared difference over several sizes, so that far-off parts attract each other too.

    A picture is clamped, so that whiter than white is no error where the target is white; and black likewise.
    """
    same = ((x > 1) & (target >= 1)) | ((x < -1) & (target <= -1))
    x = torch.where(same, target, x)
    total = torch.zeros(len(x), device=x.device)
    for _ in range(SCALES):
        total = total + (x - target).square().mean((1, 2, 3))
        if min(x.shape[-2:]) < 8:
            break
        x, target = F.avg_pool2d(x, 2), F.avg_pool2d(target, 2)
    return total


def psnr(a: torch.Tensor, b: torch.Tensor) -> tuple[float, ...]:
    """In dB, of each of two IMAGE batches [B, H, W, 3] in 0..1; at most 100."""
    return tuple(min(100.0, -10 * math.log10(max(float(e), 1e-10))) for e in (a - b).square().mean((1, 2, 3)))


def rate(step: int, steps: int, highest: float) -> float:
    """Up over the first twentieth, down by a cosine over the last quarter (section D)."""
    t = (step + 1) / steps
    return highest * min(1.0, t / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t + 1 / steps) / 0.25)))


def project(
    gan: Gan,
    image: torch.Tensor,
    *,
    space: str = "w+",
    steps: int = 200,
    highest: float = 0.1,
    label: int = -1,
    seed: int = 0,
    starts: int = 64,
    runtime: Runtime,
    on_step: OnStep = lambda step, total, preview: None,
    stops: tuple[type[BaseException], ...] = (),
) -> Projected:
    """image: [B, H, W, 3] in 0..1; its middle square at the GAN's size is sought. GANs without a mapping network know z only.
    starts: styles that are tried before the descent; each picture begins at the best for it. highest: rate, in the spread of w.

    stops: exceptions of `on_step`, a host's interrupt, that end the descent; the best that was found is returned then.
    Raises AigcError.
    """
    if space not in SPACES:
        raise AigcError(f"Expected a space of {', '.join(SPACES)}, got '{space}': choose one of them.")
    classes = int(gan.options.get("classes", 0))
    if classes and not 0 <= label < classes:
        raise AigcError(
            f"Expected the class of the picture, 0 to {classes - 1}, got {label}: {gan.path.name} has classes."
        )
    with opening.generating(gan, runtime) as g, torch.enable_grad():
        target = from_image(image.clone(), g.resolution).to(runtime.device)
        space = space if is_mapped(gan) else "z"
        labels = torch.full((len(target),), label) if classes else None
        draw = _drawing(g, labels, space)
        start, scale = _begun(g, target, labels, space, _tried(g, starts, seed), runtime)
        point, done, stopped = _descended(draw, start, scale, target, steps, highest, seed, on_step, stops)
        with torch.no_grad():
            picture = to_image(draw(point)).cpu()
            wanted = to_image(target).cpu()
    z = point if space == "z" else torch.zeros(len(target), g.z_dim)
    w = None
    if space != "z":
        w = point.cpu().expand(-1, g.layers, -1).contiguous()
    style = Style(z.cpu(), w, (label,) * len(target), (-1,) * len(target))
    return Projected(style, picture, psnr(picture, wanted), done, stopped)


def _drawing(g: Generator, labels: torch.Tensor | None, space: str) -> Callable[[torch.Tensor], torch.Tensor]:
    def draw(point: torch.Tensor) -> torch.Tensor:
        if space == "z":
            return g(point, labels, noise="const")
        assert isinstance(g, stylegan2.Generator)
        return g.synthesize(point.expand(-1, g.layers, -1), noise="const")

    return draw


def _tried(g: Generator, count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, g.z_dim, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def _begun(
    g: Generator, target: torch.Tensor, labels: torch.Tensor | None, space: str, z: torch.Tensor, runtime: Runtime
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each picture's descent begins: the nearest of some drawn styles, and for w of their average too; and the unit."""
    z = z.to(target)
    label = None if labels is None else labels[:1].expand(len(z))
    points = z
    if space != "z":
        assert isinstance(g, stylegan2.Generator)
        points = torch.cat([g.mapping(z, label), g.w_average[None]])
    best = torch.full((len(target),), float("inf"), device=target.device)
    chosen = torch.zeros(len(target), dtype=torch.long)
    for i in range(len(points)):
        runtime.check_interrupt()
        one = points[i : i + 1]
        if space == "z":
            x = g(one, None if label is None else label[:1], noise="const")
        else:
            x = g.synthesize(one[:, None].expand(-1, g.layers, -1), noise="const")  # type: ignore[operator]
        away = distance(x.expand(len(target), -1, -1, -1), target)
        chosen[(away < best).cpu()] = i
        best = torch.minimum(away, best)
    start, scale = points[chosen], points[: len(z)].std(0).mean()
    if space == "w+":
        return start[:, None].repeat(1, g.layers, 1), scale
    return (start[:, None] if space == "w" else start).clone(), scale


def _descended(
    draw: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    scale: torch.Tensor,
    target: torch.Tensor,
    steps: int,
    highest: float,
    seed: int,
    on_step: OnStep,
    stops: tuple[type[BaseException], ...],
) -> tuple[torch.Tensor, int, bool]:
    """(the best points, steps made, whether it was stopped). Each row is its own descent: a batch equals its singles.

    Noise on the point, less and less over the first three quarters, lets it leave flat places (section D).
    """
    point = start.clone().requires_grad_()
    best, least = start.clone(), torch.full((len(start),), float("inf"), device=start.device)
    mean, square = torch.zeros_like(start), torch.zeros_like(start)
    noise = torch.Generator().manual_seed(seed)

    def look() -> Image:
        from PIL import Image

        with torch.no_grad():
            side_by_side = torch.cat([to_image(target[:4]), to_image(draw(best[:4]))], dim=2)
        return Image.fromarray((torch.cat(list(side_by_side)) * 255).round().byte().cpu().numpy())

    for step in range(steps):
        size = 0.05 * scale * max(0.0, 1 - step / (0.75 * steps)) ** 2
        shake = torch.randn(start.shape[1:], generator=noise).to(start) * size
        away = distance(draw(point + shake), target)
        with torch.no_grad():
            better = away < least
            least = torch.where(better, away, least)
            best[better] = (point + shake)[better]
        (slope,) = torch.autograd.grad(away.sum(), point)
        with torch.no_grad():
            point -= rate(step, steps, highest) * scale * _adam(slope, mean, square, step + 1)
        try:
            on_step(step + 1, steps, look)
        except stops:
            return best.detach(), step + 1, True
    with torch.no_grad():
        better = distance(draw(point), target) < least
        best[better] = point[better]
    return best.detach(), steps, False


def _adam(slope: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: int) -> torch.Tensor:
    """The move of Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1) before its rate; mean, square: its memory, updated.

    Written out: the first use of torch.optim imports torch's compiler, which takes longer than most projections.
    """
    mean.lerp_(slope, 1 - BETAS[0])
    square.lerp_(slope.square(), 1 - BETAS[1])
    return mean / (1 - BETAS[0] ** step) / ((square / (1 - BETAS[1] ** step)).sqrt() + 1e-8)


def told(found: Projected, space: str) -> str:
    """What came of it, a line."""
    space = "z" if found.style.w is None else space
    each = ", ".join(f"{value:.1f}" for value in found.psnr)
    ended = f"stopped by you after {found.steps} steps, the best is kept" if found.stopped else f"{found.steps} steps"
    return f"PSNR {each} dB in {space} ({ended})"
