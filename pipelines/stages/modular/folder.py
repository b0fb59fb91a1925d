"""A modular model's folder: recognised, opened and read one part at a time, never running code that comes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import AigcError
from ...loading import stubs
from ...loading.folder import part_class, read_json
from ...loading.weights import part_weights, read_header
from ...payloads import Model
from .dressed import quiet

INDEX = "modular_model_index.json"
CLASSIC_INDEX = "model_index.json"
SUFFIX = "ModularPipeline"


def handles(model: Model) -> bool:
    """Whether this model runs as blocks: its pipeline class is a modular one."""
    return model.pipeline_class.endswith(SUFFIX)


def is_modular(folder: Path) -> bool:
    """Whether a folder holds a model that only Modular Diffusers can run."""
    if (folder / INDEX).is_file():
        return True
    index = folder / CLASSIC_INDEX
    return index.is_file() and str(read_json(index).get("_class_name")).endswith(SUFFIX)


def index_file(folder: Path) -> Path:
    """The index that describes this folder: the modular one where there is one."""
    return folder / INDEX if (folder / INDEX).is_file() else folder / CLASSIC_INDEX


def open_folder(path: Path, dtype: str = "auto", offload: str = "auto") -> Model:
    """A local folder as a modular Model. A classic folder opens too if its family also exists as blocks.

    Raises AigcError when diffusers has no blocks for it, or when it names classes outside diffusers and transformers.
    """
    folder = Path(path)
    index = read_json(index_file(folder))
    name = str(index.get("_class_name"))
    found = _modular_name(name, index)
    if found is None:
        raise AigcError(
            f"Expected a modular pipeline of this diffusers in {index_file(folder)}, got {name!r}: update diffusers if "
            "the model is newer, else use another model."
        )
    for entry in index.values():
        _check_entry(entry)
    model = Model(path=folder, config=folder, pipeline_class=found, dtype=dtype, offload=offload)
    with quiet():
        _check_stages(bare(model))
    return model


def _check_stages(pipe: Any) -> None:
    """Raise AigcError for blocks that cannot be split where a LATENT is passed on."""
    tops = pipe.blocks.sub_blocks
    if "denoise" not in tops or "decode" not in tops:
        raise AigcError(
            f"Expected a modular pipeline that can be split into stages, got {type(pipe).__name__}: its blocks are "
            f"{', '.join(tops)}, without denoise and decode. Use another model of this kind."
        )


def _modular_name(name: str, index: dict[str, Any]) -> str | None:
    """The modular pipeline class for a `_class_name`, or None when diffusers has none."""
    import diffusers
    from diffusers.modular_pipelines.modular_pipeline import MODULAR_PIPELINE_MAPPING
    from diffusers.pipelines.auto_pipeline import _get_model

    if not name.endswith(SUFFIX):
        known: Any = MODULAR_PIPELINE_MAPPING
        choose = known.get(_get_model(name))
        name = choose(index) if choose else ""
    found = getattr(diffusers, name, None)
    return name if isinstance(found, type) and issubclass(found, diffusers.ModularPipeline) else None


def _check_entry(entry: Any) -> None:
    """Refuse an index entry whose class lies outside diffusers and transformers, before diffusers resolves it."""
    if not isinstance(entry, list) or len(entry) not in (2, 3):
        return
    hints = [entry[:2], entry[2].get("type_hint") if len(entry) == 3 and isinstance(entry[2], dict) else None]
    for hint in hints:
        if hint and all(isinstance(word, str) for word in hint):
            part_class(*hint)


def bare(model: Model) -> Any:
    """The modular pipeline object of a model with its blocks and specs, and no part with weights."""
    import diffusers

    cls = getattr(diffusers, model.pipeline_class)
    named = getattr(diffusers, str(read_json(index_file(model.path)).get("_blocks_class_name")), None)
    blocks = named if getattr(named, "block_classes", None) else getattr(diffusers, cls.default_blocks_name or "", None)
    if blocks is None:
        raise AigcError(
            f"Expected the blocks of {model.pipeline_class}, got none in {index_file(model.path)} and none by default: "
            "blocks that come as a model's own code are not run."
        )
    return cls(blocks=blocks(), pretrained_model_name_or_path=str(model.path))


def is_module(spec: Any) -> bool:
    return isinstance(spec.type_hint, type) and issubclass(spec.type_hint, nn.Module)


def present(model: Model, spec: Any) -> bool:
    """Whether a part's files are here."""
    return (model.path / (spec.subfolder or spec.name)).is_dir()


def part_folder(model: Model, spec: Any) -> Path | None:
    """Where a part's files lie, or None when the index leaves it empty.

    Raises AigcError when the index points to another repository whose files are not here.
    """
    if spec.type_hint is None or spec.pretrained_model_name_or_path is None:
        return None
    folder = model.path / (spec.subfolder or spec.name)
    if not folder.is_dir():
        raise AigcError(
            f"Expected the part {spec.name!r} ({spec.type_hint.__name__}) in {folder}, but there is no such folder; "
            f"the index names {spec.pretrained_model_name_or_path}. Download that part into this folder."
        )
    for path in folder.glob("*config.json"):
        read_json(path)
    return folder


def load(model: Model, spec: Any, dtype: torch.dtype | None = None) -> Any:
    """One part by its spec on the CPU: a model in `dtype`, in eval mode; a tokenizer, scheduler or guider as it is."""
    folder = part_folder(model, spec)
    if folder is None:
        return None
    if not is_module(spec):
        return spec.type_hint.from_pretrained(str(folder), local_files_only=True)
    chosen, files = part_weights(folder)
    for file in files:
        read_header(file)
    with torch.inference_mode(False):
        part = spec.type_hint.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, variant=chosen.variant or None, dtype=dtype
        )
    return part.eval().requires_grad_(False)


def stub(model: Model, spec: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """One part without weights, which answers for its config, device and dtype."""
    folder = part_folder(model, spec)
    if folder is None:
        return None
    module = stubs.empty_module(spec.type_hint, folder)
    stubs.load_small_buffers(module, folder, device=device, dtype=dtype)
    return stubs.make_stub(module, device=device, dtype=dtype)


def part_bytes(model: Model, spec: Any, dtype: torch.dtype) -> int:
    """Bytes of a part's weights in `dtype`; reads headers only."""
    folder = part_folder(model, spec)
    if folder is None or not is_module(spec):
        return 0
    return sum(info.numel * dtype.itemsize for file in part_weights(folder)[1] for info in read_header(file).values())
