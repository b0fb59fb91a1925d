"""From a name to a Model: found, recognised and checked, with no weights read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .. import sources
from ..errors import AigcError
from ..payloads import Model
from ..sources import Roots, Watch
from ..sources.places import models as installed
from . import single_file
from .families import Family, seen
from .folder import INDEX, component_classes, part_class, part_folder, pipeline_class, read_index
from .halves import check_makes_pictures
from .parts import has_weights, part_numbers, part_size
from .quantised import header_of
from .replace import SUFFIXES, TOLERANCE
from .weights import part_weights, read_header, refuse_pickle

DTYPES = ("auto", "float32", "bfloat16", "float16")
OFFLOADS = ("auto", "keep", "stage")


def open_model(
    name: str,
    *,
    roots: Roots,
    revision: str = "",
    dtype: str = "auto",
    offload: str = "auto",
    watch: Watch | None = None,
) -> Model:
    """Open a model by its name in the list, an absolute path, a hub id `owner/name`, or a source such as `hf:owner/name`.

    revision: for a hub id, the commit, tag or branch. A hub's model that is not on this machine is downloaded into the
    first of roots.diffusers, under the eyes of `watch`. Every file that will be used is checked; no weights are read.
    Raises AigcError when there is no such model, a file is damaged or a pickle, or the model would run its own code.
    """
    _one_of("dtype", dtype, DTYPES)
    _one_of("offload", offload, OFFLOADS)
    found = sources.resolve(name, roots, revision=revision, download=True, watch=watch)
    path = found.path
    if not path.is_dir():
        return _open_file(path, roots, dtype, offload)
    from ..stages import modular  # here, since the stages load through this package

    if modular.is_modular(path):
        opened = modular.open_folder(path, dtype, offload)
        return replace(opened, source=found.source, revision=found.revision, licence=found.licence)
    if not (path / INDEX).is_file():
        raise AigcError(
            f"Expected a diffusers folder with {INDEX}, got {path} without one. Choose the folder one level up or "
            f"down, or the model's single .safetensors file."
        )
    model = Model(
        path=path,
        config=path,
        pipeline_class=str(read_index(path)["_class_name"]),
        dtype=dtype,
        offload=offload,
        source=found.source,
        revision=found.revision,
        licence=found.licence,
    )
    _check(model)
    return model


def fingerprint(name: str, *, roots: Roots) -> str:
    """What changes when the named model's files change: for a node that must run again then. Never raises."""
    try:
        path = sources.local(name, roots)
    except AigcError:
        return name
    if path is None:
        return name
    files = [path] if path.is_file() else sorted(p for p in (*path.glob("*"), *path.glob("*/*")) if p.is_file())
    stamps = ((file, file.stat()) for file in files)
    return "|".join([name, *(f"{file}:{stat.st_size}:{stat.st_mtime_ns}" for file, stat in stamps)])


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise AigcError(f"Expected {what} to be one of {', '.join(allowed)}, got {value!r}. Choose one of these.")


def _open_file(path: Path, roots: Roots, dtype: str, offload: str) -> Model:
    refuse_pickle(path)
    if path.suffix not in SUFFIXES:
        raise AigcError(f"Expected a .safetensors file or a diffusers folder, got {path}. Choose one of these.")
    family = single_file.recognise(header_of(path), path)
    config = single_file.settled(family, path) if family.config else _own_config(family, path, roots)
    return single_file.CheckpointModel(
        path=path,
        config=config,
        pipeline_class=str(read_index(config)["_class_name"]),
        dtype=dtype,
        offload=offload,
        source=path.name,
        tokenizers=roots.tokenizers,
        family=None if family.config else family,
    )


def _own_config(family: Family, path: Path, roots: Roots) -> Path:
    """A diffusers folder of the user's whose configs describe this file: beside it, or among the models."""
    beside = (folder for folder in sorted(path.parent.iterdir()) if folder.is_dir())
    for folder in (*beside, *installed(roots).values()):
        if (folder / INDEX).is_file() and read_index(folder)["_class_name"] in family.pipelines:
            model = single_file.CheckpointModel(path, folder, "", family=family)
            if abs(part_size(model, "transformer") - part_numbers(model, "transformer")) <= _some(model):
                return folder
    raise AigcError(
        f"Expected the configs of {family.name} for {path.name}, which is recognised ({seen(header_of(path), path)}) but "
        f"comes without them. Put a diffusers folder of it ({' or '.join(family.pipelines)}; its .json and tokenizer files "
        f"are enough) into models/diffusers or beside the file."
    )


def _some(model: Model) -> float:
    return TOLERANCE * part_size(model, "transformer")


def _check(model: Model) -> None:
    """Check all files that loading this model may use: classes, configs and the headers of the weights."""
    pipeline_class(model)
    check_makes_pictures(model.pipeline_class)
    for name, (library, class_name) in component_classes(model).items():
        if name == "safety_checker":  # never loaded, and often not downloaded
            continue
        cls = part_class(library, class_name)
        folder = part_folder(model, name)
        if has_weights(cls):
            for file in part_weights(folder)[1]:
                read_header(file)
