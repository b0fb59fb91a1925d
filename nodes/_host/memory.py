"""What is loaded: weights through the host's memory manager, its MODELs, and caches emptied with the host's."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch
from torch import nn

from ...pipelines.runtime import DTYPES, Runtime

if TYPE_CHECKING:
    from ...pipelines.score.learning import Space


class _Shell(nn.Module):
    """A plain module around a part: the host sets `device` on what it patches, and diffusers forbids that."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part


class WholeModelPatcher(comfy.model_patcher.ModelPatcher):
    """Loads all of a model or nothing: layers that are not the host's own cannot run half loaded."""

    def partially_load(self, device_to: Any, extra_memory: int = 0, force_patch_weights: bool = False) -> int:
        self.patch_model(load_weights=False)
        if self.model.model_loaded_weight_memory == 0:
            with torch.inference_mode(False):  # weights moved inside of it have no slope, and judges need theirs
                self.model.to(device_to)
            self.model.device = device_to
            self.model.model_loaded_weight_memory = self.model_size()
        return self.model_size()

    def partially_unload(self, *args: Any, **kwargs: Any) -> int:
        return 0  # nothing freed: the host goes on to unload the whole model


class HostRuntime(Runtime):
    """Weights come and go through the host's memory manager: its models and ours make room for each other."""

    def __init__(self) -> None:
        self.device = mm.get_torch_device()
        self.scratch = Path(folder_paths.get_temp_directory())
        # The host keeps weak references only: a patcher that nobody holds counts as a leak there.
        self._patchers: dict[int, WholeModelPatcher] = {}

    def dtype_for(self, role: str, wanted: str = "auto") -> torch.dtype:
        if wanted != "auto":
            return DTYPES[wanted]
        if role == "vae":
            return mm.vae_dtype(self.device, [torch.bfloat16, torch.float32])
        if mm.should_use_bf16(self.device):
            return torch.bfloat16
        return torch.float16 if mm.should_use_fp16(self.device) else torch.float32

    def patcher(self, part: nn.Module) -> WholeModelPatcher:
        """What the host loads and frees this part by; one for as long as the part is not released."""
        if id(part) not in self._patchers:
            self._patchers[id(part)] = WholeModelPatcher(_Shell(part), self.device, mm.unet_offload_device())
        return self._patchers[id(part)]

    @contextmanager
    def placed(self, parts: Sequence[nn.Module], activation_bytes: int = 0) -> Iterator[None]:
        mm.load_models_gpu([self.patcher(part) for part in parts], memory_required=activation_bytes)
        yield

    def release(self, parts: Sequence[nn.Module]) -> None:
        """Forget the patchers: the host's weak entries go with them, the memory with the caller's parts."""
        for part in parts:
            self._patchers.pop(id(part), None)

    def check_interrupt(self) -> None:
        mm.throw_exception_if_processing_interrupted()

    def free_bytes(self) -> int:
        return int(mm.get_free_memory(self.device))


@lru_cache(maxsize=1)
def runtime() -> HostRuntime:
    """The one runtime of this process: it holds what is loaded."""
    return HostRuntime()


def latent_of(model: Any, device: Any = "cpu") -> torch.Tensor:
    """A small LATENT of zeros as this MODEL takes it."""
    form = model.model.latent_format
    cells = (8,) * form.latent_dimensions if form.latent_dimensions < 3 else (1, 8, 8)
    return torch.zeros(1, form.latent_channels, *cells, device=device)


def space_of(model: Any) -> Space:
    """The space of a MODEL's denoiser, as a LATENT maps into it."""
    from ...pipelines.score.learning import affine

    def into(samples: torch.Tensor) -> torch.Tensor:
        return model.model.process_latent_in(samples.clone())

    return affine(into, latent_of(model), f"latent:{type(model.model).__name__}")


def with_post_cfg(model: Any, change: Callable[[dict[str, Any]], torch.Tensor], parts: Sequence[nn.Module]) -> Any:
    """A clone of a MODEL whose estimates of the clean sample go through `change`; `parts` are loaded whenever it is."""
    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(change)
    patchers = [runtime().patcher(part) for part in parts]
    clone.set_additional_models(f"aigc {id(change)}", patchers)
    return clone


_wires = 0  # models and judges that the host's cache still holds

Wired = TypeVar("Wired")


def keep_while_wired(model: Wired) -> Wired:
    """Empty the engine's caches when the last model and judge leave the host's cache.

    That is what the host's "free model and node cache" does; no host of today offers a hook for it.
    """
    global _wires
    _wires += 1
    weakref.finalize(model, _unwired)
    return model


def _unwired() -> None:
    global _wires
    _wires -= 1
    if _wires == 0:
        from ...pipelines import waveforms
        from ...pipelines.gan import opening
        from ...pipelines.score import judges
        from ...pipelines.speech import kokoro
        from ...pipelines.stages import pipe
        from ...pipelines.text import opening as language

        opening.release_all(runtime())
        pipe.release_all()
        judges.release_all(runtime())
        language.release_all(runtime())
        kokoro.release()
        waveforms.release(runtime())
