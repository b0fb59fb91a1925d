"""Models from the hub: what is already downloaded first, the network only when it answers quickly."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..errors import AigcError
from ..payloads import Model
from .folder import INDEX, component_classes, read_index
from .weights import PICKLE_SUFFIXES, choose_weights, part_weights

ANSWER_WITHIN = 3.5  # seconds
# Beside the weights of a part: its configs and its tokenizer. Never Python files, never pickles.
PLAIN_FILES = (".json", ".txt", ".model", ".jinja")


def hub_folder(repo: str, revision: str) -> Path:
    """The local snapshot of a hub model, downloaded when it is not complete here and the hub can be reached."""
    local = _cached(repo, revision)
    if local is not None:
        return local
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise _not_here(repo, "HF_HUB_OFFLINE is set, so nothing is downloaded")
    if not _answers(endpoint):
        raise _not_here(repo, f"{endpoint} does not answer")
    return _download(repo, revision, endpoint)


def _not_here(repo: str, reason: str) -> AigcError:
    return AigcError(
        f"Expected the model {repo} on this machine or on the hub: it is not complete here, and {reason}. "
        f"Connect to the network, or copy the model's folder into models/diffusers and choose it from the list."
    )


def _cached(repo: str, revision: str) -> Path | None:
    """The snapshot in the local cache if every part of it is there."""
    from huggingface_hub import try_to_load_from_cache

    # Not snapshot_download: it calls a snapshot without the files that we leave out incomplete.
    index = try_to_load_from_cache(repo, INDEX, revision=revision or None)
    if not isinstance(index, str) or not Path(index).is_file():
        return None
    folder = Path(index).parent
    model = Model(folder, folder, str(read_index(folder)["_class_name"]))
    for name in component_classes(model):
        if name == "safety_checker":
            continue
        part = folder / name
        if not part.is_dir():
            return None
        holds_model = (part / "config.json").is_file()
        try:
            if holds_model and not all(path.is_file() for path in part_weights(part)[1]):
                return None
        except AigcError:
            return None
    return folder


def _answers(endpoint: str) -> bool:
    """Whether anything answers at the endpoint in time, name look-up included; the environment's proxies are used."""
    done: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=ANSWER_WITHIN - 0.5).close()
        except urllib.error.HTTPError:
            pass
        except (OSError, ValueError):
            return
        done.append(True)

    if not endpoint.startswith(("https://", "http://")):
        raise AigcError(f"Expected HF_ENDPOINT to be an http address, got {endpoint!r}. Mend or unset it.")
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_WITHIN)
    return bool(done)


def _download(repo: str, revision: str, endpoint: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision or None, timeout=10)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        wanted = wanted_files(repo, files)
        # By the revision's own name, not by the commit: that keeps the name in the cache for the next time offline.
        name = revision or None
        return Path(snapshot_download(repo, revision=name, endpoint=endpoint, allow_patterns=wanted, etag_timeout=10))
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise _not_here(repo, f"the hub answered: {reason}") from error


def wanted_files(repo: str, files: Iterable[str]) -> list[str]:
    """Which files of a hub model are needed: one set of safetensors weights a part, configs, tokenizers, the card."""
    folders: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        if len(path.parts) <= 2 and ".." not in path.parts:
            folders.setdefault("" if len(path.parts) == 1 else path.parts[0], []).append(path.name)  # pyright: ignore[reportGeneralTypeIssues]
    top = folders.pop("", [])
    if INDEX not in top:
        raise AigcError(
            f"Expected a diffusers model, but {repo} has no {INDEX}. Use the model's diffusers version, or download "
            f"its single file into models/checkpoints."
        )
    wanted = [name for name in (INDEX, "README.md") if name in top]
    for folder, names in folders.items():
        weights = choose_weights(names)
        if weights is None and folder != "safety_checker" and "config.json" in names:
            pickles = [name for name in names if PurePosixPath(name).suffix in PICKLE_SUFFIXES]
            if pickles:
                raise AigcError(
                    f"Expected safetensors weights, but {repo} has only {folder}/{pickles[0]}: a pickle can run code "
                    f"when it is read. Use a version of the model with .safetensors files."
                )
        chosen = {*weights.names, weights.index} if weights else set()
        plain = {n for n in names if n.endswith(PLAIN_FILES) and not n.endswith((".index.json", ".index.fp16.json"))}
        wanted += sorted(f"{folder}/{name}" for name in chosen | plain if name)
    return wanted
