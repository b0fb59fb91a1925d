"""Where models lie, what they are called on the canvas, and which file a name means."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AigcError
from .layout import INDEX, MODULAR_INDEX
from .reference import HUB_ID, parse

SAFE = (".safetensors",)
GANS = (".safetensors", ".pkl", ".pth", ".pt", ".ckpt", ".tar")  # opened for tensors only, see gan.files
DENOISERS = (".safetensors", ".gguf")  # a denoiser alone may be packed
FOLDER_DEPTH = 2  # models/diffusers/<maker>/<model>


@dataclass(frozen=True)
class Roots:
    """The folders that models are looked for in; earlier folders win. Downloads go to the first of `diffusers`.

    denoisers, parts: folders of files that hold a denoiser alone, and a VAE or text encoder alone.
    controls, references, image_encoders: folders of control nets, of IP-Adapters and of the encoders these look through.
    judges: folders of trained judges. gans: of GANs. packages: of what was unpacked from a package registry.
    language_models: of language models.
    tokenizers: folders of tokenizer files by "clip", "t5", "qwen" and "pile", for files that come without a tokenizer.
    """

    embedded: tuple[Path, ...] = ()
    diffusers: tuple[Path, ...] = ()
    checkpoints: tuple[Path, ...] = ()
    loras: tuple[Path, ...] = ()
    embeddings: tuple[Path, ...] = ()
    denoisers: tuple[Path, ...] = ()
    parts: tuple[Path, ...] = ()
    controls: tuple[Path, ...] = ()
    references: tuple[Path, ...] = ()
    image_encoders: tuple[Path, ...] = ()
    judges: tuple[Path, ...] = ()
    gans: tuple[Path, ...] = ()
    packages: tuple[Path, ...] = ()
    language_models: tuple[Path, ...] = ()
    tokenizers: Mapping[str, Path] = field(default_factory=dict)


def list_models(roots: Roots) -> list[str]:
    """The names of all models found: embedded first, then diffusers folders, checkpoints, and denoisers alone."""
    return list(models(roots))


def list_loras(roots: Roots) -> list[str]:
    """The names of all LoRA files found."""
    return list(_files(roots.loras))


def list_parts(roots: Roots) -> list[str]:
    """The names of all files that hold one part, each with its folder, e.g. "vae/ae.safetensors"."""
    return list(_parts(roots))


def list_networks(roots: tuple[Path, ...]) -> list[str]:
    """The names of all networks below these folders: files, and folders that have a config beside the weights."""
    return list(_networks(roots))


def find_network(name: str, roots: tuple[Path, ...], what: str) -> Path:
    """The file or folder of one network that a name or an absolute path means; `what` is what an error calls it."""
    found = _find(name, _networks(roots), what, hub=False)
    assert found is not None
    return found


def _networks(roots: tuple[Path, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, path in _files(roots).items():
        folder, _, _ = name.rpartition("/")
        alone = not folder or not (path.parent / "config.json").is_file()
        found.setdefault(name if alone else folder, path if alone else path.parent)
    return found


def language_models(roots: Roots) -> dict[str, Path]:
    """Language models by name: folders that have a config beside the weights, and GGUF files outside of these."""
    folders = {name: path for name, path in _networks(roots.language_models).items() if path.is_dir()}
    files = _files(roots.language_models, (".gguf",))
    return {**folders, **{name: path for name, path in files.items() if path.parent not in folders.values()}}


def find_language_model(name: str, roots: Roots) -> Path | None:
    """The folder or GGUF file that a name or an absolute path means; None when it can only be a source, such as a hub id."""
    if parse(name).scheme:
        return None
    return _find(name, language_models(roots), "language model", hub=True)


def list_gans(roots: Roots) -> list[str]:
    """The names of all files that may hold a GAN."""
    return list(_files(roots.gans, GANS))


def find_gan(name: str, roots: Roots) -> Path:
    """The file of a GAN that a name or an absolute path means."""
    found = _find(name, _files(roots.gans, GANS), "GAN", hub=False)
    assert found is not None
    return found


def stamp_of_gan(name: str, roots: Roots) -> str:
    """What changes when the named GAN's file does: for a node that must run again then. Never raises."""
    path = _files(roots.gans, GANS).get(name)
    return f"{name}:{path.stat().st_mtime_ns}" if path else name


def find_part(name: str, roots: Roots) -> Path:
    """The file of one part that a name or an absolute path means."""
    found = _find(name, _parts(roots), "file of a part", hub=False)
    assert found is not None
    return found


def _parts(roots: Roots) -> dict[str, Path]:
    """Files by their folder's name and their own: a VAE and a text encoder may be called alike."""
    return {
        f"{root.name}/{name}": path
        for root in reversed((*roots.denoisers, *roots.parts))
        for name, path in _files((root,), DENOISERS if root in roots.denoisers else SAFE).items()
    }


def find_model(name: str, roots: Roots) -> Path | None:
    """The folder or file that a name or an absolute path means; None when it can only be a hub id."""
    return _find(name, models(roots), "model", hub=True)


def find_lora(name: str, roots: Roots) -> Path:
    """The LoRA file that a name or an absolute path means."""
    found = _find(name, _files(roots.loras), "LoRA", hub=False)
    assert found is not None
    return found


def find_embedding(name: str, roots: Roots) -> Path:
    """The textual inversion that a name means, with or without its ending."""
    files = _files(roots.embeddings)
    found = _find(f"{name}.safetensors" if f"{name}.safetensors" in files else name, files, "embedding", hub=False)
    assert found is not None
    return found


def models(roots: Roots) -> dict[str, Path]:
    """Every model found by its name in the list, in the list's order."""
    found: dict[str, Path] = {}
    for root in (*roots.embedded, *roots.diffusers):
        for name, folder in _folders(str(root), "", FOLDER_DEPTH, os.path.realpath(root)):
            found.setdefault(name, Path(folder))
    for name, path in _files(roots.checkpoints).items():
        found.setdefault(name, path)
    for root in roots.denoisers:
        for name, path in _files((root,), DENOISERS).items():
            found.setdefault(f"{root.name}/{name}", path)
    return found


def _folders(folder: str, name: str, depth: int, inside: str) -> Iterator[tuple[str, str]]:
    """(name, path) of diffusers folders at most `depth` deep and not outside the root, in order of their names.

    With scandir and plain text, since a list of 1,000 models is read each time that the canvas asks for it.
    """
    deeper = []
    for entry in _subfolders(folder, inside):
        below = f"{name}{entry.name}"
        if os.path.isfile(f"{entry.path}/{INDEX}") or os.path.isfile(f"{entry.path}/{MODULAR_INDEX}"):
            yield below, entry.path
        else:
            deeper.append((entry.path, below))
    for path, below in deeper if depth > 1 else ():
        yield from _folders(path, f"{below}/", depth - 1, inside)


def _subfolders(folder: str, inside: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except OSError:
        return []
    return sorted((entry for entry in found if _is_inside(entry, inside)), key=lambda entry: entry.name)


def _is_inside(entry: os.DirEntry[str], root: str) -> bool:
    """Only a link can lead outside; looking each folder up would cost more than all the rest."""
    return not entry.is_symlink() or Path(os.path.realpath(entry.path)).is_relative_to(root)


def _files(roots: tuple[Path, ...], suffixes: tuple[str, ...] = SAFE) -> dict[str, Path]:
    """Files of weights below the roots by their names relative to them."""
    found: dict[str, Path] = {}
    for root in roots:
        inside = os.path.realpath(root)
        for folder, subfolders, files in os.walk(root):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for file in sorted(files):
                path = f"{folder}/{file}"
                if not file.endswith(suffixes):
                    continue
                if not os.path.islink(path) or Path(os.path.realpath(path)).is_relative_to(inside):
                    found.setdefault(Path(path).relative_to(root).as_posix(), Path(path))
    return found


def _find(name: str, known: dict[str, Path], what: str, *, hub: bool) -> Path | None:
    if not isinstance(name, str) or not name.strip():
        raise AigcError(f"Expected the name of a {what}, got {name!r}. Choose one from the list.")
    name = name.strip()
    if name in known:
        return known[name]
    shown = repr(name[:200])
    if any(ord(letter) < 32 for letter in name) or ".." in re.split(r"[/\\]", name):
        raise AigcError(f"Expected a {what} below its own folder, got {shown}. Choose one from the list.")
    if "://" in name:
        raise AigcError(f"Expected the name of a {what}, got the address {shown}. Download it first, or give a hub id.")
    path = Path(name)
    if path.is_absolute():
        try:
            if path.exists():
                return path
        except OSError:
            pass
        raise AigcError(f"Expected a {what} at {shown}, but nothing is there. Mend the path.")
    if hub and HUB_ID.fullmatch(name) and path.suffix not in (*DENOISERS, ".ckpt"):
        return None
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else "Choose one from the list, or give its absolute path."
    raise AigcError(f"There is no {what} named {shown} in the model folders. {hint}")
