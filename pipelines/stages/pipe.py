"""A pipeline for one stage: its own weights real, every other part a config-only stub."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .. import loading
from ..payloads import Lora, Model
from ..runtime import Runtime
from . import nets
from .dispatch import by_kind
from .pixels import Pixels
from .table import BRIDGES, DECODERS, DENOISERS, LEFT_OUT, SEEDED_PARTS, TEXT_IN_SAMPLER, TILED, tail_replay

_KEPT_MODELS = 2


@dataclass
class Stage:
    """A pipeline object whose parts of one role are real. `parts` are the real modules."""

    pipe: Any
    parts: list[nn.Module]
    runtime: Runtime
    loras: tuple[Lora, ...] = ()


_held: OrderedDict[tuple[Any, ...], dict[str, Stage]] = OrderedDict()
_skeletons: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
_lock = threading.RLock()


def roles(model: Model) -> dict[str, str]:
    """Each component's role: "text", "denoiser", "vae", "bridge" (encode and sample both need it), "seeded" or "light"."""
    found = {}
    for name, (library, cls) in loading.component_classes(model).items():
        if name.startswith("scheduler") or name in LEFT_OUT or not loading.holds_weights(model, name):
            found[name] = "light"
        elif name in DECODERS or cls.startswith(("Autoencoder", "VQModel")):
            found[name] = "vae"
        elif name in BRIDGES or name in SEEDED_PARTS:
            found[name] = "bridge" if name in BRIDGES else "seeded"
        elif library == "transformers" or name.startswith("text_encoder"):
            found[name] = "text"
        elif name in DENOISERS or name.endswith(("transformer", "unet")):
            found[name] = "denoiser"
        else:
            found[name] = "bridge"
    return found


def real_parts(model: Model, stage: str) -> list[str]:
    """The names of the parts that hold weights in this stage."""
    stages = {"text": {"text", "bridge"}, "denoiser": {"denoiser", "bridge", "seeded"}, "vae": {"vae"}, "none": set()}
    wanted = stages[stage]
    cls = loading.pipeline_class(model)
    if stage == "vae" and tail_replay(cls.__name__):
        wanted = wanted | {"bridge"}
    if stage == "denoiser" and (not hasattr(cls, "encode_prompt") or cls.__name__ in TEXT_IN_SAMPLER):
        wanted = wanted | {"text"}
    return [name for name, role in roles(model).items() if role in wanted]


def parts_of(pipe: Any, model: Model, wanted: str) -> list[nn.Module]:
    """The pipeline's parts of one role, real or stubs."""
    names = [n for n, role in roles(model).items() if role == wanted]
    return [part for n in names if isinstance(part := getattr(pipe, n, None), nn.Module)]


def _role_of_stub(role: str) -> str:
    return "denoiser" if role in ("bridge", "seeded") else role


def _build(model: Model, stage: str, runtime: Runtime) -> Stage:
    cls, real = loading.pipeline_class(model), set(real_parts(model, stage))
    parts: dict[str, Any] = {}
    for name, role in roles(model).items():
        if name in LEFT_OUT:
            parts[name] = None
        elif role == "light":
            parts[name] = loading.load_part(model, name, dtype=None)
        elif name in real:
            parts[name] = loading.load_part(model, name, dtype=runtime.dtype_for(_role_of_stub(role), model.dtype))
        else:
            dtype = runtime.dtype_for(_role_of_stub(role), model.dtype)
            parts[name] = loading.stub_part(model, name, device=runtime.device, dtype=dtype)
    pipe = assemble(cls, parts, loading.pipeline_settings(model))
    if decoder_name(model) not in parts:
        pipe.vae = Pixels()
    return Stage(pipe, [parts[n] for n in sorted(real) if isinstance(parts[n], nn.Module)], runtime)


def assemble(cls: type, parts: dict[str, Any], options: dict[str, Any]) -> Any:
    """The pipeline object of these parts; an expected part that is absent becomes None."""
    expected, optional = cls._get_signature_keys(cls)  # type: ignore[attr-defined]
    missing = {name: None for name in expected if name not in parts}
    pipe = cls(**{**missing, **parts}, **{k: v for k, v in options.items() if k in optional})
    pipe.set_progress_bar_config(disable=True)
    for part in parts.values():
        if type(part).__name__ in TILED:
            part.enable_tiling()
    return pipe


def identity(model: Model, runtime: Runtime) -> tuple[Any, ...]:
    """What makes two loads the same: files, their times, dtype and device. LoRAs are laid on per run."""
    files = [model.path] if model.single_file else [*model.path.glob("*.json"), *model.path.glob("*/*.safetensors")]
    files += [part.path for part in model.parts]
    stamp = tuple(sorted((file.name, file.stat().st_mtime_ns) for file in files))
    return (model.path, model.config, model.parts, stamp, model.dtype, str(runtime.device))


def _keeps(model: Model, runtime: Runtime) -> bool:
    """Whether this model's stages stay loaded: as asked, or for "auto" if the whole fits in a quarter of free memory."""
    if model.offload != "auto":
        return model.offload == "keep"
    held = sum(p.numel() * p.element_size() for s in _stages() for m in s.parts for p in m.parameters())
    total = 0
    for name, role in roles(model).items():
        if role != "light":
            total += loading.part_bytes(model, name, dtype=runtime.dtype_for(_role_of_stub(role), model.dtype))
    return total * 4 <= runtime.free_bytes() + held


def _stages() -> list[Stage]:
    return [stage for stages in _held.values() for stage in stages.values()]


def _drop(key: tuple[Any, ...], name: str) -> None:
    """Forget a stage. Its memory is free when this returns: the next stage's weights would come on top of it."""
    stage = _held[key].pop(name)
    stage.runtime.release(stage.parts)
    parts = [weakref.ref(part) for part in stage.parts]
    del stage
    if not _held[key]:
        del _held[key]
    if any(part() is not None for part in parts):
        # diffusers' hooks point back at their module, a watched scheduler at the run: only the collector ends a ring.
        gc.collect()


def release_all() -> None:
    """Forget every loaded stage, and the networks beside them."""
    with _lock:
        for key in list(_held):
            for name in list(_held[key]):
                _drop(key, name)
        nets.release()


def _make_room(key: tuple[Any, ...], stays: set[str], keep: bool) -> None:
    """Drop what need not stay: without `keep` every other stage, with it the models used longest ago."""
    for other in list(_held):
        full = len(_held) >= _KEPT_MODELS + (key in _held)
        for held in list(_held[other]):
            mine = other == key
            if not (mine and (keep or held in stays)) and (not keep or (full and not mine)):
                _drop(other, held)


def _lay_loras(stage: Stage, model: Model) -> None:
    if stage.loras == model.loras:
        return
    if stage.loras:
        loading.remove_loras(stage.pipe)
        stage.loras = ()
    if any(lora.strength for lora in model.loras):
        loading.apply_loras(stage.pipe, model)
    stage.loras = model.loras


@by_kind
@contextmanager
def stage(model: Model, name: str, runtime: Runtime, *, alongside: str = "") -> Iterator[Any]:
    """The pipeline for one stage of `model`, its weights on the device while open.

    alongside: another stage of the same model that is open and must not be dropped.
    The same object comes back on the next call while the model stays loaded; callers restore what they set on it.
    """
    with _lock, torch.no_grad():
        key = identity(model, runtime)
        keep = _keeps(model, runtime)
        _make_room(key, {name, alongside}, keep)
        if name not in _held.get(key, {}):
            built = _build(model, name, runtime)
            _held.setdefault(key, {})[name] = built
        _held.move_to_end(key)
        current = _held[key][name]
        _lay_loras(current, model)
        with runtime.placed(current.parts):
            yield current.pipe


@by_kind
def skeleton(model: Model, runtime: Runtime) -> Any:
    """The pipeline with stubs only: its shapes and defaults, without any weight."""
    with _lock:
        key = identity(model, runtime)
        if key not in _skeletons:
            while len(_skeletons) >= _KEPT_MODELS * 2:
                _skeletons.popitem(last=False)
            _skeletons[key] = _build(model, "none", runtime).pipe
        _skeletons.move_to_end(key)
        return _skeletons[key]


@by_kind
def decoder_name(model: Model) -> str:
    """The component that turns latents into pictures or sound; a model of pixels has `Pixels` by the name of "vae"."""
    names = [n for n, role in roles(model).items() if role == "vae" and n not in ("vocoder", "audio_vae")]
    return "vae" if "vae" in names or not names else names[0]
