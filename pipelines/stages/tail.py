"""The way from a LATENT back into the denoiser's space, found by probing the pipeline's own tail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import AigcError
from ..schedulers import DEFAULT, Watch, watched
from .ending import latents_of
from .replay import shadowed
from .table import PLANS, PREPARES

_BASE = 2048  # ramps count in this base: float32 carries such digits exactly through an affine map


def first_tensor(value: Any) -> torch.Tensor:
    """The latents in what `prepare_latents` returns: alone, or first in a tuple."""
    return next(v for v in value if isinstance(v, torch.Tensor)) if isinstance(value, tuple | list) else value


@contextmanager
def after_prepare(pipe: Any, change: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Call `change(latents)` in place on what the pipeline's `prepare_latents` returns."""
    name = next((n for n in PREPARES if hasattr(pipe, n)), None)
    if name is None:
        raise AigcError(
            f"Expected a model that can start from a picture, got {type(pipe).__name__}, which prepares no latents: "
            "set denoise to 1."
        )

    original = getattr(pipe, name)

    def prepare(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        change(first_tensor(result))
        return result

    with shadowed(pipe, name, prepare):
        yield


@contextmanager
def without_steps(pipe: Any) -> Iterator[None]:
    """The pipeline's calls take no denoising step while open."""
    own = pipe.scheduler
    with ExitStack() as stack:
        stack.callback(setattr, pipe, "scheduler", own)
        pipe.scheduler = watched(own, DEFAULT, Watch(keep=0))
        for name, none in PLANS.items():
            if hasattr(pipe, name):
                stack.enter_context(shadowed(pipe, name, lambda *_, plan=none, **__: plan))
        yield


@dataclass(frozen=True)
class TailMap:
    """`vae.decode`'s input as an affine map and a permutation of the denoiser's latents, for one row.

    shape: the denoiser's latents [1, ...]. decoded: shape of the decode input [1, ...].
    source: for each element of the decode input, which element of the latents it comes from.
    """

    shape: tuple[int, ...]
    decoded: tuple[int, ...]
    source: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, ...] in the denoiser's space -> [B, ...] as `vae.decode` takes it."""
        flat = self.lie(latents).flatten(1)
        out = flat * self.scale.to(flat) + self.shift.to(flat)
        return out.reshape(-1, *self.decoded[1:])

    def lie(self, latents: torch.Tensor) -> torch.Tensor:
        """[B, ...] in the denoiser's space, unchanged, where `vae.decode` has them [B, ...]."""
        return latents.reshape(latents.shape[0], -1)[:, self.source.to(latents.device)].reshape(-1, *self.decoded[1:])

    def place(self, values: torch.Tensor) -> torch.Tensor:
        """Values that lie as `vae.decode` takes its input [B, ...] -> where the denoiser's space has them."""
        flat = values.reshape(-1, self.source.numel())
        out = torch.empty_like(flat)
        out[:, self.source.to(out.device)] = flat
        return out.reshape(-1, *self.shape[1:])

    def inverse(self, decoded: torch.Tensor) -> torch.Tensor:
        """[B, ...] as `vae.decode` takes it -> [B, ...] in the denoiser's space."""
        flat = decoded.reshape(-1, self.source.numel())
        return self.place((flat - self.shift.to(flat)) / self.scale.to(flat))


def probe(pipe: Any, decoder: Any, call: Mapping[str, Any]) -> TailMap:
    """Run the pipeline's tail on known tensors, with no denoising step, and read the map off its answers.

    `call` is a whole call of one row, its encoders already answered by a replay.
    Raises AigcError when the tail is no elementwise affine map of a permutation.
    """
    shape: tuple[int, ...] = ()

    def run(fill: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        nonlocal shape

        def change(latents: torch.Tensor) -> None:
            nonlocal shape
            shape = tuple(latents.shape)
            latents.copy_(fill(latents))

        with without_steps(pipe), after_prepare(pipe, change):
            try:
                generator = torch.Generator("cpu").manual_seed(0)
                captured = latents_of(pipe, decoder, {**call, "generator": generator}, rows=1)
            except (UnboundLocalError, IndexError, ZeroDivisionError, ValueError, RuntimeError) as error:
                raise _unknown(pipe, str(error)) from error
        if captured is None:
            raise _unknown(pipe, "it does not end in vae.decode")
        return captured[0].double().cpu()

    zeros = run(torch.zeros_like)
    scale = run(torch.ones_like) - zeros
    count = int(torch.tensor(shape).prod())
    if zeros.numel() != count or bool((scale == 0).any()):
        raise _unknown(pipe, f"its tail turns {count} values into {zeros.numel()}")
    ramp = torch.arange(count)
    low = run(lambda x: (ramp % _BASE).to(x).reshape(x.shape))
    high = run(lambda x: (ramp // _BASE).to(x).reshape(x.shape))
    digits = [((d - zeros) / scale).round().long().flatten() for d in (low, high)]
    source = digits[1] * _BASE + digits[0]
    if not torch.equal(source.sort().values, ramp):
        raise _unknown(pipe, "its tail is no permutation")
    return TailMap(shape, tuple(zeros.shape), source, scale.flatten(), zeros.flatten())


def _unknown(pipe: Any, why: str) -> AigcError:
    return AigcError(
        f"Expected a model that can start from a latent, got {type(pipe).__name__} ({why}): set denoise to 1, or use the "
        "image-to-image variant of this family."
    )
