"""diffusers' guiders by name: other ways to combine a prediction with the prompt and one without it."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import AigcError


@dataclass(frozen=True)
class Guider:
    """AIGC_GUIDER: how to guide; how strongly is the sampler's cfg.

    rescale: 0..1, how much of the contrast of the unguided prediction to restore (arXiv 2305.08891).
    start, stop: 0..1, the part of the steps that is guided; with a perturbation, the part in which that acts.
    perturbation: the strength of the second term, for guiders that run a perturbed model beside.
    layers: which of the denoiser's transformer blocks those perturb; empty for the middle one.
    """

    name: str
    rescale: float = 0.0
    start: float = 0.0
    stop: float = 1.0
    perturbation: float = 2.8
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One guider of diffusers: its class and, where it perturbs layers, the words of its own for that."""

    cls: str
    strength: str = ""
    layers: str = ""
    window: tuple[str, str] = ("", "")
    skips: str = ""


TABLE = {
    "classifier-free": Row("ClassifierFreeGuidance"),
    "zero star": Row("ClassifierFreeZeroStarGuidance"),
    "adaptive projected": Row("AdaptiveProjectedGuidance"),
    "adaptive projected mix": Row("AdaptiveProjectedMixGuidance"),
    "tangential": Row("TangentialClassifierFreeGuidance"),
    "perturbed attention": Row(
        "PerturbedAttentionGuidance",
        "perturbed_guidance_scale",
        "perturbed_guidance_config",
        ("perturbed_guidance_start", "perturbed_guidance_stop"),
        "attention scores",
    ),
    "skip layer": Row(
        "SkipLayerGuidance",
        "skip_layer_guidance_scale",
        "skip_layer_config",
        ("skip_layer_guidance_start", "skip_layer_guidance_stop"),
        "block",
    ),
    "smoothed energy": Row(
        "SmoothedEnergyGuidance",
        "seg_guidance_scale",
        "seg_guidance_config",
        ("seg_guidance_start", "seg_guidance_stop"),
    ),
}


def names() -> list[str]:
    return list(TABLE)


def layers_of(text: str) -> tuple[int, ...]:
    """Layer numbers written as "7, 8, 9"; empty for the middle layer. Raises AigcError for anything else."""
    try:
        found = tuple(int(word) for word in text.replace(",", " ").split())
    except ValueError:
        found = (-1,)
    if any(number < 0 for number in found):
        raise AigcError(f"Expected layers as whole numbers from 0, such as '7, 8, 9', got '{text}'.")
    return found


def make(guider: Guider, cfg: float, denoiser: Any, *, original: bool = False) -> Any:
    """A fresh diffusers guider of strength `cfg` for this denoiser.

    original: the strength means pos + cfg (pos - neg), so that 0 is off. Raises AigcError for an unknown name, a range
    that is empty, or layers that the denoiser does not have.
    """
    from diffusers import guiders as classes

    if guider.name not in TABLE:
        raise AigcError(f"Expected a guider, got '{guider.name}': choose one of {', '.join(names())}.")
    if not (0 <= guider.start < 1 and guider.start <= guider.stop <= 1):
        raise AigcError(
            f"Expected 0 <= start < 1 and start <= stop <= 1, got {guider.start} and {guider.stop}: swap or mend them."
        )
    row = TABLE[guider.name]
    values: dict[str, Any] = {"guidance_scale": cfg, "guidance_rescale": guider.rescale}
    values["use_original_formulation"] = original
    window = row.window if row.layers else ("start", "stop")
    values.update(zip(window, (guider.start, guider.stop), strict=True))
    if row.layers:
        values[row.strength] = guider.perturbation
        values[row.layers] = [_config(row, name, [i]) for name, i in layer_stacks(denoiser, guider.layers)]
    with _quiet():
        return (_skip_layer() if row.skips == "block" else getattr(classes, row.cls))(**values)


@functools.cache
def _skip_layer() -> Any:
    """diffusers' SkipLayerGuidance with the streams of a skipped block in the block's own order.

    Its hook returns picture before text, which FLUX's, SD 3's and Qwen-Image's blocks do the other way round.
    """
    from diffusers import SkipLayerGuidance
    from diffusers.hooks import HookRegistry
    from diffusers.hooks.layer_skip import TransformerBlockSkipHook

    class Ordered(TransformerBlockSkipHook):
        def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            out = super().new_forward(module, *args, **kwargs)
            return out[::-1] if isinstance(out, tuple) and self._metadata.return_hidden_states_index == 1 else out

    class SkipLayer(SkipLayerGuidance):
        def prepare_models(self, denoiser: Any) -> None:
            self._count_prepared += 1
            if self._is_slg_enabled() and self.is_conditional and self._count_prepared > 1:
                for name, config in zip(self._skip_layer_hook_names, self.skip_layer_config, strict=True):
                    block = denoiser.get_submodule(config.fqn)[config.indices[0]]
                    HookRegistry.check_if_exists_or_initialize(block).register_hook(Ordered(config.dropout), name)

    return SkipLayer


def _config(row: Row, stack: str, indices: list[int]) -> Any:
    from diffusers import LayerSkipConfig, SmoothedEnergyGuidanceConfig

    if not row.skips:
        return SmoothedEnergyGuidanceConfig(indices=indices, fqn=stack)
    whole = row.skips == "block"
    return LayerSkipConfig(
        indices=indices, fqn=stack, skip_attention=whole, skip_ff=whole, skip_attention_scores=not whole
    )


def layer_stacks(denoiser: Any, layers: tuple[int, ...]) -> list[tuple[str, int]]:
    """The chosen transformer blocks of a denoiser, as (stack, index in it).

    Blocks are counted through all stacks in the order in which they run: down, middle, up in a U-Net. Without layers
    the middle one is meant. Raises AigcError for numbers beyond the last.
    """
    places = [(name, i) for name, stack in _stacks(denoiser) for i in range(len(stack))]
    if not places:
        raise AigcError(
            f"Expected a denoiser with transformer blocks, got {type(denoiser).__name__} without any: "
            "choose a guider that perturbs no layers."
        )
    chosen = layers or (len(places) // 2,)
    if max(chosen) >= len(places):
        raise AigcError(f"Expected layers from 0 to {len(places) - 1}, got {max(chosen)}: this model has no more.")
    return [places[i] for i in chosen]


def _stacks(denoiser: Any) -> list[tuple[str, Any]]:
    """The lists of transformer blocks by name: those that diffusers knows by itself, or those inside a U-Net."""
    from diffusers.hooks._common import _ALL_TRANSFORMER_BLOCK_IDENTIFIERS
    from torch import nn

    known = set(_ALL_TRANSFORMER_BLOCK_IDENTIFIERS)
    lists = [(n, m) for n, m in denoiser.named_modules() if isinstance(m, nn.ModuleList) and n.split(".")[-1] in known]
    top = [(name, stack) for name, stack in lists if "." not in name]
    return top or sorted(lists, key=lambda pair: _turn(pair[0]))


def _turn(name: str) -> int:
    """When a U-Net's block runs: its modules are listed down, up, middle."""
    return next((i for i, part in enumerate(("down", "mid", "up")) if name.startswith(part)), 3)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out diffusers' notice, made for each new guider, that guiders are experimental."""
    logger, mute = logging.getLogger("diffusers.guiders.guider_utils"), lambda record: False
    logger.addFilter(mute)
    try:
        yield
    finally:
        logger.removeFilter(mute)
