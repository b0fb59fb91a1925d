"""What both hubs have in common: a list of files with checksums, and words for each way to be refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from ..errors import AigcError
from . import web

RETRY = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses that may be over in a moment


@dataclass(frozen=True)
class HubFile:
    """One file as its hub or package index lists it: at least one of the checksums is known.

    sha256, sha512: of the content. git_oid: the SHA-1 that git gives it.
    """

    name: str
    size: int
    url: str
    sha256: str = ""
    git_oid: str = ""
    sha512: str = ""

    @property
    def checksum(self) -> str:
        return self.sha256 or self.sha512 or self.git_oid


@dataclass(frozen=True)
class Listing:
    """A model at one commit. headers: what its downloads must send, such as a login."""

    source: str
    revision: str
    endpoint: str
    files: tuple[HubFile, ...]
    licence: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(source: str, url: str, headers: dict[str, str]) -> Any:
    """The hub's JSON at `url`; AigcError in words for whatever else it answers."""
    try:
        return web.get_json(url, headers)
    except HTTPError as error:
        raise refused(source, error) from error
    except (OSError, HTTPException, ValueError) as error:
        raise not_here(source, f"the hub's answer broke off or was no JSON ({short(error)})") from error


def listed(source: str, files: list[HubFile]) -> tuple[HubFile, ...]:
    """The files, after checking that the hub said how long each is and gave a checksum."""
    for file in files:
        if file.size < 0 or not file.checksum:
            raise not_here(source, f"the hub lists {file.name!r} without its size or checksum", "Use another mirror.")
    return tuple(files)


def not_here(
    source: str,
    reason: str,
    remedy: str = "Connect to the network, or copy the model's folder into models/diffusers and choose it from the list.",
) -> AigcError:
    model = source.partition(":")[2] or source
    return AigcError(
        f"Expected the model {model} on this machine or on the hub: it is not complete here, and {reason}. {remedy}"
    )


def refused(source: str, error: HTTPError) -> AigcError:
    """Each refusal in its own words; the hub's X-Error-Code tells those apart that share a status."""
    code, model = error.headers.get("X-Error-Code", ""), source.partition(":")[2]
    token = "log in with `hf auth login` or HF_TOKEN" if source.startswith("hf:") else "download it on its page"
    if code == "GatedRepo":
        reason = f"the hub answered {error.code}: its authors ask you to accept their terms first"
        remedy = f"Open the page of {model} on the hub, accept the terms there, then {token}, and try again."
    elif code == "RevisionNotFound":
        reason = f"the hub answered {error.code}: it has the model, but no such revision"
        remedy = "Copy the commit, tag or branch from the model's page, or leave the revision empty."
    elif error.code == 401:
        reason = "the hub answered 401: it wants a login, which it also says for a name that does not exist"
        remedy = f"Check the spelling of owner/name; for a private model, {token}."
    elif error.code == 403:
        reason = "the hub answered 403: this login may not read the model"
        remedy = f"Ask its owner for access, or {token} as another user."
    elif error.code == 404:
        reason = "the hub answered 404: there is no such model or file"
        remedy = "Check the spelling of owner/name on the model's page."
    elif error.code == 429:
        reason, remedy = "the hub answered 429: too many requests from here", "Wait some minutes and try again."
    else:
        reason, remedy = f"the hub answered {error.code} {error.reason}", "Try again later, or use another mirror."
    return not_here(source, reason, remedy)


def short(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
