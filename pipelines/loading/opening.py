"""From a name to a Model: found, recognised and checked, with no weights read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ..errors import AigcError
from ..payloads import Model
from . import single_file
from .folder import INDEX, component_classes, part_class, part_folder, pipeline_class, read_index
from .hub import hub_folder
from .parts import has_weights
from .places import Roots, find_model
from .weights import part_weights, read_header, refuse_pickle

DTYPES = ("auto", "float32", "bfloat16", "float16")
OFFLOADS = ("auto", "keep", "stage")


def open_model(name: str, *, roots: Roots, revision: str = "", dtype: str = "auto", offload: str = "auto") -> Model:
    """Open a model by its name in the list, an absolute path, or a hub id `owner/name`.

    revision: for a hub id, the commit, tag or branch. Every file that will be used is checked; no weights are read.
    Raises AigcError when there is no such model, a file is damaged or a pickle, or the model would run its own code.
    """
    _one_of("dtype", dtype, DTYPES)
    _one_of("offload", offload, OFFLOADS)
    name = name.strip() if isinstance(name, str) else name
    path = find_model(name, roots)
    if path is not None and not path.is_dir():
        return _open_file(path, roots, dtype, offload)
    if path is None:
        path = hub_folder(name, revision.strip())
        if not revision.strip() and path.parent.name == "snapshots":
            revision = path.name
    from ..stages import modular  # here, since the stages load through this package

    if modular.is_modular(path):
        opened = modular.open_folder(path, dtype, offload)
        return replace(opened, source=name, revision=revision.strip(), licence=_licence(path))
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
        source=name,
        revision=revision.strip(),
        licence=_licence(path),
    )
    _check(model)
    return model


def fingerprint(name: str, *, roots: Roots) -> str:
    """What changes when the named model's files change: for a node that must run again then. Never raises."""
    try:
        path = find_model(name, roots)
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
    if path.suffix != ".safetensors":
        raise AigcError(f"Expected a .safetensors file or a diffusers folder, got {path}. Choose one of these.")
    family = single_file.settled(single_file.recognise(read_header(path), path), path)
    return single_file.CheckpointModel(
        path=path,
        config=family,
        pipeline_class=str(read_index(family)["_class_name"]),
        dtype=dtype,
        offload=offload,
        source=path.name,
        tokenizers=roots.tokenizers,
    )


def _check(model: Model) -> None:
    """Check all files that loading this model may use: classes, configs and the headers of the weights."""
    pipeline_class(model)
    for name, (library, class_name) in component_classes(model).items():
        if name == "safety_checker":  # never loaded, and often not downloaded
            continue
        cls = part_class(library, class_name)
        folder = part_folder(model, name)
        if has_weights(cls):
            for file in part_weights(folder)[1]:
                read_header(file)


def _licence(folder: Path) -> str:
    """The licence that the model card states in its YAML head; "" when there is none."""
    try:
        text = (folder / "README.md").read_text("utf-8", errors="replace")[:20_000]
    except OSError:
        return ""
    head = re.match(r"\A\s*---\s*\n(.*?)\n---", text, re.DOTALL)
    if not head:
        return ""
    fields = dict(re.findall(r"^(license(?:_name)?):[ \t]*['\"]?([^'\"\n]+?)['\"]?[ \t]*$", head[1], re.MULTILINE))
    return fields.get("license_name") or fields.get("license", "")
