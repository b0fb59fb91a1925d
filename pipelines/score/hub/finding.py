"""From a judge's name to its files on this machine; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import AigcError
from ...payloads import Discriminator
from ...sources import Roots, find_file, resolve
from ...sources.layout import NAMED, is_whole_network
from .table import TABLE, Also, Row, spec


def names(roots: Roots) -> list[str]:
    """Every judge of the table, and "vqascore:<folder>" for each model below models/judges that reads pictures and answers."""
    return [*TABLE, *(f"vqascore:{folder.name}" for folder in _answering(roots))]


def is_one(name: str) -> bool:
    """Whether a name means a judge of the table: its id, or "id:source" with another source of the same kind."""
    return name.partition(":")[0] in TABLE


def is_network(path: Path) -> bool:
    """Whether a file of weights belongs to a hub's model and is no judge of ours."""
    named = {name for names in NAMED.values() for name in names}
    return path.name in named or "--" in path.parent.name or (path.parent / "config.json").is_file()


def discriminator(name: str, roots: Roots) -> Discriminator:
    """The judge that `name` means, with the paths of all that it needs. Raises AigcError naming what is not there."""
    judge_id, _, source = name.partition(":")
    row = TABLE[judge_id]
    path = _weights(judge_id, row, source or row.source, roots)
    files = tuple((also.role, _beside(judge_id, also, path, roots)) for also in row.also)
    return Discriminator(spec(judge_id), f"hub/{judge_id}", path, files=files)


def fingerprint(name: str, roots: Roots) -> str:
    """What changes when the judge's files do. Never raises."""
    try:
        found = discriminator(name, roots)
    except AigcError:
        return name
    paths = [found.path, *(path for _, path in found.files)]
    return ":".join([name, *(str(path.stat().st_mtime_ns) for path in paths if path)])


def _weights(judge_id: str, row: Row, source: str, roots: Roots) -> Path:
    """The folder of the weights; a file where the repository is one file."""
    names = tuple(name for name in NAMED.get(source, ()) if name != "config.json")
    if names and len(NAMED[source]) == len(names):
        twin = Path(names[0]).with_suffix(".safetensors").name
        if found := find_file(source, (twin, *names), roots, loose=True):
            return found
    else:
        own = [root / source for root in roots.judges if source and (root / source / "config.json").is_file()]
        try:
            return own[0] if own else resolve(source, roots).path
        except AigcError:
            pass
    raise AigcError(
        f"Expected the weights of {judge_id} on this machine, got none of {source} ({row.size}, licence: {row.licence}). "
        f"Nothing is downloaded unasked: run `aigc models pull {source}`, or copy its files to "
        f"models/judges/{source.replace('/', '--')}."
    )


def _beside(judge_id: str, also: Also, weights: Path, roots: Roots) -> Path:
    folder = weights if weights.is_dir() else weights.parent
    found = next((folder / name for name in also.names if (folder / name).is_file()), None)
    for source in also.sources:
        found = found or find_file(source, also.names, roots, loose=bool(also.address))
    host = roots.tokenizers.get(also.host)
    found = found or next((host / name for name in also.names if host and (host / name).is_file()), None)
    if found:
        return found
    where = f"download {also.address} into models/judges" if also.address else _pulled(also)
    raise AigcError(f"Expected {' or '.join(also.names)} for the {also.role} of {judge_id}, got none: {where}.")


def _pulled(also: Also) -> str:
    return f"copy it from {' or '.join(also.sources)} to models/judges/{also.sources[0].replace('/', '--')}"


def _answering(roots: Roots) -> list[Path]:
    """Folders right below models/judges that hold a model which takes pictures and words and answers in words."""
    folders = (folder for root in roots.judges if root.is_dir() for folder in sorted(root.iterdir()) if folder.is_dir())
    return [folder for folder in folders if _answers(folder / "config.json") and is_whole_network(folder)]


def _answers(config: Path) -> bool:
    try:
        values = json.loads(config.read_text("utf-8"))
        classes = [str(name) for name in values.get("architectures") or ()]
    except (OSError, ValueError, AttributeError, TypeError):
        return False
    return "vision_config" in values and any(name.endswith("ForConditionalGeneration") for name in classes)
