"""ModelScope (MODELSCOPE_ENDPOINT), and the cache of its own tools. Its default branch is "master"."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from . import hubs, web
from .layout import is_whole

HOME = "https://modelscope.cn"
COMMIT = re.compile(r"[0-9a-f]{40}")


def endpoint() -> str:
    return web.endpoint("MODELSCOPE_ENDPOINT", HOME)


def cached(repo: str, revision: str) -> tuple[Path, str] | None:
    """The folder of a model in ModelScope's cache, if whole. The cache notes no commit: a revision is not found there."""
    if revision:
        return None
    home = Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope" / "hub").expanduser()
    owner, _, name = repo.partition("/")
    for folder in (home / "models", home):  # newer and older tools
        found = folder / owner / name.replace(".", "___")
        if is_whole(found):
            return found, ""
    return None


def listing(repo: str, revision: str) -> hubs.Listing:
    """The model's files at a commit, tag or branch ("" is master), with their checksums."""
    home, source = endpoint(), f"ms:{repo}"
    revision = revision or "master"
    base = f"{home}/api/v1/models/{quote(repo)}/repo"
    answer = hubs.ask(source, f"{base}/files?{urlencode({'Revision': revision, 'Recursive': 'true'})}", {})
    try:
        data = answer.get("Data") or {}
        if data.get("Files") is None:  # its way to say so, with status 200
            reason = f"ModelScope has no such model, or no revision {revision!r} of it"
            raise hubs.not_here(source, reason, "Check both on the model's page.")
        blobs = [entry for entry in data["Files"] if entry.get("Type") != "tree"]
        commit = _commit(data.get("LatestCommitter") or {}, blobs) or revision
        files = [_file(base, commit, entry) for entry in blobs]
    except (KeyError, TypeError, AttributeError) as error:
        raise hubs.not_here(source, f"ModelScope's list of files is not in its usual form ({error!r})") from error
    return hubs.Listing(source, commit, home, hubs.listed(source, files))


def _commit(latest: dict[str, Any], blobs: list[dict[str, Any]]) -> str:
    """The full commit: of the latest one only a short id is sure to be given, and each file names its own."""
    given = str(latest.get("Id") or "")
    if COMMIT.fullmatch(given):
        return given
    short = str(latest.get("ShortId") or "")
    full = (str(entry.get("Revision") or "") for entry in blobs)
    return next((commit for commit in full if short and COMMIT.fullmatch(commit) and commit.startswith(short)), "")


def _file(base: str, commit: str, entry: dict[str, Any]) -> hubs.HubFile:
    query = urlencode({"Revision": commit, "FilePath": entry["Path"]})
    size = entry.get("Size")
    return hubs.HubFile(
        str(entry["Path"]), int(-1 if size is None else size), f"{base}?{query}", str(entry.get("Sha256") or "")
    )
