"""A diffusers folder's own description: its pipeline class and parts, resolved without ever running a model's code."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import AigcError
from ..payloads import Model
from ..sources.layout import INDEX

# Keys by which configs ask a loader to import Python files that come with the model.
CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipeline")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's file; AigcError when it is missing, damaged, or asks for the model's own code."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError:
        raise AigcError(f"Expected the file {path}, but it cannot be read. Download the model again.") from None
    except (ValueError, RecursionError) as error:
        raise AigcError(f"Expected JSON in {path}, got something else ({error}). Download it again.") from None
    if not isinstance(value, dict):
        raise AigcError(f"Expected a JSON object in {path}, got {type(value).__name__}. Download it again.")
    for key in CODE_KEYS:
        if value.get(key):
            raise AigcError(
                f"{path} asks to run Python code that comes with the model ({key!r}). This pack runs no model code: "
                f"use a version of the model that diffusers and transformers read by themselves."
            )
    return value


def read_index(folder: Path) -> dict[str, Any]:
    """model_index.json, checked for what would run code."""
    index = read_json(folder / INDEX)
    if not isinstance(index.get("_class_name"), str):
        raise AigcError(
            f"Expected the name of a diffusers pipeline in {folder / INDEX}, got {index.get('_class_name')!r}: "
            f"a pipeline with code of its own is not run. Use a model made for a pipeline of diffusers."
        )
    return index


def component_classes(model: Model) -> dict[str, tuple[str, str]]:
    """The model's parts by name as (library, class name), e.g. {"unet": ("diffusers", "UNet2DConditionModel")}.

    Parts that model_index.json leaves empty are dropped, and those that the pipeline makes by itself.
    """
    own = _made_by_pipeline(model)
    return {
        name: (entry[0], entry[1])
        for name, entry in read_index(model.config).items()
        if name not in own and _is_part(name, entry) and all(isinstance(word, str) for word in entry)
    }


def _made_by_pipeline(model: Model) -> set[str]:
    """Optional arguments of the constructor that diffusers neither saves nor loads (LongCat-AudioDiT's scheduler)."""
    import diffusers

    cls: Any = getattr(diffusers, model.pipeline_class, None)
    if not hasattr(cls, "_get_signature_keys"):
        return set()
    expected, optional = cls._get_signature_keys(cls)
    return set(optional) - set(expected)


def pipeline_settings(model: Model) -> dict[str, Any]:
    """The plain values of model_index.json for the class's constructor, e.g. {"force_zeros_for_empty_prompt": True}."""
    index = read_index(model.config)
    return {name: value for name, value in index.items() if name[0] != "_" and not _is_part(name, value)}


def empty_parts(model: Model) -> tuple[str, ...]:
    """The parts that model_index.json names and leaves empty, e.g. ("safety_checker",)."""
    index = read_index(model.config)
    return tuple(name for name, value in index.items() if _is_part(name, value) and value[0] is None)


def _is_part(name: str, entry: Any) -> bool:
    pair = isinstance(entry, list) and len(entry) == 2
    return name[0] != "_" and pair and all(word is None or isinstance(word, str) for word in entry)


def pipeline_class(model: Model) -> type:
    """The diffusers class of this model."""
    import diffusers

    found = getattr(diffusers, model.pipeline_class, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        raise AigcError(
            f"Expected a pipeline of diffusers {diffusers.__version__}, got {model.pipeline_class!r} in "
            f"{model.config / INDEX}. Update diffusers if the model is newer, else use another model."
        )
    return found


@cache
def part_class(library: str, class_name: str) -> type:
    """The class of a part. Only diffusers, transformers and the pipeline folders inside diffusers are looked in."""
    from diffusers import pipelines
    from diffusers.pipelines.pipeline_loading_utils import simple_get_class_obj

    known = library in ("diffusers", "transformers") or (library.isidentifier() and hasattr(pipelines, library))
    try:
        found = simple_get_class_obj(library, class_name) if known else None
    except AttributeError:
        found = None
    if not isinstance(found, type):
        raise AigcError(
            f"Expected a class of diffusers or transformers, got {class_name!r} of {library!r}: code that comes with a "
            f"model is not run. Update diffusers and transformers if the model is newer, else use another model."
        )
    return found


def part_folder(model: Model, name: str) -> Path:
    """The folder of one part, after checking that nothing in it asks to run code."""
    library, class_name = component_entry(model, name)
    folder = model.config / name
    if not folder.is_dir():
        raise AigcError(
            f"Expected the part {name!r} ({class_name}) in {folder}, but there is no such folder. "
            f"Download the model again."
        )
    if (folder / f"{library}.py").exists():
        raise AigcError(
            f"The part {name!r} of {model.config} brings code of its own ({library}.py), which this pack does not run. "
            f"Use a version of the model made for diffusers' own classes."
        )
    for path in folder.glob("*config.json"):
        read_json(path)
    return folder


def component_entry(model: Model, name: str) -> tuple[str, str]:
    """(library, class name) of one part; AigcError when the model has no such part."""
    parts = component_classes(model)
    if name not in parts:
        raise AigcError(f"Expected one of the parts {', '.join(parts)} of {model.config}, got {name!r}.")
    return parts[name]
