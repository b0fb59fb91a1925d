"""LoRA files: checked in full before anything is laid on a pipeline, and taken off without a trace.

diffusers reads many layouts (its own, peft's, kohya's) and brings them into one; that is used here. What it does not do
is refuse a file that does not fit: a LoRA of another family "succeeds" there with a warning.
"""

from __future__ import annotations

import inspect
import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import AigcError
from ..payloads import Lora, Model
from ..sources import Roots, find_lora
from .lora_blocks import Blocks, parse_blocks, weigh
from .lora_variants import as_lora, is_variant, shaped, unread
from .parts import without_progress_bars
from .stubs import is_stub
from .weights import read_header

REMEDY = "Use a LoRA made for this model's family."
MARKS = re.compile(r"lora_|\.lora\.|lora\.(down|up)|(hada|lokr)_|\.alpha$")
# Ends of keys in peft's layout beside the two halves of the product, lora_A [rank, in] and lora_B [out, rank].
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
EXTRA = (".lora_B.bias", ".lora_magnitude_vector", ".lora_magnitude_vector.weight")
# Layers as diffusers' earlier LoRA files name them, in a denoiser and in a CLIP encoder.
OLD_NAMES = {
    ".processor.to_out_lora.": ".to_out.0.lora.",
    ".processor.to_": ".to_",
    ".self_attn.to_q_lora.": ".self_attn.q_proj.lora.",
    ".self_attn.to_k_lora.": ".self_attn.k_proj.lora.",
    ".self_attn.to_v_lora.": ".self_attn.v_proj.lora.",
    ".self_attn.to_out_lora.": ".self_attn.out_proj.lora.",
    "_lora.down.": ".lora.down.",
    "_lora.up.": ".lora.up.",
    ".lora_linear_layer.": ".lora.",
    ".lora.down.weight": DOWN,
    ".lora.up.weight": UP,
}
Converted = tuple[dict[str, torch.Tensor], dict[str, Any] | None]


def open_lora(name: str, *, roots: Roots, strength: float = 1.0, blocks: str = "") -> Lora:
    """Check a LoRA, LoHa or LoKr file and return it with its strength (0 is off, 1 as trained).

    blocks: factors by block beside the strength, e.g. "down: 0.5, up.1: 0"; blocks that are not named keep 1.

    Raises AigcError when the file is missing, damaged, a pickle, no LoRA, or holds values that are not finite.
    """
    if not isinstance(strength, (int, float)) or not math.isfinite(strength):
        raise AigcError(f"Expected a finite strength for the LoRA, got {strength!r}. Use 0 for off, 1 for as trained.")
    path = find_lora(name, roots)
    _read(path)
    return Lora(path=path, strength=float(strength), blocks=parse_blocks(blocks))


def apply_loras(pipe: Any, model: Model) -> None:
    """Lay the model's LoRAs on those parts of `pipe` that hold weights; `remove_loras` takes them off again.

    All files are checked against the pipeline's parts first; when one is refused the pipeline is as it was before.
    """
    active = [lora for lora in model.loras if lora.strength != 0]
    if not active:
        return
    converted = [_fit(pipe, lora.path, lora.blocks) for lora in active]
    strengths: dict[str, list[tuple[str, float]]] = {}
    try:
        with torch.inference_mode(False), without_progress_bars():
            for number, (lora, content) in enumerate(zip(active, converted)):
                for name in _lay(pipe, content, f"aigc_{number}"):
                    strengths.setdefault(name, []).append((f"aigc_{number}", lora.strength))
            for name, pairs in strengths.items():
                _set_strengths(getattr(pipe, name), pairs)
    except Exception as error:
        remove_loras(pipe)
        if isinstance(error, (AigcError, MemoryError, torch.OutOfMemoryError)):
            raise
        names = ", ".join(lora.path.name for lora in active)
        raise AigcError(f"The LoRA {names} does not fit {type(pipe).__name__}: {error}. {REMEDY}") from error


def read_lora(pipe: Any, path: Path) -> dict[str, torch.Tensor]:
    """A LoRA's tensors as diffusers has them for this pipeline, "unet.<layer>.lora_A.weight" and so on. Raises AigcError."""
    return _fit(pipe, path)[0]


def remove_loras(pipe: Any) -> None:
    """Take every LoRA off again; the parts compute bit for bit as before."""
    from diffusers.utils import recurse_remove_peft_layers

    for part in _parts(pipe).values():
        if getattr(part, "peft_config", None) is None and not _has_adapters(part):
            continue
        recurse_remove_peft_layers(part)
        if hasattr(part, "peft_config"):
            del part.peft_config
        part._hf_peft_config_loaded = False  # pyright: ignore[reportArgumentType]


def _has_adapters(part: nn.Module) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return any(isinstance(module, BaseTunerLayer) for module in part.modules())


def _parts(pipe: Any) -> dict[str, nn.Module]:
    """The parts of a pipeline that can take a LoRA and are there, as stubs or with weights."""
    return {
        name: part
        for name in getattr(type(pipe), "_lora_loadable_modules", ())
        if isinstance(part := getattr(pipe, name, None), nn.Module)
    }


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a LoRA file, all finite."""
    from safetensors import safe_open

    header = read_header(path)
    if not any(MARKS.search(key) for key in header):
        raise AigcError(
            f"Expected a LoRA, but none of the {len(header)} tensors of {path.name} is part of one "
            f"(e.g. {next(iter(header), 'none')}). Choose a LoRA file; a checkpoint is opened by Load Model."
        )
    if other := unread(header):
        raise AigcError(
            f"Expected a LoRA, LoHa or LoKr, but {path.name} holds {other}, a kind that is not read (DoRA of a LoHa or "
            "LoKr, OFT, IA3 and GLoRA are not). Use another file of this style."
        )
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in header}
    broken = [key for key, value in tensors.items() if not torch.isfinite(value.float()).all()]
    if broken:
        raise AigcError(
            f"Expected finite numbers in the LoRA {path.name}, but {len(broken)} of {len(tensors)} tensors hold NaN or "
            f"infinity, e.g. {broken[0]}. The file is damaged or its training failed: download it again or use another."
        )
    return tensors


def _fit(pipe: Any, path: Path, blocks: Blocks = ()) -> Converted:
    """Read a LoRA in the pipeline's own layout, after checking every key and shape against the pipeline's parts."""
    tensors = _read(path)
    if not hasattr(type(pipe), "lora_state_dict"):
        raise AigcError(f"{type(pipe).__name__} takes no LoRA. Remove {path.name} from this model.")
    try:
        state, metadata = _convert(pipe, path, tensors)
    except Exception as error:
        raise AigcError(
            f"The LoRA {path.name} does not fit {type(pipe).__name__}: matched 0 of {len(tensors)} keys "
            f"({type(error).__name__}: {str(error)[:160]}). {REMEDY}"
        ) from error
    parts = _parts(pipe)
    loadable = getattr(type(pipe), "_lora_loadable_modules", ())
    checked, matched, wrong = 0, 0, ""
    for key, value in state.items():
        name, _, rest = key.partition(".")
        if name in loadable and name not in parts:
            continue  # a part that this stage does not hold
        checked += 1
        problem = _mismatch(parts.get(name), rest, value) or _unpaired(key, value, state)
        matched += not problem
        wrong = wrong or (problem and f"{key}: {problem}")
    if matched < checked or not state:
        raise AigcError(
            f"The LoRA {path.name} does not fit {type(pipe).__name__}: matched {matched} of "
            f"{checked or len(tensors)} keys ({wrong or 'none is known'}). {REMEDY}"
        )
    return weigh(state, blocks, path.name) if blocks else state, metadata


def _convert(pipe: Any, path: Path, tensors: dict[str, torch.Tensor]) -> Converted:
    """The tensors in peft's layout, "unet.<layer>.lora_A.weight" and so on, and peft's metadata if the file has it.

    Kohya's alphas are multiplied into the tensors: diffusers loses track of them when layers differ.
    """
    options: dict[str, Any] = {"return_lora_metadata": True, "use_safetensors": True, "local_files_only": True}
    accepts = inspect.signature(type(pipe).lora_state_dict).parameters
    if "return_alphas" in accepts:
        options["return_alphas"] = True
    if hasattr(pipe, "text_encoder_2") and isinstance(getattr(pipe, "unet", None), nn.Module):
        options["unet_config"] = pipe.unet.config  # SDXL: kohya numbers the blocks as the original layout does
    if is_variant(tensors):
        state, *rest = type(pipe).lora_state_dict(as_lora(tensors, _parts(pipe)), **options)
    else:
        state, *rest = type(pipe).lora_state_dict(str(path.parent), weight_name=path.name, **options)
    alphas = (rest[0] if len(rest) == 2 else None) or {}
    state = {_peft_name(key): value for key, value in state.items()}
    for key, alpha in alphas.items():
        half = _peft_name(key.removesuffix(".alpha")).removesuffix(DOWN)
        down, up = state.get(half + DOWN), state.get(half + UP)
        if down is None or up is None:
            raise ValueError(f"an alpha without its layer, {key}")
        state[half + UP] = up * (float(alpha) / down.shape[0])
    for key in [key for key in state if key.endswith(DOWN)] if is_variant(tensors) else ():
        name, _, layer = key.removesuffix(DOWN).partition(".")
        if (module := _module(_parts(pipe)[name], layer) if name in _parts(pipe) else None) is not None:
            shaped(state, key, module.weight)  # pyright: ignore[reportArgumentType]
    return state, rest[-1]


def _peft_name(key: str) -> str:
    for old, new in OLD_NAMES.items():
        key = key.replace(old, new)
    return key


def _mismatch(part: nn.Module | None, key: str, value: torch.Tensor) -> str:
    """Why a converted tensor does not fit its part; "" when it does."""
    if part is None:
        return "no such part"
    for end in (DOWN, UP, *EXTRA):
        if key.endswith(end):
            module = _module(part, key.removesuffix(end))
            weight = getattr(module, "weight", None)
            if not isinstance(weight, torch.Tensor):
                return "no such layer"
            if end == DOWN and tuple(value.shape[1:]) != tuple(weight.shape[1:]):
                return f"takes {list(value.shape[1:])}, the layer {list(weight.shape[1:])}"
            if end == UP and value.shape[0] != weight.shape[0]:
                return f"gives {value.shape[0]} channels, the layer {weight.shape[0]}"
            return ""
    return "no kind of LoRA tensor that is read"


def _unpaired(key: str, value: torch.Tensor, state: dict[str, torch.Tensor]) -> str:
    """Why one half of a product does not go with its other half; "" when it does."""
    for end, other in ((DOWN, UP), (UP, DOWN)):
        if key.endswith(end):
            partner = state.get(key.removesuffix(end) + other)
            if partner is None:
                return "its other half is missing"
            if end == DOWN and value.shape[0] != partner.shape[1]:
                return f"has rank {value.shape[0]}, its other half {partner.shape[1]}"
    return ""


def _module(part: nn.Module, name: str) -> nn.Module | None:
    for candidate in (name, name.removeprefix("text_model.")):
        try:
            module = part.get_submodule(candidate)
        except AttributeError:
            continue
        return getattr(module, "base_layer", module)
    return None


def _lay(pipe: Any, content: Converted, adapter: str) -> list[str]:
    """Put one LoRA on the parts that hold weights; returns their names."""
    from diffusers import ModelMixin
    from diffusers.loaders.lora_base import _load_lora_into_text_encoder

    state, metadata = content
    laid = []
    for name, part in _parts(pipe).items():
        mine = {key: value for key, value in state.items() if key.startswith(f"{name}.")}
        if not mine or is_stub(part):
            continue
        options = {"network_alphas": None, "metadata": metadata, "adapter_name": adapter}
        if isinstance(part, ModelMixin):
            part.load_lora_adapter(mine, prefix=name, **options)
        else:
            _load_lora_into_text_encoder(mine, text_encoder=part, prefix=name, **options)
        part.requires_grad_(False).eval()
        laid.append(name)
    return laid


def _set_strengths(part: nn.Module, pairs: list[tuple[str, float]]) -> None:
    from diffusers import ModelMixin
    from diffusers.loaders.lora_base import set_adapters_for_text_encoder

    names, weights = [name for name, _ in pairs], [weight for _, weight in pairs]
    if isinstance(part, ModelMixin):
        part.set_adapters(names, weights)
    else:
        set_adapters_for_text_encoder(names, part, weights)  # pyright: ignore[reportArgumentType]
