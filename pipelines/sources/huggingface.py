"""The Hugging Face hub and its mirrors (HF_ENDPOINT), and the cache that other programs share.

Files are asked for at the endpoint over plain HTTP and never over Xet: Xet goes to a host of its own, which a mirror does
not stand in for, so nothing has to be switched off for one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import hubs, web
from .layout import CONFIG, INDEX, NAMED, is_whole, is_whole_network

HOME = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")


def endpoint() -> str:
    return web.endpoint("HF_ENDPOINT", HOME)


def cached(repo: str, revision: str) -> tuple[Path, str] | None:
    """The folder and commit of a model in the local cache, if every part of it is there."""
    from huggingface_hub import try_to_load_from_cache

    # Not snapshot_download: it calls a snapshot without the files that we leave out incomplete.
    for name in (INDEX, *NAMED.get(repo, (CONFIG,))):
        there = try_to_load_from_cache(repo, name, revision=revision or None)
        folder = Path(there).parent if isinstance(there, str) else None
        if folder and (is_whole(folder) or is_whole_network(folder, repo)):
            return folder, folder.name if COMMIT.fullmatch(folder.name) else ""
    return None


def cached_file(repo: str, name: str) -> Path | None:
    """One file of a repository in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    there = try_to_load_from_cache(repo, name)
    return Path(there) if isinstance(there, str) else None


def listing(repo: str, revision: str) -> hubs.Listing:
    """The model's files at a commit, tag or branch ("" is the main branch), with their checksums."""
    home, source = endpoint(), f"hf:{repo}"
    headers = _login()
    where = quote(revision or "main", safe="")
    info = hubs.ask(source, f"{home}/api/models/{quote(repo)}/revision/{where}?blobs=true", headers)
    try:
        commit = info["sha"]
        files = [_file(f"{home}/{quote(repo)}/resolve/{commit}", entry) for entry in info["siblings"]]
        licence = _licence(info)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise hubs.not_here(source, f"the hub's list of files is not in its usual form ({error!r})") from error
    if not COMMIT.fullmatch(str(commit)):
        raise hubs.not_here(source, f"the hub answered with {str(commit)[:60]!r} instead of a commit")
    return hubs.Listing(source, commit, home, hubs.listed(source, files), licence, headers)


def _file(base: str, entry: dict[str, Any]) -> hubs.HubFile:
    lfs = entry.get("lfs") or {}
    size = entry.get("size")
    return hubs.HubFile(
        name=str(entry["rfilename"]),
        size=int(-1 if size is None else size),
        url=f"{base}/{quote(str(entry['rfilename']))}",
        sha256=str(lfs.get("sha256") or lfs.get("oid") or "").removeprefix("sha256:"),
        git_oid="" if lfs else str(entry.get("blobId") or ""),
    )


def _licence(info: dict[str, Any]) -> str:
    card = info.get("cardData") or {}
    said = card.get("license_name") or card.get("license") or ""
    return ", ".join(map(str, said)) if isinstance(said, list) else str(said)


def _login() -> dict[str, str]:
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}
