"""A whole model from a hub into ComfyUI's own models folder: resumed, checked, pinned, written down."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import AigcError
from . import card, download, hubs, huggingface, locks, manifest, modelscope, web
from .layout import contained, wanted_files
from .manifest import FileRecord, Manifest
from .places import Roots
from .reference import Reference
from .watch import Watch

HUBS = {"hf": huggingface, "ms": modelscope}
SPARE = 64 * 2**20  # bytes that stay free on the disk
BETWEEN = 0.1  # seconds between two reports of progress


def pull(reference: Reference, roots: Roots, watch: Watch) -> Path:
    """Download the model of an hf: or ms: reference and return its folder, models/diffusers/<owner>--<name>.

    Two processes that want the same model: one downloads, the other waits and finds it here. Raises AigcError, or what
    watch.check_interrupt raises; what is here by then stays and is not downloaded again.
    """
    hub = HUBS[reference.scheme]
    if not roots.diffusers:
        raise hubs.not_here(reference.source, "there is no models/diffusers folder to download it into")
    if variable := web.offline():
        raise hubs.not_here(reference.source, f"{variable} is set, so nothing is downloaded")
    if not web.answers(hub.endpoint()):
        raise hubs.not_here(reference.source, f"{hub.endpoint()} does not answer")
    root = roots.diffusers[0]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locks.locked(root / f".{stem(reference)}.lock", watch.check_interrupt):
            return here(reference, roots) or _pull(
                reference, hub.listing(reference.name, reference.revision), root, watch
            )
    except OSError as error:
        raise download.disk_error(root, error) from error


def stem(reference: Reference) -> str:
    return reference.name.replace("/", "--")


def here(reference: Reference, roots: Roots) -> Path | None:
    """The folder of a finished download of this model and revision."""
    for root in roots.diffusers:
        for folder in (root / stem(reference), *sorted(root.glob(f"{stem(reference)}@*"))):
            found = manifest.read(folder)
            if found and found.serves(reference.source, reference.revision) and _has_all(folder, found):
                return folder
    return None


def _has_all(folder: Path, found: Manifest) -> bool:
    return all(download.size_of(folder / name) == record.size for name, record in found.files.items())


def _pull(reference: Reference, listing: hubs.Listing, root: Path, watch: Watch) -> Path:
    by_name = {file.name: file for file in listing.files}
    files = [by_name[name] for name in wanted_files(reference.name, by_name)]
    folder = _target(reference, listing, root)
    _need_space(folder, files)
    began = Manifest(listing.source, listing.revision, reference.revision, listing.licence, listing.endpoint)
    folder.mkdir(exist_ok=True)
    manifest.write(folder, began)
    records = _fetch_all(listing, files, folder, watch)
    licence = listing.licence or card.licence(folder)
    manifest.write(folder, replace(began, licence=licence, complete=True, files=records))
    return folder


def _target(reference: Reference, listing: hubs.Listing, root: Path) -> Path:
    """<owner>--<name>; with the revision behind it when another one, or a folder of the user's own, lies there."""
    plain = root / stem(reference)
    there = manifest.read(plain)
    unfinished = there is not None and there.source == listing.source and not there.complete
    same = there is not None and (there.source, there.revision) == (listing.source, listing.revision)
    if unfinished or same or not plain.exists():
        return plain
    short = listing.revision[:12] if re.fullmatch(r"[0-9a-f]{40}", listing.revision) else listing.revision
    return root / f"{stem(reference)}@{short.replace('/', '--')}"


def _fetch_all(listing: hubs.Listing, files: list[hubs.HubFile], folder: Path, watch: Watch) -> dict[str, FileRecord]:
    job = download.Job(listing.source, listing.headers, watch.check_interrupt)
    total, done = sum(file.size for file in files), 0
    records = {}
    for file in files:
        target = _inside(folder, file.name)
        report = _reporter(watch, done, total, file.name)
        sha256 = download.digest(target, file, watch.check_interrupt)
        records[file.name] = FileRecord(file.size, sha256 or download.fetch(job, file, target, report))
        done += file.size
    watch.progress(total, total, "")
    return records


def _inside(folder: Path, name: str) -> Path:
    target = folder / name
    if not contained(name) or not target.resolve().is_relative_to(folder.resolve()):
        raise AigcError(f"Expected a file inside the model's folder, got {name!r} from the hub. Use another mirror.")
    return target


def _reporter(watch: Watch, before: int, total: int, name: str) -> Callable[[int], None]:
    last = 0.0

    def on_bytes(have: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= BETWEEN:
            last = now
            watch.progress(before + have, total, name)

    return on_bytes


def _need_space(folder: Path, files: list[hubs.HubFile]) -> None:
    """Refuses before the work starts, not in the middle of it."""
    missing = sum(file.size - _have(file, folder / file.name) for file in files)
    free = shutil.disk_usage(folder.parent).free
    if missing and free < missing + SPARE:
        raise AigcError(
            f"Expected {(missing + SPARE) / 1e9:.2f} GB of free disk for this model, got {free / 1e9:.2f} GB in "
            f"{folder.parent}. Free some space, or put another models folder first in extra_model_paths.yaml."
        )


def _have(file: hubs.HubFile, target: Path) -> int:
    there = max(download.size_of(target), download.size_of(download.part_of(file, target)))
    return min(there, file.size)
