"""The repository's files and what they import, for the house rules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TYPING_ONLY = "TYPE_CHECKING"


@cache
def files() -> tuple[str, ...]:
    """Every file that is or is about to be in git, as a path relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted({name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}))


def python_files(*folders: str) -> list[str]:
    """The .py files under these folders; under all of the repository without an argument."""
    inside = tuple(folder + "/" for folder in folders)
    return [name for name in files() if name.endswith(".py") and (not inside or name.startswith(inside))]


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), filename=name)


@dataclass(frozen=True)
class Import:
    module: str  # absolute; our own packages by their folder: "pipelines.payloads"
    line: int
    at_top: bool  # executed when the file is imported

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


@cache
def imports(name: str) -> tuple[Import, ...]:
    """Every import statement of a file except those for type checkers only."""
    return tuple(_imports(tree(name).body, Path(name), at_top=True))


def _imports(body: list[ast.stmt], path: Path, at_top: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_top)
        elif isinstance(node, ast.ImportFrom):
            for module in _targets(node, path):
                yield Import(module, node.lineno, at_top)
        elif isinstance(node, ast.If) and TYPING_ONLY in ast.dump(node.test):
            yield from _imports(node.orelse, path, at_top)
        else:
            inner = at_top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(node, field, []), path, inner)
            for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                yield from _imports(part.body, path, inner)


def _targets(node: ast.ImportFrom, path: Path) -> list[str]:
    if not node.level:
        return [node.module or ""]
    parents = path.parent.parts
    base = [*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])]
    # `from .. import pipelines` names the package itself.
    return [".".join(base)] if base else [alias.name for alias in node.names]


def calls(name: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(name)) if isinstance(node, ast.Call))
