"""Which files make a diffusers folder, by their names alone: what to download, and whether a folder is whole.

Nothing here imports torch or diffusers: the command line and the drop-down lists need it before either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AigcError

INDEX = "model_index.json"
MODULAR_INDEX = "modular_model_index.json"
CARD = "README.md"
PICKLE_SUFFIXES = {".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"}
# Beside the weights of a part: its configs and its tokenizer. Never Python files, never pickles.
PLAIN_FILES = (".json", ".txt", ".model", ".jinja")
NOT_NEEDED = "safety_checker"  # never loaded, and often not downloaded
CONFIG = "config.json"  # of a model that is one network, as transformers saves it
# What makes these repositories whole. The pickles among them have no safetensors beside them and hold nothing but tensors:
# the judge that needs one reads it with torch's weights_only.
NAMED = {
    "MizzenAI/HPSv3": ("HPSv3.safetensors",),
    "xswu/HPSv2": ("HPS_v2.1_compressed.pt",),
    "THUDM/ImageReward": ("ImageReward.pt",),
    "openai/clip-vit-base-patch32": ("pytorch_model.bin", CONFIG),
    "laion/clap-htsat-unfused": ("pytorch_model.bin", CONFIG),
}

# stem[.variant].safetensors, and its shards and index as diffusers and transformers write them
_WEIGHTS = re.compile(
    r"^(?P<stem>diffusion_pytorch_model|model|pytorch_model)"
    r"(?:\.(?P<variant>[A-Za-z0-9_]+))??(?:-(?P<part>\d{5})-of-\d{5})?(?:\.(?P<late>[A-Za-z0-9_]+))?"
    r"\.safetensors$"
)
_INDEX = re.compile(
    r"^(?P<stem>diffusion_pytorch_model|model|pytorch_model)\.safetensors\.index"
    r"(?:\.(?P<variant>[A-Za-z0-9_]+))?\.json$"
)


@dataclass(frozen=True)
class WeightSet:
    """The files that hold one part's weights: the variant ("" or e.g. "fp16") and file names, shards in order."""

    variant: str
    names: tuple[str, ...]
    index: str = ""


def choose_weights(names: Iterable[str]) -> WeightSet | None:
    """The weights among the file names of one part's folder: no variant before any variant, whole before shards.

    None when there is none. Works on names alone, so that it also chooses what to download.
    """
    found: dict[tuple[str, bool], list[str]] = {}
    indices: dict[str, str] = {}
    for name in names:
        if index := _INDEX.match(name):
            indices[index["variant"] or ""] = name
        elif match := _WEIGHTS.match(name):
            variant = match["variant"] or match["late"] or ""
            found.setdefault((variant, match["part"] is not None), []).append(name)
    for (variant, sharded), files in sorted(found.items()):
        if not sharded:
            return WeightSet(variant, (sorted(files)[0],))
        if variant in indices:
            return WeightSet(variant, tuple(sorted(files)), indices[variant])
    return None


def weight_files(folder: Path, chosen: WeightSet) -> list[Path]:
    """The files of one part's weights: for shards those that the index asks for, there or not.

    Raises AigcError when the index is damaged or names files outside its folder.
    """
    if not chosen.index:
        return [folder / chosen.names[0]]
    try:
        wanted = set(json.loads((folder / chosen.index).read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise AigcError(f"Expected shards in {folder / chosen.index}, got {error!r}. Download it again.") from None
    if any(Path(name).name != name for name in wanted):
        raise AigcError(f"The shard index {folder / chosen.index} names files outside its folder: not read.")
    return [folder / name for name in sorted(wanted)]


def is_whole(folder: Path) -> bool:
    """Whether every part that model_index.json names is there with all of its weights. Reads no weights."""
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        parts = [name for name, entry in index.items() if _is_filled_part(name, entry) and name != NOT_NEEDED]
        return all(_part_is_whole(folder / name) for name in parts)
    except (OSError, ValueError, AttributeError, AigcError):
        return False


def _is_filled_part(name: str, entry: Any) -> bool:
    pair = isinstance(entry, list) and len(entry) == 2
    return name[:1] != "_" and pair and all(isinstance(word, str) for word in entry)


def _part_is_whole(folder: Path) -> bool:
    names = [entry.name for entry in folder.iterdir()]
    if "config.json" not in names:  # a scheduler, a tokenizer
        return True
    chosen = choose_weights(names)
    return chosen is not None and all(path.is_file() for path in weight_files(folder, chosen))


def network_files(repo: str, names: Iterable[str]) -> list[str] | None:
    """Of the file names in one folder, the weights and config of a model that is one network; None when it is none.

    Safetensors beside a config.json, else what NAMED has for its repository.
    """
    names = set(names)
    weights = choose_weights(names)
    if weights and CONFIG in names:
        return [*weights.names, *([weights.index] if weights.index else []), CONFIG]
    named = NAMED.get(repo)
    return list(named) if named and names.issuperset(named) else None


def is_whole_network(folder: Path, repo: str = "") -> bool:
    """Whether a folder holds a model that is one network, with all of its weights. Reads no weights."""
    try:
        names = [entry.name for entry in folder.iterdir()]
        chosen = choose_weights(names)
        shards = weight_files(folder, chosen) if chosen else []
        return network_files(repo, names) is not None and all(path.is_file() for path in shards)
    except (OSError, AigcError):
        return False


def wanted_files(repo: str, files: Iterable[str]) -> list[str]:
    """Which files of a hub model are needed: one set of safetensors weights a part, configs, tokenizers, the card.

    The index comes last: a folder without it is not a model yet, here and for every other reader.
    """
    folders: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        if len(path.parts) <= 2 and contained(file):
            folders.setdefault("" if len(path.parts) == 1 else path.parts[0], []).append(path.name)  # pyright: ignore[reportGeneralTypeIssues]
    top = folders.pop("", [])
    if INDEX not in top:
        if network := network_files(repo, top):
            plain = {n for n in top if n.endswith(PLAIN_FILES) and not n.endswith(".index.json")} - set(network)
            return [*([CARD] if CARD in top else []), *sorted(plain), *network]
        if CONFIG in top and not choose_weights(top):
            _refuse_pickles_only(repo, "", top)
        raise AigcError(
            f"Expected a diffusers model, but {repo} has no {INDEX}. Use the model's diffusers version, or download "
            f"its single file into models/checkpoints."
        )
    wanted = [CARD] if CARD in top else []
    for folder, names in folders.items():
        weights = choose_weights(names)
        if weights is None and folder != NOT_NEEDED and "config.json" in names:
            _refuse_pickles_only(repo, folder, names)
        chosen = {*weights.names, weights.index} if weights else set()
        plain = {n for n in names if n.endswith(PLAIN_FILES) and not n.endswith((".index.json", ".index.fp16.json"))}
        wanted += sorted(f"{folder}/{name}" for name in chosen | plain if name)
    return [*wanted, INDEX]


def contained(name: str) -> bool:
    """Whether a file name from a hub stays inside the folder that it is written to, on every system."""
    odd = "\\" in name or ":" in name or any(ord(letter) < 32 for letter in name)
    return not odd and all(part not in ("", ".", "..") for part in name.split("/"))


def _refuse_pickles_only(repo: str, folder: str, names: list[str]) -> None:
    pickles = [name for name in names if PurePosixPath(name).suffix in PICKLE_SUFFIXES]
    if pickles:
        raise AigcError(
            f"Expected safetensors weights, but {repo} has only {folder}{'/' * bool(folder)}{pickles[0]}: a pickle can run code "
            f"when it is read. Use a version of the model with .safetensors files."
        )
