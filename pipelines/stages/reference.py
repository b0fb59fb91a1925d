"""IP-Adapters: a picture as a prompt, laid on the denoiser for one run and taken off again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import AigcError
from ..loading import vision
from ..loading.weights import read_header
from ..payloads import Conditioning, Model, Reference
from ..runtime import Runtime
from .encode import to_pil
from .pipe import skeleton
from .replay import map_tensors, shadowed

BLACK = np.zeros((64, 64, 3), np.uint8)  # what FLUX shows its encoder for the negative half, at any size
PREFIXES = ("image_proj.", "ip_adapter_proj_model.")  # of the tensors that every adapter has, here and in XLabs' files
# What an adapter changes on a denoiser beside its attention.
CHANGED = ("encoder_hid_proj", "image_proj")


def add_reference(
    model: Model,
    conditioning: Conditioning,
    path: Path,
    encoder: Path,
    image: torch.Tensor,
    *,
    strength: float = 1.0,
    runtime: Runtime | None = None,
) -> Conditioning:
    """The conditioning with one IP-Adapter more; only the image encoder is loaded here, and left again.

    path: the adapter's file. encoder: its image encoder, a transformers folder or a CLIP vision .safetensors file.
    image: [1, H, W, C] in 0..1. strength: 0 is off, 1 as trained.
    Raises AigcError for a model that takes no adapter, a file that is none, and more than one picture.
    """
    if image.shape[0] != 1:
        raise AigcError(f"Expected one picture, got {image.shape[0]}: use one Add Reference for each.")
    if not 0 <= strength < float("inf"):
        raise AigcError(f"Expected a strength of 0 or more, got {strength}: 0 is off, 1 as trained.")
    runtime = runtime or Runtime()
    pipe = skeleton(model, runtime)
    if not (hasattr(pipe, "load_ip_adapter") and hasattr(pipe, "encode_image")):  # blocks have only the first
        raise AigcError(
            f"Expected a model that takes an IP-Adapter, got {model.pipeline_class}: use SD 1.5, SDXL, SD 3 or FLUX.1, as "
            "a model of a classic pipeline (with a model_index.json)."
        )
    check_adapter(path)
    picture = to_pil(image[0])
    seen = _seen(pipe, model, encoder, picture, runtime) if strength else {}
    return conditioning.with_reference(Reference(path, picture, float(strength), seen))


def check_adapter(path: Path) -> None:
    """Raise AigcError unless the file is an IP-Adapter that works through an image encoder alone."""
    keys = read_header(path)
    if not any(key.startswith(PREFIXES) for key in keys):
        raise AigcError(
            f"Expected an IP-Adapter in {path.name}, got a file without {PREFIXES[0]}*: choose another file."
        )
    if any("lora" in key for key in keys):
        raise AigcError(
            f"Expected an IP-Adapter that sees pictures, got {path.name}, which sees faces (FaceID): use another."
        )


@torch.no_grad()
def _seen(pipe: Any, model: Model, encoder: Path, picture: Any, runtime: Runtime) -> dict[tuple[str, bool | None], Any]:
    """What the pipeline's own `encode_image` returns for the picture, in each of its ways."""
    net, processor = vision.load_encoder(encoder, type(pipe), runtime.dtype_for("text", model.dtype))
    flags = (False, True) if "output_hidden_states" in inspect.signature(pipe.encode_image).parameters else (None,)
    found: dict[tuple[str, bool | None], Any] = {}
    with ExitStack() as stack:
        stack.enter_context(shadowed(pipe, "image_encoder", net))
        stack.enter_context(shadowed(pipe, "feature_extractor", processor))
        stack.enter_context(runtime.placed([net]))
        for name, shown in (("picture", picture), ("black", BLACK)):
            for flag in flags:
                result = _encode(pipe, shown, runtime.device, flag)
                found[name, flag] = map_tensors(result, lambda t: t.cpu())
    runtime.release([net])
    return found


def _encode(pipe: Any, shown: Any, device: torch.device, flag: bool | None) -> Any:
    known = inspect.signature(pipe.encode_image).parameters
    single = {"num_images_per_prompt": 1} if "num_images_per_prompt" in known else {}
    return pipe.encode_image(shown, device, **single, **({} if flag is None else {"output_hidden_states": flag}))


def active(references: Sequence[Reference]) -> list[Reference]:
    return [reference for reference in references if reference.strength]


def reference_arguments(references: Sequence[Reference]) -> dict[str, Any]:
    """The pictures as the pipeline's call takes them."""
    pictures = [reference.picture for reference in active(references)]
    return {"ip_adapter_image": pictures if len(pictures) > 1 else pictures[0]} if pictures else {}


@contextmanager
def referenced(pipe: Any, references: Sequence[Reference]) -> Iterator[None]:
    """Lay the IP-Adapters on the pipeline's denoiser while open; it is as before afterwards.

    Raises AigcError when the pipeline takes none, or not so many, or the file was made for another model.
    """
    used = active(references)
    if not used:
        yield
        return
    if not hasattr(pipe, "load_ip_adapter"):
        raise AigcError(f"Expected a model that takes an IP-Adapter, got {type(pipe).__name__}: remove Add Reference.")
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    with ExitStack() as stack:
        stack.callback(_restore, denoiser, _state(denoiser))
        stack.enter_context(shadowed(pipe, "feature_extractor", True))  # present: none is made
        _load(pipe, used)
        for part in denoiser.modules():
            for value in part.parameters(recurse=False):
                value.requires_grad_(False)
        stack.enter_context(shadowed(pipe, "encode_image", _player(used, pipe._execution_device)))
        yield


def _load(pipe: Any, used: Sequence[Reference]) -> None:
    known = inspect.signature(pipe.load_ip_adapter).parameters
    folder = next(n for n in ("image_encoder_folder", "image_encoder_pretrained_model_name_or_path") if n in known)
    many = "list" in str(known["weight_name"].annotation)
    if len(used) > 1 and not many:
        raise AigcError(f"Expected one reference for {type(pipe).__name__}, got {len(used)}: this family takes one.")
    folders, files = [str(r.path.parent) for r in used], [r.path.name for r in used]
    names = ", ".join(files)
    try:
        pipe.load_ip_adapter(
            folders if many else folders[0],
            subfolder=[""] * len(used) if many else "",
            weight_name=files if many else files[0],
            local_files_only=True,
            **{folder: None},
        )
        scales = [reference.strength for reference in used]
        pipe.set_ip_adapter_scale(scales if many else scales[0])
    except (KeyError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        raise AigcError(
            f"Expected an IP-Adapter for {type(pipe).__name__}, got {names}, which does not fit "
            f"({str(error).splitlines()[0][:160]}): use one made for this model's family."
        ) from error


def _state(denoiser: Any) -> dict[str, Any]:
    return {
        "processors": dict(denoiser.attn_processors),
        "kind": getattr(denoiser.config, "encoder_hid_dim_type", None),
        **{name: getattr(denoiser, name) for name in CHANGED if hasattr(denoiser, name)},
    }


def _restore(denoiser: Any, before: Mapping[str, Any]) -> None:
    """Put the projections and the attention back: in this order, since SD 3's projection has attention of its own."""
    for name in CHANGED:
        if name in before:
            setattr(denoiser, name, before[name])
        elif hasattr(denoiser, name):
            delattr(denoiser, name)
    denoiser.set_attn_processor(dict(before["processors"]))
    if hasattr(denoiser.config, "encoder_hid_dim_type"):
        denoiser.config.encoder_hid_dim_type = before["kind"]


def _player(used: Sequence[Reference], device: torch.device) -> Any:
    """`encode_image` answered from what Add Reference saw."""

    def encode_image(image: Any, *rest: Any, **kwargs: Any) -> Any:
        wanted = next(
            (r for r in used if image is r.picture or (isinstance(image, list) and image[0] is r.picture)), None
        )
        # The flag comes last, by position or by name.
        flag = kwargs.get("output_hidden_states", rest[-1] if rest and isinstance(rest[-1], bool) else False)
        seen = (wanted or used[0]).seen
        name = "picture" if wanted else "black"
        key = (name, bool(flag)) if (name, True) in seen else (name, None)
        return map_tensors(seen[key], lambda t: t.to(device))

    return encode_image
